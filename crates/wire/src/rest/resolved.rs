//! What a binding makes of its profile, field by field.

use palisade_model::profile::form;
use palisade_model::resolve::{Layer, ResolvedSpec};
use palisade_model::runner::{Binding, DeploymentOverrides, Runner};
use palisade_model::violation::{FieldPath, Step};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::rest::ProfileSpec;

/// A profile as one runner offers it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResolvedProfile {
    /// The runner.
    pub runner_id: String,
    /// The profile.
    pub profile_template_id: String,
    /// The name that the profile has there.
    pub profile_name: String,
    /// The revision of the profile.
    pub profile_revision: u32,
    /// Whether it serves requests that name no profile.
    pub is_default: bool,
    /// What all layers make together.
    pub spec: ProfileSpec,
    /// Every field and the layer that it came from, in the order of the paths.
    pub fields: Vec<ResolvedField>,
}

/// A field of a resolved profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResolvedField {
    /// Its path, in the spelling of YAML.
    pub path: String,
    /// What it is.
    pub value: Value,
    /// The kind of layer that it came from.
    pub layer: FieldLayer,
    /// The layer for a person, such as «profile "agents", revision 3».
    pub source: String,
    /// Whether this is only what holds if a request does not choose.
    pub is_request_default: bool,
}

/// A kind of layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldLayer {
    /// No layer set it; it holds as nobody did.
    #[default]
    BuiltIn,
    /// The deployment of the runner.
    Runner,
    /// The zone defaults of the runner.
    ZoneDefaults,
    /// The profile.
    Profile,
    /// The overrides of the binding.
    Binding,
    /// The request.
    Request,
}

/// What a request may choose instead of what the layers say.
const REQUEST_MAY_SET: [&[&str]; 3] = [
    &["container_image"],
    &["resource_defaults"],
    &["network", "egress", "default"],
];

impl ResolvedProfile {
    /// What `resolved` is, which the binding made of its profile.
    pub fn new(runner: &Runner, binding: &Binding, resolved: &ResolvedSpec) -> Self {
        let spec = Value::Object(form::encode(&resolved.spec));
        let provenance = resolved.provenance.iter();
        let mut fields = provenance
            .map(|(path, layer)| from_layer(path, layer, &spec))
            .collect::<Vec<_>>();
        fields.extend(unset(resolved, &runner.settings.overrides));
        fields.sort_by(|a, b| a.path.cmp(&b.path));
        Self {
            runner_id: runner.id.to_string(),
            profile_template_id: binding.profile.to_string(),
            is_default: binding.is_default,
            spec: ProfileSpec::from(&resolved.spec),
            fields,
            ..Self::default()
        }
    }
}

fn from_layer(path: &FieldPath, layer: &Layer, spec: &Value) -> ResolvedField {
    let kind = match layer {
        Layer::ZoneDefaults { .. } => FieldLayer::ZoneDefaults,
        Layer::Profile { .. } => FieldLayer::Profile,
        Layer::Binding { .. } => FieldLayer::Binding,
        Layer::Request => FieldLayer::Request,
    };
    ResolvedField {
        path: path.to_string(),
        value: at(spec, path).cloned().unwrap_or_default(),
        layer: kind,
        source: layer.to_string(),
        is_request_default: may_be_asked(path),
    }
}

fn at<'a>(spec: &'a Value, path: &FieldPath) -> Option<&'a Value> {
    let mut steps = path.steps().iter();
    steps.try_fold(spec, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    })
}

fn may_be_asked(path: &FieldPath) -> bool {
    REQUEST_MAY_SET.iter().any(|keys| {
        let keys = keys.iter().map(|key| Step::Key((*key).to_owned()));
        keys.collect::<FieldPath>().is_above(path)
    })
}

/// What holds where no layer said anything.
fn unset(resolved: &ResolvedSpec, runner: &DeploymentOverrides) -> Vec<ResolvedField> {
    let spec = &resolved.spec;
    let built_in = |keys: &[&str], value: Value| {
        let path: FieldPath = keys
            .iter()
            .map(|key| Step::Key((*key).to_owned()))
            .collect();
        ResolvedField {
            is_request_default: may_be_asked(&path),
            path: path.to_string(),
            value,
            layer: FieldLayer::BuiltIn,
            source: "nobody; this holds then".to_owned(),
        }
    };
    let mut fields = Vec::new();
    if spec
        .network
        .as_ref()
        .is_none_or(|network| network.egress.is_none())
    {
        let name = spec.egress().default_name().as_str();
        fields.push(built_in(&["network", "egress", "default"], name.into()));
    }
    if spec.namespace.strategy.is_none() {
        let strategy = spec.namespace.strategy().kind().as_str();
        fields.push(built_in(&["namespace", "strategy"], strategy.into()));
    }
    if spec.namespace.auto_create.is_none() {
        let is_made = spec.namespace.auto_create();
        fields.push(built_in(&["namespace", "autoCreate"], is_made.into()));
    }
    if spec.runtime_class.is_none()
        && let Some(class) = resolved.runtime_class(runner, false)
    {
        fields.push(ResolvedField {
            layer: FieldLayer::Runner,
            source: "the runner, for sandboxes without a GPU".to_owned(),
            ..built_in(&["runtime_class"], class.as_str().into())
        });
    }
    fields
}
