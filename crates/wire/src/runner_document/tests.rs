use palisade_model::clock::Timestamp;
use palisade_model::profile::Revision;
use palisade_model::runner::{Binding, Bindings, Cluster, Feature, Runner};
use serde_json::{Value, json};

use super::*;
use crate::document::{Format, parse, to_yaml};
use crate::rest;
use crate::spelling::Dialect;

const WHOLE: &str = "display_name: Lab
identity:
  runner_id: lab-1
  zone: US-EAST-04A
  cluster_name: lab
managed_spec:
  release_channel: RAPID
  maintenance_policy:
    windows:
      - {cron: 0 2 * * SAT, duration_seconds: 3600}
    exclusions:
      - start_time: \"2026-12-24T00:00:00Z\"
        end_time: \"2026-12-27T00:00:00Z\"
        reason: holidays
  overrides:
    tolerations: [{key: gpu, operator: Exists}]
    resources: {cpu_request: 1, cpu_limit: 2}
    env: {LOG: debug}
    args: [--verbose]
    scaling: {autoscaling_enabled: true, min_replicas: 1, max_replicas: 3}
    cpu_runtime_class: gvisor
  allow_privileged_profile_annotations: true
  enforce_resource_limits: true
  zone_defaults:
    container_image: python:3.11
profile_bindings:
  - profile_template_id: 0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d
    is_default: true
  - profile_template_id: ci
    profile_name: alias
    overrides_json:
      runtime_class: ~
      network: {egress: {modes: {a: ~}}}
";

fn draft(text: &str) -> Result<RunnerDraft, Vec<String>> {
    let node = parse(text.as_bytes(), Format::Yaml).unwrap();
    read_runner_draft(&node, &Source::whole(Dialect::Friendly), None)
        .map(|located| located.value)
        .map_err(shown)
}

fn edit(text: &str, dialect: Dialect) -> Result<RunnerEdit, Vec<String>> {
    let node = parse(text.as_bytes(), Format::Yaml).unwrap();
    read_runner_edit(&node, &Source::whole(dialect))
        .map(|located| located.value)
        .map_err(shown)
}

fn shown(findings: Vec<Finding>) -> Vec<String> {
    findings
        .into_iter()
        .map(|finding| finding.violation.to_string())
        .collect()
}

fn runner(draft: RunnerDraft) -> Runner {
    let ClusterRef::Name(name) = draft.cluster else {
        panic!("a name");
    };
    let id = "0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0e".parse().unwrap();
    let binding = |(index, binding): (usize, BindingDraft)| Binding {
        profile: format!("0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c{index:02}")
            .parse()
            .unwrap(),
        alias: binding.alias,
        is_default: binding.is_default,
        overrides: binding.overrides,
    };
    Runner {
        uid: "0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0f".parse().unwrap(),
        organization: "acme".parse().unwrap(),
        display_name: draft.display_name,
        id: draft.id,
        zone: draft.zone,
        cluster: Cluster { id, name },
        group: draft.group,
        settings: draft.settings,
        bindings: Bindings::new(
            draft
                .bindings
                .into_iter()
                .enumerate()
                .map(binding)
                .collect(),
        )
        .unwrap(),
        revision: Revision(2),
        created_at: Timestamp::EPOCH,
        updated_at: Timestamp::EPOCH,
        deleting_since: None,
        drain_until: None,
    }
}

#[test]
fn a_whole_runner_is_read() {
    let draft = draft(WHOLE).unwrap();
    assert_eq!(draft.group.as_str(), "default");
    assert_eq!(draft.settings.release_channel, ReleaseChannel::Rapid);
    assert_eq!(draft.settings.maintenance.windows[0].duration_seconds, 3600);
    assert!(draft.settings.zone_defaults.container_image.is_some());
    assert!(matches!(draft.bindings[0].profile, ProfileChoice::Id(_)));
    assert_eq!(draft.bindings[1].profile.to_string(), "ci");
    assert!(draft.bindings[1].overrides.is_some());
}

#[test]
fn a_runner_survives_every_spelling() {
    let runner = runner(draft(WHOLE).unwrap());
    let seen = rest::RunnerObservation::default();
    let answer = rest::Runner::new(&runner, &seen, String::new());
    let answer = serde_json::to_value(answer).unwrap();
    let from_wire = edit(&answer.to_string(), Dialect::Wire).unwrap();
    let from_yaml = edit(
        &to_yaml(&Value::Object(write_runner(&runner))),
        Dialect::Friendly,
    )
    .unwrap();
    assert_eq!(
        from_wire,
        RunnerEdit {
            uid: Some(runner.uid),
            cluster_id: Some(runner.cluster.id),
            etag: Some(String::new()),
            ..from_yaml.clone()
        }
    );
    assert_eq!(
        from_yaml.settings.apply(RunnerSettings::default()),
        runner.settings
    );
    let overrides = |bindings: &[BindingDraft]| bindings[1].overrides.clone();
    assert_eq!(
        overrides(&from_yaml.bindings.unwrap()),
        runner.bindings.as_slice()[1].overrides
    );
}

