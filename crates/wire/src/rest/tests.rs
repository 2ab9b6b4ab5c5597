use palisade_model::profile::form;
use serde_json::json;

use super::*;

#[test]
fn the_types_of_the_wire_hold_every_field_of_a_spec() {
    let canonical = json!({
        "container_image": "a",
        "runtime_class": "b",
        "resource_defaults": {"cpuRequest": "1", "memoryRequest": "1", "cpuLimit": "2", "memoryLimit": "2"},
        "resource_ceiling": {"cpu": "4", "memory": "4", "gpu": 1},
        "instance_types": ["c"],
        "node_selector": {"d": "e"},
        "tags": ["f"],
        "namespace": {"strategy": "per-org"},
        "network": {"egress": {"default": "g", "modes": {"g": {"type": "none"}}}},
        "pod": {"spec": {"hostname": "h"}},
    });
    let names = canonical.as_object().unwrap().keys().collect::<Vec<_>>();
    assert_eq!(names, form::FIELDS);
    let spec = form::decode(&canonical).unwrap();
    let answer = serde_json::to_value(ProfileSpec::from(&spec)).unwrap();
    let spelled = crate::spelling::to_wire(&canonical, &crate::spelling::SPEC);
    assert_eq!(answer, spelled);
    let again: ProfileSpec = serde_json::from_value(answer.clone()).unwrap();
    assert_eq!(serde_json::to_value(again).unwrap(), answer);
}

#[test]
fn a_client_passes_over_words_that_are_newer_than_it() {
    let runner: Runner = serde_json::from_value(json!({
        "installStatus": "RUNNER_INSTALL_STATUS_EXPLODED",
        "connectionStatus": "x",
        "managedSpec": {"releaseChannel": "RELEASE_CHANNEL_NIGHTLY"},
        "somethingNew": {},
    }))
    .unwrap();
    assert_eq!(runner.install_status, InstallStatus::Unknown);
    assert_eq!(runner.managed_spec.release_channel, ReleaseChannel::Unknown);
}
