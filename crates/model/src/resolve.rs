//! What the layers make together, and where each field came from.
//!
//! Later layers win, field by field. The outcome keeps the layer of every
//! field, so that nobody has to guess why a sandbox got what it got.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::ProfileId;
use crate::name::{ProfileName, RunnerId};
use crate::profile::{ProfileSpec, Revision};
use crate::violation::FieldPath;

/// Where a field of a resolved spec came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// The zone defaults of a runner.
    ZoneDefaults {
        /// The runner.
        runner: RunnerId,
        /// The revision of its configuration.
        revision: Revision,
    },
    /// The spec of a profile.
    Profile {
        /// The profile.
        id: ProfileId,
        /// The name it has on the runner.
        name: ProfileName,
        /// The revision of the profile.
        revision: Revision,
    },
    /// The overrides of a binding.
    Binding {
        /// The runner that the binding lives on.
        runner: RunnerId,
        /// The revision of its configuration.
        revision: Revision,
    },
    /// The request of the sandbox.
    Request,
}

/// A spec in which all layers have had their say.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedSpec {
    /// The outcome.
    pub spec: ProfileSpec,
    /// Where each field of it came from.
    pub provenance: Provenance,
}

/// The layer of every leaf field, by its path in the structured form.
///
/// A leaf is a list or anything that is not a map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance(BTreeMap<FieldPath, Arc<Layer>>);

impl Provenance {
    /// The layer that a leaf field came from.
    pub fn get(&self, path: &FieldPath) -> Option<&Layer> {
        self.0.get(path).map(AsRef::as_ref)
    }

    /// Notes that a leaf field came from `layer`.
    pub fn set(&mut self, path: FieldPath, layer: Arc<Layer>) {
        self.0.insert(path, layer);
    }

    /// Every leaf field and its layer, in the order of the paths.
    pub fn iter(&self) -> impl Iterator<Item = (&FieldPath, &Layer)> {
        self.0.iter().map(|(path, layer)| (path, layer.as_ref()))
    }
}

impl FromIterator<(FieldPath, Arc<Layer>)> for Provenance {
    fn from_iter<I: IntoIterator<Item = (FieldPath, Arc<Layer>)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}
