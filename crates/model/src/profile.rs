//! Profiles: the guardrails that an administrator writes.
//!
//! A [`ProfileSpec`] is one layer: every field may be absent, and an absent
//! field inherits from the layer below. Values are valid by construction and a
//! spec is consistent in itself; what the layers make together is decided in
//! [`crate::resolve`]. The structured form of a spec, which overrides patch and
//! the store keeps, is in [`form`]. What holds when no layer speaks is said by
//! the accessors of [`ProfileSpec`] and [`NamespaceSpec`], and nowhere else.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::id::ProfileId;
use crate::image::ImageReference;
use crate::name::{DisplayName, InstanceType, OrganizationId, RuntimeClass, Tag};
use crate::quantity::Quantity;

mod defaults;
pub mod form;
mod namespace;
mod network;

pub use namespace::{
    NamespacePrefix, NamespacePrefixError, NamespaceSpec, NamespaceStrategy, StaticNamespace,
    StaticNamespaceError, StrategyKind,
};
pub use network::{
    Annotation, AnnotationError, Egress, EgressError, EgressMode, EgressType, Exposure, Ingress,
    IngressRoute, NetworkSpec, Scope, ServiceSpec, ServiceType,
};

/// A profile as the store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The identity, assigned by the server.
    pub id: ProfileId,
    /// The owner.
    pub organization: OrganizationId,
    /// What people call it; never changes.
    pub display_name: DisplayName,
    /// Free text for people; may be empty.
    pub description: String,
    /// Labels of the owner; they have no meaning to the system.
    pub labels: BTreeMap<String, String>,
    /// The guardrails.
    pub spec: ProfileSpec,
    /// The number of the present revision, counted from 1.
    pub revision: Revision,
    /// When the first revision was made.
    pub created_at: Timestamp,
    /// When the present revision was made.
    pub updated_at: Timestamp,
}

/// The number of a version of a profile or a runner, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(pub u32);

impl Revision {
    /// The revision that a new object has.
    pub const FIRST: Self = Self(1);

    /// The revision after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// One layer of what a sandbox gets. Absent fields inherit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileSpec {
    /// The image of the sandbox.
    pub container_image: Option<ImageReference>,
    /// The isolation backend, by the name it has on the runner.
    pub runtime_class: Option<RuntimeClass>,
    /// What a sandbox gets that does not ask.
    pub resource_defaults: ResourceDefaults,
    /// The most that a sandbox may ask for.
    pub resource_ceiling: ResourceCeiling,
    /// The classes of machines it may land on; any when absent.
    pub instance_types: Option<Vec<InstanceType>>,
    /// Node labels that it needs.
    pub node_selector: BTreeMap<String, String>,
    /// Free tags, without meaning to the system.
    pub tags: Option<Vec<Tag>>,
    /// Where it lands.
    pub namespace: NamespaceSpec,
    /// Whom it may reach, and who may reach it.
    pub network: Option<NetworkSpec>,
    /// A patch of the generated pod.
    pub pod: Option<PodPatch>,
}

/// Default requests and limits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourceDefaults {
    /// CPU that is set aside.
    pub cpu_request: Option<Quantity>,
    /// Memory that is set aside.
    pub memory_request: Option<Quantity>,
    /// CPU that can at most be used.
    pub cpu_limit: Option<Quantity>,
    /// Memory that can at most be used.
    pub memory_limit: Option<Quantity>,
}

/// The most that a request may ask for; absent means no ceiling here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourceCeiling {
    /// Of CPU.
    pub cpu: Option<Quantity>,
    /// Of memory.
    pub memory: Option<Quantity>,
    /// Of GPUs.
    pub gpu: Option<u32>,
}

/// A partial pod: `metadata`, `spec` and `placement`, as Kubernetes spells them.
///
/// Only the shape of the outer layer is checked here; [`crate::pod`] merges it
/// and judges what it would weaken.
#[derive(Clone, Debug, PartialEq)]
pub struct PodPatch(Map<String, Value>);

impl PodPatch {
    /// Takes a structured patch. Checked by [`form`], which is the way in.
    pub(crate) fn new(patch: Map<String, Value>) -> Self {
        Self(patch)
    }

    /// The patch in its structured form.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The classes of machines that `placement` names; empty when it names none.
    pub fn instance_types(&self) -> Vec<InstanceType> {
        let list = self.0.get("placement").and_then(|p| p.get("instanceTypes"));
        list.and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|item| InstanceType::new(item.as_str()?).ok())
            .collect()
    }
}
