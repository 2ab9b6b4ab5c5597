//! What one binding offers, and what its runner lacks for it.
//!
//! Both are worked out when a runner is put into the fleet or reports anew, as
//! they do not depend on any request.

use std::sync::Arc;

use crate::id::ProfileId;
use crate::name::{InstanceType, ProfileName};
use crate::pod;
use crate::profile::{Profile, ProfileSpec, Revision};
use crate::resolve::{self, ResolvedSpec};
use crate::runner::{Binding, Capabilities, Runner};
use crate::violation::{FieldPath, Violation, ViolationKind};

use super::fleet::Report;

/// The node label that tells the architecture of a machine.
const ARCHITECTURE_LABEL: &str = "kubernetes.io/arch";

/// A profile as one runner offers it.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The profile.
    pub profile: ProfileId,
    /// The revision that was resolved.
    pub profile_revision: Revision,
    /// The name it has on the runner.
    pub name: ProfileName,
    /// What the profile is called where it has no alias.
    pub display_name: ProfileName,
    /// Whether it serves requests that name no profile.
    pub is_default: bool,
    /// What the layers make of it, or why they make nothing.
    pub spec: Result<Arc<ResolvedSpec>, Arc<[Violation]>>,
}

/// What a runner lacks for an offer, whatever the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lacks {
    /// Fields of the pod patch that the runner cannot honour.
    pub(super) pod_fields: Vec<String>,
    /// Fields of the pod patch that need a privileged runner.
    pub(super) privileged: Vec<String>,
    /// The instance types that the profile needs, if the runner has none of them.
    pub(super) instance_types: Vec<InstanceType>,
    /// Node labels that no machine of the runner has, as `key=value`.
    pub(super) node_labels: Vec<String>,
    /// The architecture that the profile needs and the runner has not.
    pub(super) architecture: Option<String>,
}

impl Offer {
    /// What the bindings of a runner offer, the default one first.
    pub(super) fn all_of(
        runner: &Runner,
        profile_of: impl Fn(ProfileId) -> Option<Arc<Profile>>,
    ) -> Vec<Self> {
        let bindings = runner.bindings.as_slice().iter();
        let (default, others): (Vec<_>, Vec<_>) = bindings.partition(|binding| binding.is_default);
        default
            .into_iter()
            .chain(others)
            .map(|binding| Self::new(runner, binding, profile_of(binding.profile).as_deref()))
            .collect()
    }

    fn new(runner: &Runner, binding: &Binding, profile: Option<&Profile>) -> Self {
        let Some(profile) = profile else {
            return Self::missing(binding);
        };
        let display_name = ProfileName::from(profile.display_name.clone());
        Self {
            profile: profile.id,
            profile_revision: profile.revision,
            name: binding
                .alias
                .clone()
                .unwrap_or_else(|| display_name.clone()),
            display_name,
            is_default: binding.is_default,
            spec: resolve::resolve(runner, binding, profile)
                .map(Arc::new)
                .map_err(Into::into),
        }
    }

    /// A binding whose profile is not there. The store allows no such binding;
    /// a snapshot can see one while changes arrive one by one.
    fn missing(binding: &Binding) -> Self {
        let id = binding.profile.to_string();
        let name = ProfileName::new(id).expect("an id is a name of printable characters");
        let violation = Violation::new(
            FieldPath::root(),
            ViolationKind::Required,
            "names a profile that does not exist",
        );
        Self {
            profile: binding.profile,
            profile_revision: Revision::FIRST,
            name: binding.alias.clone().unwrap_or_else(|| name.clone()),
            display_name: name,
            is_default: binding.is_default,
            spec: Err([violation].into()),
        }
    }
}

impl Lacks {
    /// `None` if it lacks nothing, as far as is known: a profile may not resolve,
    /// and a runner may not have reported yet.
    pub(super) fn new(offer: &Offer, report: Option<&Report>) -> Option<Self> {
        let spec = &offer.spec.as_deref().ok()?.spec;
        let capabilities = &report?.capabilities;
        let lacks = Self {
            pod_fields: unsupported_fields(spec, capabilities),
            privileged: privileged_fields(spec, capabilities),
            instance_types: absent_instance_types(spec, capabilities),
            node_labels: absent_labels(spec, capabilities),
            architecture: absent_architecture(spec, capabilities),
        };
        (lacks != Self::default()).then_some(lacks)
    }
}

fn unsupported_fields(spec: &ProfileSpec, capabilities: &Capabilities) -> Vec<String> {
    let patch = spec.pod.as_ref();
    patch
        .map(|patch| capabilities.pod_fields.unsupported(patch))
        .unwrap_or_default()
}

fn privileged_fields(spec: &ProfileSpec, capabilities: &Capabilities) -> Vec<String> {
    if capabilities.privileged {
        return Vec::new();
    }
    let escapes = spec.pod.as_ref().map(pod::escapes).unwrap_or_default();
    escapes
        .into_iter()
        .map(|escape| escape.path.to_string())
        .collect()
}

fn absent_instance_types(spec: &ProfileSpec, capabilities: &Capabilities) -> Vec<InstanceType> {
    let wanted = spec.instance_types();
    let has_one = wanted
        .iter()
        .any(|wanted| capabilities.instance_types.contains(wanted.as_str()));
    if has_one { Vec::new() } else { wanted }
}

/// The architecture is judged by what the runner says of it, see
/// [`absent_architecture`].
fn absent_labels(spec: &ProfileSpec, capabilities: &Capabilities) -> Vec<String> {
    spec.node_selector
        .iter()
        .filter(|(key, value)| {
            key.as_str() != ARCHITECTURE_LABEL && capabilities.node_labels.get(*key) != Some(value)
        })
        .map(|(key, value)| format!("{key}={value}"))
        .collect()
}

fn absent_architecture(spec: &ProfileSpec, capabilities: &Capabilities) -> Option<String> {
    let wanted = spec.node_selector.get(ARCHITECTURE_LABEL)?;
    (!capabilities.architectures.contains(wanted)).then(|| wanted.clone())
}
