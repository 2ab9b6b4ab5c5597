//! What the layers make together, and where each field came from.
//!
//! Zone defaults of the runner, then the profile, then the overrides of the
//! binding: later layers win, field by field. Two fields are taken whole from
//! the last layer that has them: the set of egress modes and the set of ingress
//! levels. A profile says by them what its users may choose among, and no
//! runner's zone defaults can add a choice. The overrides of a binding are
//! written for that one profile; as a merge patch they may change single modes.
//!
//! The request is the last layer. It is laid over a resolved spec when a
//! sandbox is admitted, with [`ResolvedSpec::overlay`].
//!
//! The outcome keeps the layer of every field, so that nobody has to guess why
//! a sandbox got what it got; a refusal names the layers for the same reason.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::id::ProfileId;
use crate::merge::{self, Layered};
use crate::name::{ProfileName, RunnerId, RuntimeClass};
use crate::profile::{Profile, ProfileSpec, Revision, form};
use crate::runner::{Binding, DeploymentOverrides, Runner};
use crate::violation::{FieldPath, Violation};

mod complete;

pub use complete::check_complete;

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

/// What a binding makes of its profile on its runner.
///
/// Violations are in fields of the outcome, and say which layers they are from.
pub fn resolve(
    runner: &Runner,
    binding: &Binding,
    profile: &Profile,
) -> Result<ResolvedSpec, Vec<Violation>> {
    let zone_defaults = Arc::new(Layer::ZoneDefaults {
        runner: runner.id.clone(),
        revision: runner.revision,
    });
    let name = binding.alias.clone();
    let bound = Arc::new(Layer::Profile {
        id: profile.id,
        name: name.unwrap_or_else(|| profile.display_name.clone().into()),
        revision: profile.revision,
    });
    let overrides = Arc::new(Layer::Binding {
        runner: runner.id.clone(),
        revision: runner.revision,
    });
    let mut layers = Layered::new();
    lay(&mut layers, &runner.settings.zone_defaults, &zone_defaults);
    lay(&mut layers, &profile.spec, &bound);
    if let Some(patch) = &binding.overrides {
        layers.patch(patch.as_map(), &overrides);
    }
    let resolved = settle(&layers, &overrides)?;
    let violations = check_complete(&resolved.spec, &runner.settings);
    if violations.is_empty() {
        return Ok(resolved);
    }
    let origins = &resolved.provenance.0;
    Err(violations
        .into_iter()
        .map(|violation| with_layers(violation, origins, None))
        .collect())
}

impl ResolvedSpec {
    /// Lays one more layer over the outcome, such as what a request sets.
    pub fn overlay(&self, spec: &ProfileSpec, layer: Layer) -> Result<Self, Vec<Violation>> {
        let layer = Arc::new(layer);
        let mut layers = Layered::resume(form::encode(&self.spec), self.provenance.0.clone());
        lay(&mut layers, spec, &layer);
        settle(&layers, &layer)
    }

    /// The isolation backend: what the spec names, else what the runner has for
    /// sandboxes with or without a GPU; `None` is the default of the machine.
    pub fn runtime_class<'a>(
        &'a self,
        runner: &'a DeploymentOverrides,
        has_gpu: bool,
    ) -> Option<&'a RuntimeClass> {
        let fallback = if has_gpu {
            &runner.gpu_runtime_class
        } else {
            &runner.cpu_runtime_class
        };
        self.spec.runtime_class.as_ref().or(fallback.as_ref())
    }
}

impl Provenance {
    /// The layer that a leaf field came from.
    pub fn get(&self, path: &FieldPath) -> Option<&Layer> {
        self.0.get(path).map(AsRef::as_ref)
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

impl fmt::Display for Layer {
    /// The layer as a sentence names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZoneDefaults { runner, .. } => write!(f, "the zone defaults of runner {runner}"),
            Self::Profile { name, revision, .. } => {
                write!(f, "profile {:?}, revision {}", name.as_str(), revision.0)
            }
            Self::Binding { runner, .. } => {
                write!(f, "the overrides of the binding on runner {runner}")
            }
            Self::Request => f.write_str("the request"),
        }
    }
}

