//! Profiles as the wire spells them.

use std::collections::BTreeMap;

use palisade_model::profile::{self, Profile, form};
use palisade_model::quantity::Quantity;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::spelling::{SPEC, to_wire};
use crate::timestamp;

/// A profile: the guardrails that an administrator wrote, under a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProfileTemplate {
    /// The identity, assigned by the server.
    #[schema(read_only, format = "uuid")]
    pub id: String,
    /// The organization that owns it.
    #[schema(read_only)]
    pub organization_id: String,
    /// What people call it; unique in the organization, and never changed.
    pub display_name: String,
    /// Free text for people.
    pub description: String,
    /// The guardrails.
    pub spec: ProfileSpec,
    /// Labels of the owner; they have no meaning to the system.
    pub labels: BTreeMap<String, String>,
    /// When it was made.
    #[schema(read_only, format = DateTime)]
    pub created_at: String,
    /// When it last changed.
    #[schema(read_only, format = DateTime)]
    pub updated_at: String,
    /// The number of its present revision, counted from 1.
    #[schema(read_only)]
    pub revision: u32,
    /// Names the present state; sent back with a change, it refuses to change
    /// any other.
    pub etag: String,
}

/// What a sandbox gets. Absent fields inherit from the runner's zone defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProfileSpec {
    /// The image of the sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_image: Option<String>,
    /// The isolation backend, by the name it has on the runner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_class: Option<String>,
    /// What a sandbox gets that does not ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_defaults: Option<ResourceDefaults>,
    /// The most that a sandbox may ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_ceiling: Option<ResourceCeiling>,
    /// The classes of machines it may land on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_types: Option<Vec<String>>,
    /// Node labels that it needs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Free tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// The namespace block, as JSON in a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = r#"{"strategy":"per-user"}"#)]
    pub namespace_config_json: Option<String>,
    /// The network block, as JSON in a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        example = r#"{"egress":{"default":"deny-all","modes":{"deny-all":{"type":"none"}}}}"#
    )]
    pub network_config_json: Option<String>,
    /// The pod block, as JSON in a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = r#"{"spec":{"terminationGracePeriodSeconds":20}}"#)]
    pub pod_template_json: Option<String>,
}

/// Default requests and limits, as Kubernetes quantities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceDefaults {
    /// CPU that is set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_request: Option<String>,
    /// Memory that is set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_request: Option<String>,
    /// CPU that can at most be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_limit: Option<String>,
    /// Memory that can at most be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<String>,
}

/// The most that a sandbox may ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceCeiling {
    /// Of CPU, as a Kubernetes quantity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Of memory, as a Kubernetes quantity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Of GPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<u32>,
}

/// A part of the profiles of an organization.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ListProfileTemplatesAnswer {
    /// The profiles, in the order of their display names.
    pub profile_templates: Vec<ProfileTemplate>,
    /// What to ask with for the next part; empty at the end.
    pub next_page_token: String,
}

/// A profile as it was at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProfileRevision {
    /// The number of the revision, counted from 1.
    pub revision: u32,
    /// The profile.
    #[schema(format = "uuid")]
    pub profile_template_id: String,
    /// What people called it.
    pub display_name: String,
    /// Free text for people.
    pub description: String,
    /// The guardrails.
    pub spec: ProfileSpec,
    /// Labels of the owner.
    pub labels: BTreeMap<String, String>,
    /// The user who wrote it.
    pub created_by: String,
    /// When it was written.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// A part of the revisions of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ListProfileRevisionsAnswer {
    /// The revisions, the newest first.
    pub profile_revisions: Vec<ProfileRevision>,
    /// What to ask with for the next part; empty at the end.
    pub next_page_token: String,
}

impl ProfileTemplate {
    /// The answer for a profile whose present state is named by `etag`.
    pub fn new(profile: &Profile, etag: String) -> Self {
        let Profile {
            id,
            organization,
            display_name,
            description,
            labels,
            spec,
            revision,
            created_at,
            updated_at,
        } = profile;
        Self {
            id: id.to_string(),
            organization_id: organization.to_string(),
            display_name: display_name.to_string(),
            description: description.clone(),
            spec: ProfileSpec::from(spec),
            labels: labels.clone(),
            created_at: timestamp::format(*created_at),
            updated_at: timestamp::format(*updated_at),
            revision: revision.0,
            etag,
        }
    }
}

impl From<&profile::ProfileSpec> for ProfileSpec {
    fn from(spec: &profile::ProfileSpec) -> Self {
        let blocks = to_wire(&Value::Object(form::encode(spec)), &SPEC);
        let block = |key: &str| blocks.get(key).and_then(Value::as_str).map(str::to_owned);
        let profile::ProfileSpec {
            container_image,
            runtime_class,
            resource_defaults,
            resource_ceiling,
            instance_types,
            node_selector,
            tags,
            namespace: _,
            network: _,
            pod: _,
        } = spec;
        Self {
            container_image: container_image.as_ref().map(ToString::to_string),
            runtime_class: runtime_class.as_ref().map(ToString::to_string),
            resource_defaults: filled(ResourceDefaults::from(resource_defaults)),
            resource_ceiling: filled(ResourceCeiling::from(resource_ceiling)),
            instance_types: instance_types.as_deref().map(texts),
            node_selector: node_selector.clone(),
            tags: tags.as_deref().map(texts),
            namespace_config_json: block("namespaceConfigJson"),
            network_config_json: block("networkConfigJson"),
            pod_template_json: block("podTemplateJson"),
        }
    }
}

impl From<&profile::ResourceDefaults> for ResourceDefaults {
    fn from(defaults: &profile::ResourceDefaults) -> Self {
        let profile::ResourceDefaults {
            cpu_request,
            memory_request,
            cpu_limit,
            memory_limit,
        } = defaults;
        Self {
            cpu_request: quantity(cpu_request.as_ref()),
            memory_request: quantity(memory_request.as_ref()),
            cpu_limit: quantity(cpu_limit.as_ref()),
            memory_limit: quantity(memory_limit.as_ref()),
        }
    }
}

impl From<&profile::ResourceCeiling> for ResourceCeiling {
    fn from(ceiling: &profile::ResourceCeiling) -> Self {
        let profile::ResourceCeiling { cpu, memory, gpu } = ceiling;
        Self {
            cpu: quantity(cpu.as_ref()),
            memory: quantity(memory.as_ref()),
            gpu: *gpu,
        }
    }
}

fn quantity(amount: Option<&Quantity>) -> Option<String> {
    amount.map(|amount| amount.as_str().to_owned())
}

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

/// Nothing instead of a block in which nothing is set.
pub(in crate::rest) fn filled<T: Default + PartialEq>(block: T) -> Option<T> {
    (block != T::default()).then_some(block)
}
