//! What a backend is told.

use super::*;
use crate::id::SandboxId;

fn launched(profile: &Value, request: StartRequest) -> Launched {
    let caller = Caller::new(request);
    let placement = caller.select(&fleet(vec![spec(profile)], 1)).unwrap();
    let id = SandboxId::new(uuid::Uuid::from_u128(7));
    launch(id, &caller.owner, &placement, caller.request, None)
}

#[test]
fn a_sandbox_knows_its_own_id_whatever_it_was_told() {
    let mut request = StartRequest::default();
    for (name, value) in [("CW_SANDBOX_ID", "forged"), ("LANG", "C")] {
        let environment = &mut request.environment;
        environment.insert(name.to_owned(), value.to_owned());
    }
    let launch = launched(&json!({ "container_image": "python:3.11" }), request).launch;
    let environment = &launch.workload.environment;
    assert_eq!(environment[SANDBOX_ID_VARIABLE], launch.id.to_string());
    assert_eq!(environment["LANG"], "C");
}

#[test]
fn keys_of_the_system_are_left_out_and_reported() {
    let profile = json!({
        "container_image": "python:3.11",
        "pod": { "metadata": { "labels": {
            "sandbox.coreweave.com/sandbox-id": "forged",
            "team": "ml",
        } } },
    });
    let mut request = StartRequest::default();
    let annotations = &mut request.annotations;
    annotations.insert("note".to_owned(), "kept".to_owned());
    let launched = launched(&profile, request);
    let metadata = &launched.launch.metadata;
    assert_eq!(metadata.labels.keys().collect::<Vec<_>>(), ["team"]);
    assert_eq!(metadata.annotations.keys().collect::<Vec<_>>(), ["note"]);
    assert_eq!(launched.dropped.len(), 1);
}

#[test]
fn everything_of_the_profile_arrives() {
    let profile = json!({
        "container_image": "python:3.11",
        "namespace": { "strategy": "per-org", "autoCreate": false },
        "network": { "egress": {
            "default": "closed",
            "modes": { "closed": { "type": "none" }, "open": { "type": "internet" } },
        } },
        "resource_ceiling": { "cpu": "4" },
    });
    let mut request = StartRequest {
        command: vec!["true".to_owned()],
        ..StartRequest::default()
    };
    request.network.egress_mode = Some("open".parse().unwrap());
    let launch = launched(&profile, request).launch;
    assert_eq!(launch.namespace.name.as_str(), "org-ns-acme");
    assert!(!launch.namespace.auto_create);
    assert_eq!(launch.egress.name.as_str(), "open");
    assert_eq!(launch.workload.command, ["true"]);
    assert_eq!(launch.resources.cpu_limit, "4".parse().ok());
    assert_eq!(launch.runner.as_str(), "runner-0");
}