type Origins = BTreeMap<FieldPath, Arc<Layer>>;

/// The fields that name choices; the last layer that has one has all of it.
const CHOICES: [[&str; 2]; 2] = [["network", "egress"], ["network", "ingress"]];

fn lay(layers: &mut Layered<Arc<Layer>>, spec: &ProfileSpec, layer: &Arc<Layer>) {
    let fields = form::encode(spec);
    for [block, choices] in CHOICES {
        if fields.get(block).is_some_and(|b| b.get(choices).is_some()) {
            layers.remove(&[block, choices]);
        }
    }
    layers.overlay(&fields, layer);
}

/// Takes what the layers made as a spec. What one of them left behind without
/// effect is gone from the outcome, and from the provenance.
fn settle(layers: &Layered<Arc<Layer>>, last: &Arc<Layer>) -> Result<ResolvedSpec, Vec<Violation>> {
    let origins = layers.origins();
    let spec = form::decode_merged(layers.value()).map_err(|violations| {
        violations
            .into_iter()
            .map(|violation| with_layers(violation, origins, Some(last)))
            .collect::<Vec<_>>()
    })?;
    let conflicts = form::conflicts(&spec);
    if !conflicts.is_empty() {
        return Err(conflicts
            .into_iter()
            .map(|conflict| with_both_layers(conflict, origins))
            .collect());
    }
    let provenance = merge::leaves(&Value::Object(form::encode(&spec)))
        .into_iter()
        .filter_map(|path| {
            let layer = nearest(origins, &path)?.clone();
            Some((path, layer))
        })
        .collect();
    Ok(ResolvedSpec { spec, provenance })
}

/// The layer of a leaf. A leaf that nobody set, as it has a default, is from
/// the layer of what stands around it.
fn nearest<'a>(origins: &'a Origins, path: &FieldPath) -> Option<&'a Arc<Layer>> {
    if let Some(layer) = origins.get(path) {
        return Some(layer);
    }
    let steps = path.steps();
    (0..steps.len()).rev().find_map(|len| {
        let around = steps[..len].iter().cloned().collect::<FieldPath>();
        touching(origins, &around).next_back()
    })
}

/// The layers of all leaves at a place, below it, or that it is a part of.
fn touching<'a>(
    origins: &'a Origins,
    path: &FieldPath,
) -> impl DoubleEndedIterator<Item = &'a Arc<Layer>> {
    let path = path.clone();
    origins
        .iter()
        .filter(move |(leaf, _)| path.is_above(leaf) || leaf.is_above(&path))
        .map(|(_, layer)| layer)
}

/// Says which layers a wrong field is from; what no layer set is what the last
/// one took away.
fn with_layers(violation: Violation, origins: &Origins, last: Option<&Arc<Layer>>) -> Violation {
    let mut names = Vec::new();
    for layer in touching(origins, &violation.path) {
        let name = layer.to_string();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let from = match (names.is_empty(), last) {
        (false, _) => format!(" (set by {})", names.join(" and ")),
        (true, Some(last)) => format!(" (as left by {last})"),
        (true, None) => String::new(),
    };
    Violation {
        description: violation.description + &from,
        ..violation
    }
}

fn with_both_layers(conflict: form::Conflict, origins: &Origins) -> Violation {
    let name = |path| nearest(origins, path).map(ToString::to_string);
    let from = match (name(&conflict.path), name(&conflict.with)) {
        (Some(here), Some(there)) if here == there => format!(" (both set by {here})"),
        (Some(here), Some(there)) => {
            format!(" (set by {here}; {} is set by {there})", conflict.with)
        }
        (None, _) | (_, None) => String::new(),
    };
    let violation = Violation::from(conflict);
    Violation {
        description: violation.description + &from,
        ..violation
    }
}

#[cfg(test)]
mod tests;
