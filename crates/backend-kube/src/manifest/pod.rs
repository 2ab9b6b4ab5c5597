//! The pod of a sandbox.
//!
//! Generated first, then patched with `spec.pod` of the profile, then made to
//! hold again what a patch must not change: that it runs once, whose it is, how
//! long it lives, and which machines it may land on.

use std::collections::BTreeMap;
use std::time::Duration;

use palisade_model::pod::apply;
use palisade_model::sandbox::{Launch, PodMetadata};
use serde_json::{Map, Value, json};

use super::{Made, container, metadata, placement, program};
use crate::naming;
use crate::settings::Settings;

/// How long the node waits between asking and killing once the time of a sandbox
/// is over. Short, as the grace of a stop is over by then; a profile whose
/// sandboxes need longer when a node is drained says so in `spec.pod`.
pub const GRACE_SECONDS: i64 = 2;

/// The pod of a launch.
pub fn pod(launch: &Launch, settings: &Settings) -> Made {
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(launch, settings, &naming::object(launch.id)),
        "spec": {
            "automountServiceAccountToken": false,
            "containers": [container::container(launch, settings)],
            "enableServiceLinks": false,
            "restartPolicy": "Never",
            "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
            "terminationGracePeriodSeconds": GRACE_SECONDS,
        },
    });
    let spec = &mut object["spec"];
    if let Some(class) = &launch.runtime_class {
        spec["runtimeClassName"] = class.as_str().into();
    }
    let volumes = container::volumes(launch);
    if !volumes.is_empty() {
        spec["volumes"] = Value::Array(volumes);
    }
    let dropped = match &launch.pod {
        Some(patch) => apply(&mut object, patch, naming::MAIN_CONTAINER),
        None => Vec::new(),
    };
    share_processes(&mut object["spec"]);
    program::add(&mut object["spec"], launch, settings);
    hold(&mut object, launch, settings);
    Made { object, dropped }
}

/// Makes the main process one that signals from inside can end, as process 1 of
/// a pod is not. Only where nothing else runs beside it: containers of a pod that
/// share their processes can look into each other, and what a profile puts
/// beside a sandbox may hold what the sandbox is not to see.
fn share_processes(spec: &mut Value) {
    let key = "shareProcessNamespace";
    let is_alone = spec["containers"]
        .as_array()
        .is_some_and(|all| all.len() == 1);
    let init = spec["initContainers"].as_array();
    let stays = init.is_some_and(|all| all.iter().any(|one| one.get("restartPolicy").is_some()));
    let is_host = spec["hostPID"] == true;
    if is_alone && !stays && !is_host && spec.get(key).is_none() {
        spec[key] = true.into();
    }
}

/// What holds whatever a patch says.
fn hold(object: &mut Value, launch: &Launch, settings: &Settings) {
    let metadata = &mut object["metadata"];
    // The request has the last word on metadata; the system has it on its own.
    let PodMetadata {
        labels,
        annotations,
    } = &launch.metadata;
    let texts = |map: &BTreeMap<String, String>| {
        let pairs = map.iter();
        let pairs = pairs.map(|(key, value)| (key.clone(), Value::String(value.clone())));
        pairs.collect::<Map<_, _>>()
    };
    put(metadata, "labels", texts(labels));
    put(metadata, "annotations", texts(annotations));
    put(metadata, "labels", naming::labels(launch, settings));
    let spec = &mut object["spec"];
    spec["restartPolicy"] = "Never".into();
    // What the profile demands of nodes stays beside what its patch demands.
    for (key, value) in &launch.node_selector {
        if let Some(label) = placement::member_at(spec, &["nodeSelector", key]) {
            *label = value.as_str().into();
        }
    }
    placement::constrain(spec, launch, settings);
    if let Some(lifetime) = launch.max_lifetime {
        let lifetime = lifetime.saturating_add(LIFETIME_SLACK);
        let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX).max(1);
        let patched = spec["activeDeadlineSeconds"].as_i64().unwrap_or(i64::MAX);
        spec["activeDeadlineSeconds"] = seconds.min(patched).min(SECONDS_MAX).into();
    }
}

/// How much later than the runner the node ends a sandbox whose time is over. That
/// is for the case that the runner is gone; the node counts the time that it
/// takes to pull the image, which the runner does not.
const LIFETIME_SLACK: Duration = Duration::from_mins(10);

/// The longest deadline that a pod can have.
const SECONDS_MAX: i64 = i32::MAX as i64;

/// Puts these into a block, in the place of what is there under their keys.
fn put(metadata: &mut Value, block: &str, texts: Map<String, Value>) {
    for (key, text) in texts {
        if let Some(place) = placement::member_at(metadata, &[block, &key]) {
            *place = text;
        }
    }
}
