//! Which nodes a sandbox can land on.
//!
//! What a profile demands of the machine is demanded of every alternative that a
//! pod patch offers: a patch cannot widen it.

use palisade_model::name::InstanceType;
use palisade_model::sandbox::{GpuKind, Launch};
use serde_json::{Value, json};

use crate::settings::Settings;

/// Adds what the launch demands to the affinity of a pod's spec.
pub(super) fn constrain(spec: &mut Value, launch: &Launch, settings: &Settings) {
    let demands = demands(launch, settings);
    if demands.is_empty() {
        return;
    }
    let Some(terms) = member_at(spec, &PATH) else {
        return;
    };
    if terms.is_null() || terms.as_array().is_some_and(Vec::is_empty) {
        *terms = json!([{}]);
    }
    for term in terms.as_array_mut().into_iter().flatten() {
        let Some(expressions) = member_at(term, &["matchExpressions"]) else {
            continue;
        };
        if expressions.is_null() {
            *expressions = Value::Array(demands.clone());
        } else if let Some(list) = expressions.as_array_mut() {
            list.extend(demands.iter().cloned());
        }
    }
}

/// The terms of which a node has to meet one.
const PATH: [&str; 4] = [
    "affinity",
    "nodeAffinity",
    "requiredDuringSchedulingIgnoredDuringExecution",
    "nodeSelectorTerms",
];

/// The member at a path, made where nothing is. `None` where a patch put
/// something that no server takes as an object, and that it refuses as a whole.
pub(super) fn member_at<'a>(value: &'a mut Value, path: &[&str]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, key| {
        if value.is_null() {
            *value = json!({});
        }
        Some(value.as_object_mut()?.entry(*key).or_insert(Value::Null))
    })
}

fn demands(launch: &Launch, settings: &Settings) -> Vec<Value> {
    let mut demands = Vec::new();
    if !launch.instance_types.is_empty() {
        let types = launch.instance_types.iter().map(InstanceType::as_str);
        let types: Vec<&str> = types.collect();
        demands.push(expression(&settings.instance_type_label, "In", &types));
    }
    let gpu = launch.resources.gpu.as_ref();
    match gpu.map(|gpu| &gpu.kind) {
        Some(GpuKind::Type(name)) => {
            demands.push(expression(&settings.gpu_type_label, "In", &[name]));
        }
        // «At least» is one less than what is greater.
        Some(GpuKind::MemoryGb(size)) => {
            let below = size.saturating_sub(1).to_string();
            demands.push(expression(&settings.gpu_memory_label, "Gt", &[&below]));
        }
        Some(GpuKind::Any) | None => {}
    }
    demands
}

fn expression(key: &str, operator: &str, values: &[&str]) -> Value {
    json!({ "key": key, "operator": operator, "values": values })
}
