//! Runners as people write them, ready to be edited and sent back.

use palisade_model::profile::{ProfileSpec, ResourceDefaults, form};
use palisade_model::runner::{
    Binding, DeploymentOverrides, MaintenancePolicy, Runner, RunnerSettings, Scaling, Toleration,
};
use serde_json::{Map, Value, json};

use crate::rest::strings;
use crate::timestamp;

/// The configuration of a runner in canonical spelling.
///
/// What has its default is left out.
pub fn write_runner(runner: &Runner) -> Map<String, Value> {
    let Runner {
        uid: _,
        organization: _,
        display_name,
        id,
        zone,
        cluster,
        group,
        settings,
        bindings,
        revision: _,
        created_at: _,
        updated_at: _,
        deleting_since: _,
        drain_until: _,
    } = runner;
    let identity = json!({
        "runner_id": id.as_str(),
        "zone": zone.as_str(),
        "cluster_name": cluster.name.as_str(),
        "runner_group_id": group.as_str(),
    });
    let bindings = bindings.as_slice().iter().map(write_binding).collect();
    object([
        ("display_name", filled(text(display_name))),
        ("identity", Some(identity)),
        ("managed_spec", filled(write_settings(settings))),
        ("profile_bindings", Some(bindings)),
    ])
}

/// The settings in canonical spelling.
pub(crate) fn write_settings(settings: &RunnerSettings) -> Value {
    let RunnerSettings {
        release_channel,
        maintenance,
        overrides,
        zone_defaults,
        allow_privileged_profile_annotations,
        enforce_resource_limits,
    } = settings;
    Value::Object(object([
        ("release_channel", Some(text(release_channel.as_str()))),
        ("maintenance_policy", filled(write_maintenance(maintenance))),
        ("overrides", filled(write_overrides(overrides))),
        (
            "allow_privileged_profile_annotations",
            flag(*allow_privileged_profile_annotations),
        ),
        ("enforce_resource_limits", flag(*enforce_resource_limits)),
        ("zone_defaults", filled(write_spec(zone_defaults))),
    ]))
}

/// A binding in canonical spelling.
pub(crate) fn write_binding(binding: &Binding) -> Value {
    let Binding {
        profile,
        alias,
        is_default,
        overrides,
    } = binding;
    Value::Object(object([
        ("profile_template_id", Some(text(&profile.to_string()))),
        (
            "profile_name",
            alias.as_ref().map(|alias| text(alias.as_str())),
        ),
        ("is_default", flag(*is_default)),
        (
            "overrides_json",
            overrides
                .as_ref()
                .map(|patch| Value::Object(patch.as_map().clone())),
        ),
    ]))
}

fn write_spec(spec: &ProfileSpec) -> Value {
    Value::Object(form::encode(spec))
}

fn write_maintenance(policy: &MaintenancePolicy) -> Value {
    let MaintenancePolicy {
        windows,
        exclusions,
    } = policy;
    let windows = windows
        .iter()
        .map(|window| json!({"cron": window.cron, "duration_seconds": window.duration_seconds}));
    let exclusions = exclusions.iter().map(|exclusion| {
        Value::Object(object([
            (
                "start_time",
                Some(text(&timestamp::format(exclusion.start))),
            ),
            ("end_time", Some(text(&timestamp::format(exclusion.end)))),
            ("reason", filled(text(&exclusion.reason))),
        ]))
    });
    Value::Object(object([
        ("windows", filled(windows.collect())),
        ("exclusions", filled(exclusions.collect())),
    ]))
}

fn write_overrides(overrides: &DeploymentOverrides) -> Value {
    let DeploymentOverrides {
        node_selector,
        tolerations,
        resources,
        annotations,
        labels,
        env,
        args,
        scaling,
        cpu_runtime_class,
        gpu_runtime_class,
    } = overrides;
    let class = |class: &palisade_model::name::RuntimeClass| text(class.as_str());
    Value::Object(object([
        ("node_selector", filled(strings(node_selector))),
        (
            "tolerations",
            filled(tolerations.iter().map(write_toleration).collect()),
        ),
        ("resources", filled(write_resources(resources))),
        ("annotations", filled(strings(annotations))),
        ("labels", filled(strings(labels))),
        ("env", filled(strings(env))),
        ("args", filled(args.iter().map(|arg| text(arg)).collect())),
        ("scaling", filled(write_scaling(scaling))),
        ("cpu_runtime_class", cpu_runtime_class.as_ref().map(class)),
        ("gpu_runtime_class", gpu_runtime_class.as_ref().map(class)),
    ]))
}

fn write_toleration(toleration: &Toleration) -> Value {
    let Toleration {
        key,
        operator,
        value,
        effect,
    } = toleration;
    Value::Object(object([
        ("key", filled(text(key))),
        ("operator", filled(text(operator))),
        ("value", filled(text(value))),
        ("effect", filled(text(effect))),
    ]))
}

fn write_resources(resources: &ResourceDefaults) -> Value {
    let ResourceDefaults {
        cpu_request,
        memory_request,
        cpu_limit,
        memory_limit,
    } = resources;
    let quantity = |amount: &Option<palisade_model::quantity::Quantity>| {
        amount.as_ref().map(|amount| text(amount.as_str()))
    };
    Value::Object(object([
        ("cpu_request", quantity(cpu_request)),
        ("memory_request", quantity(memory_request)),
        ("cpu_limit", quantity(cpu_limit)),
        ("memory_limit", quantity(memory_limit)),
    ]))
}

fn write_scaling(scaling: &Scaling) -> Value {
    let Scaling {
        replicas,
        autoscaling_enabled,
        min_replicas,
        max_replicas,
    } = scaling;
    Value::Object(object([
        ("replicas", replicas.map(Value::from)),
        ("autoscaling_enabled", flag(*autoscaling_enabled)),
        ("min_replicas", min_replicas.map(Value::from)),
        ("max_replicas", max_replicas.map(Value::from)),
    ]))
}

fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    fields
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}

fn text(text: &str) -> Value {
    Value::from(text)
}

fn flag(flag: bool) -> Option<Value> {
    flag.then_some(Value::Bool(true))
}

/// Nothing instead of an empty text, list or map.
fn filled(value: Value) -> Option<Value> {
    let is_empty = match &value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    };
    (!is_empty).then_some(value)
}