#[test]
fn a_runner_on_the_wire_is_spelled_as_documented() {
    let runner = runner(draft(WHOLE).unwrap());
    let seen = rest::RunnerObservation {
        is_connected: true,
        last_heartbeat: Some(Timestamp::EPOCH),
        version: "0.1.0".to_owned(),
        lacks: [(Feature::FileSystems, "it has none".to_owned())].into(),
    };
    let answer = serde_json::to_value(rest::Runner::new(&runner, &seen, "e".to_owned())).unwrap();
    assert_eq!(
        answer["identity"],
        json!({
            "runnerId": "lab-1",
            "zone": "US-EAST-04A",
            "clusterId": runner.cluster.id.to_string(),
            "clusterName": "lab",
            "runnerGroupId": "default",
        })
    );
    assert_eq!(answer["managementMode"], "MANAGEMENT_MODE_MANAGED");
    assert_eq!(
        answer["managedSpec"]["releaseChannel"],
        "RELEASE_CHANNEL_RAPID"
    );
    assert_eq!(answer["installStatus"], "RUNNER_INSTALL_STATUS_READY");
    assert_eq!(
        answer["connectionStatus"],
        "RUNNER_CONNECTION_STATUS_CONNECTED"
    );
    assert_eq!(answer["lacks"], json!({ "file_systems": "it has none" }));
    assert_eq!(answer["lastHeartbeatAt"], "1970-01-01T00:00:00Z");
    assert_eq!(
        answer["profileBindings"][1]["overridesJson"],
        r#"{"runtimeClass":null,"networkConfigJson":"{\"egress\":{\"modes\":{\"a\":null}}}"}"#
    );
}

#[test]
fn what_a_new_runner_lacks_is_told() {
    let found = draft("display_name: x\n").unwrap_err();
    for start in [
        "identity.runner_id is required",
        "identity.zone is required",
        "identity.cluster_name is required (or cluster_id)",
        "profile_bindings is required",
    ] {
        assert!(
            found.iter().any(|text| text.starts_with(start)),
            "{start} {found:#?}"
        );
    }
}

#[test]
fn each_broken_rule_is_told_at_its_field() {
    for (text, expected) in [
        (
            "managed_spec: {maintenance_policy: {windows: [{cron: '@daily', duration_seconds: 59}]}}",
            vec![
                "managed_spec.maintenance_policy.windows[0].cron has 1 fields",
                "managed_spec.maintenance_policy.windows[0].duration_seconds must be from 60 to 604800",
            ],
        ),
        (
            "managed_spec: {maintenance_policy: {exclusions: [{start_time: 2026-12-24T00:00:00Z, end_time: 2026-12-24T00:00:00Z}]}}",
            vec!["managed_spec.maintenance_policy.exclusions[0].end_time must be later than"],
        ),
        (
            "managed_spec: {overrides: {scaling: {min_replicas: 3, max_replicas: 2}, tolerations: [{operator: In}]}}",
            vec![
                "managed_spec.overrides.tolerations[0].operator must be Equal or Exists",
                "managed_spec.overrides.tolerations[0].key is required",
                "managed_spec.overrides.scaling.min_replicas must not be larger",
            ],
        ),
        (
            "managed_spec: {release_channel: nightly, enforce_resource_limits: 'yes'}",
            vec![
                "managed_spec.release_channel must be stable or rapid",
                "managed_spec.enforce_resource_limits must be true or false, not text",
            ],
        ),
        (
            "profile_bindings: [{profile_name: x, overrides_json: {container_image: ':'}}]",
            vec![
                "profile_bindings[0].profile_template_id is required",
                "profile_bindings[0].overrides_json.container_image ",
            ],
        ),
        (
            "profile_bindings: [{profile_template_id: x, overrides_json: '{\"containerImage\": 1}'}]",
            vec!["profile_bindings[0].overrides_json.containerImage must be text"],
        ),
        (
            "identity: {zone: ''}",
            vec!["identity.zone must not be empty"],
        ),
    ] {
        let found = edit(text, Dialect::Friendly).unwrap_err();
        for start in expected {
            assert!(
                found.iter().any(|text| text.starts_with(start)),
                "{start} {found:#?}"
            );
        }
    }
}

#[test]
fn an_id_beside_the_document_must_not_contradict_it() {
    let node = parse(WHOLE.as_bytes(), Format::Yaml).unwrap();
    let source = Source::whole(Dialect::Friendly);
    let read = |id: &str| read_runner_draft(&node, &source, Some(&id.parse().unwrap()));
    assert!(read("lab-1").is_ok());
    let found = shown(read("lab-2").unwrap_err());
    assert_eq!(
        found,
        ["identity.runner_id contradicts the runner id lab-2 that was given beside"]
    );
}

#[test]
fn a_file_with_bindings_alone_changes_nothing_else() {
    let text = "profile_bindings: [{profile_template_id: ci, is_default: true}]";
    let found = edit(text, Dialect::Friendly).unwrap();
    let bindings = found.bindings.clone();
    assert_eq!(bindings.as_ref().map(Vec::len), Some(1));
    assert_eq!(
        found,
        RunnerEdit {
            bindings,
            ..RunnerEdit::default()
        }
    );
}

#[test]
fn a_mask_gives_defaults_to_what_is_not_given() {
    let found = edit(
        "managed_spec: {enforce_resource_limits: true}",
        Dialect::Friendly,
    )
    .unwrap();
    let masked = found
        .clone()
        .masked(&[
            RunnerField::EnforceLimits,
            RunnerField::Overrides,
            RunnerField::Group,
        ])
        .unwrap();
    assert_eq!(masked.settings.enforce_resource_limits, Some(true));
    assert_eq!(
        masked.settings.overrides,
        Some(DeploymentOverrides::default())
    );
    assert_eq!(masked.group.unwrap().as_str(), "default");
    assert_eq!(masked.settings.release_channel, None);
    let missing = found
        .masked(&[RunnerField::Bindings, RunnerField::Zone])
        .unwrap_err();
    assert_eq!(missing.len(), 2);
}

#[test]
fn every_broken_rule_about_the_list_has_a_place() {
    use palisade_model::runner::BindingsError;
    let shown = |error| bindings_violation(&error).path.to_string();
    assert_eq!(shown(BindingsError::NoDefault), "profile_bindings");
    assert_eq!(
        shown(BindingsError::SecondDefault { index: 2 }),
        "profile_bindings[2].is_default"
    );
}
