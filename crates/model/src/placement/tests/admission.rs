//! Who is chosen, and what is granted.

use super::*;
use crate::profile::Revision;
use crate::quantity::Quantity;
use crate::runner::{Resources, SpecPatch};
use crate::sandbox::{GpuKind, GpuRequest, Port};
use crate::testing::fleet::{sample_profile, sample_runner};
use std::sync::Arc;

fn text(quantity: Option<&Quantity>) -> &str {
    quantity.map_or("", Quantity::as_str)
}

/// Requests and limits of CPU that are granted, as `request/limit`.
fn granted(profile: &Value, request: Option<&str>, limit: Option<&str>) -> String {
    let mut asked = StartRequest::default();
    asked.requests.cpu = request.map(|text| text.parse().unwrap());
    asked.limits.cpu = limit.map(|text| text.parse().unwrap());
    let mut document = json!({ "container_image": "python:3.11" });
    crate::merge::patch(&mut document, profile);
    let placement = Caller::new(asked)
        .select(&fleet(vec![spec(&document)], 1))
        .unwrap();
    let resources = &placement.resources;
    let (request, limit) = (&resources.cpu_request, &resources.cpu_limit);
    format!("{}/{}", text(request.as_ref()), text(limit.as_ref()))
}

#[test]
fn amounts_follow_the_rules_of_kubernetes() {
    let none = json!({});
    let defaults = json!({ "resource_defaults": { "cpuRequest": "1", "cpuLimit": "2" } });
    let only_limit = json!({ "resource_defaults": { "cpuLimit": "2" } });
    let ceiling = json!({ "resource_ceiling": { "cpu": "4" } });
    for (profile, request, limit, expected) in [
        (&none, None, None, "/"),
        (&none, Some("1"), None, "1/"),
        (&none, None, Some("2"), "2/2"),
        (&none, Some("1"), Some("2"), "1/2"),
        (&defaults, None, None, "1/2"),
        (&defaults, Some("500m"), None, "500m/2"),
        (&defaults, Some("3"), None, "3/3"),
        (&defaults, None, Some("500m"), "500m/500m"),
        (&defaults, None, Some("8"), "1/8"),
        (&only_limit, None, None, "2/2"),
        (&ceiling, None, None, "0/4"),
        (&ceiling, Some("2"), None, "2/4"),
        (&ceiling, None, Some("3"), "3/3"),
    ] {
        let found = granted(profile, request, limit);
        assert_eq!(found, expected, "{profile} {request:?} {limit:?}");
    }
}

#[test]
fn what_the_request_sets_is_marked_as_its_own() {
    let profile = spec(&json!({
        "container_image": "python:3.11",
        "resource_defaults": { "cpuRequest": "1", "memoryRequest": "1Gi" },
    }));
    let mut request = StartRequest {
        image: Some("debian:12".parse().unwrap()),
        ..StartRequest::default()
    };
    request.requests.cpu = Some("2".parse().unwrap());
    let placement = Caller::new(request)
        .select(&fleet(vec![profile], 1))
        .unwrap();
    let origin = |path: [&str; 2]| {
        let layer = placement.resolved.provenance.get(&path.into());
        layer.unwrap().to_string()
    };
    assert_eq!(placement.image.as_str(), "debian:12");
    assert_eq!(origin(["resource_defaults", "cpuRequest"]), "the request");
    let profile = r#"profile "profile-0", revision 1"#;
    assert_eq!(origin(["resource_defaults", "memoryRequest"]), profile);
}

#[test]
fn the_default_profile_goes_first_and_the_others_in_their_order() {
    let open = json!({ "egress": { "default": "in", "modes": { "in": { "type": "internet" } } } });
    let open = json!({ "container_image": "python:3.11", "network": open });
    let fleet = fleet(vec![plain(), spec(&open), spec(&open)], 1);
    let chosen = |request| {
        let placement = Caller::new(request).select(&fleet).unwrap();
        placement.profile_name.to_string()
    };
    assert_eq!(chosen(StartRequest::default()), "profile-0");
    let mut request = StartRequest::default();
    request.network.egress_mode = Some("in".parse().unwrap());
    assert_eq!(chosen(request.clone()), "profile-1");
    request.selectors.profiles = vec!["profile-2".to_owned(), "absent".to_owned()];
    assert_eq!(chosen(request), "profile-2");
}

#[test]
fn a_profile_is_named_by_id_alias_or_display_name() {
    let profile = Arc::new(sample_profile(0, plain()));
    let mut runner = sample_runner(0, &[0]);
    let mut binding = runner.bindings.as_slice()[0].clone();
    binding.alias = Some("ci".parse().unwrap());
    runner.bindings = crate::runner::Bindings::new(vec![binding]).unwrap();
    let (organization, uid) = (runner.organization.clone(), runner.uid);
    let mut fleet = Fleet::default();
    fleet.put(Arc::new(runner), |_| Some(Arc::clone(&profile)));
    fleet.update(&organization, uid, |live| *live = sample_live());
    for name in [profile.id.to_string().as_str(), "ci", "profile-0"] {
        let mut request = StartRequest::default();
        request.selectors.profiles = vec![name.to_owned()];
        let placement = Caller::new(request).select(&fleet).unwrap();
        assert_eq!(placement.profile_name.as_str(), "ci", "{name}");
    }
}

#[test]
fn a_name_that_some_runner_shows_means_what_has_it_there() {
    let profiles: Vec<_> = (0..2)
        .map(|number| Arc::new(sample_profile(number, plain())))
        .collect();
    let mut fleet = Fleet::default();
    // On the first runner, profile-0 is called ci; on the second, profile-1 is called profile-0.
    for (number, alias) in [(0_u8, "ci"), (1, "profile-0")] {
        let mut runner = sample_runner(number.into(), &[number.into()]);
        let mut binding = runner.bindings.as_slice()[0].clone();
        binding.alias = Some(alias.parse().unwrap());
        runner.bindings = crate::runner::Bindings::new(vec![binding]).unwrap();
        let (organization, uid) = (runner.organization.clone(), runner.uid);
        fleet.put(Arc::new(runner), |id| {
            profiles.iter().find(|profile| profile.id == id).cloned()
        });
        fleet.update(&organization, uid, |live| *live = sample_live());
    }
    let selected = |profile: &str, runners: Vec<String>| {
        let mut request = StartRequest::default();
        request.selectors.profiles = vec![profile.to_owned()];
        request.selectors.runners = runners;
        Caller::new(request).select(&fleet)
    };
    let chosen = |name: &str| selected(name, Vec::new()).unwrap().profile_id;
    assert_eq!(chosen("profile-0"), profiles[1].id);
    assert_eq!(chosen("ci"), profiles[0].id);
    // Nobody shows this one, so that it can be meant by its display name.
    assert_eq!(chosen("profile-1"), profiles[1].id);
    assert!(selected("profile-0", vec!["runner-0".to_owned()]).is_err());
}

#[test]
fn runners_are_filled_one_after_the_other() {
    let mut plan = plan(vec![plain()], 3);
    plan.runners[1].live.usage = Usage::default().with(Resources {
        cpu_millis: 4_000,
        ..Resources::default()
    });
    let mut request = StartRequest::default();
    request.requests.cpu = Some("1".parse().unwrap());
    let caller = Caller::new(request);
    assert_eq!(
        caller.select(&plan.build()).unwrap().runner_id.as_str(),
        "runner-1"
    );
    // Nothing tells the others apart but their ids.
    plan.runners.remove(1);
    assert_eq!(
        caller.select(&plan.build()).unwrap().runner_id.as_str(),
        "runner-0"
    );
    plan.runners[0].live.usage.sandboxes = 1;
    assert_eq!(
        caller.select(&plan.build()).unwrap().runner_id.as_str(),
        "runner-2"
    );
}

#[test]
fn gpus_are_left_to_those_who_need_them() {
    let mut plan = plan(vec![plain()], 2);
    let with_gpus = report(&mut plan.runners[0].live);
    with_gpus.capabilities.largest.gpus = 8;
    with_gpus.capabilities.gpu_types = ["A100".to_owned()].into();
    with_gpus.capacity.total.gpus = 8;
    let fleet = plan.build();
    let chosen = |request| {
        Caller::new(request)
            .select(&fleet)
            .unwrap()
            .runner_id
            .to_string()
    };
    assert_eq!(chosen(StartRequest::default()), "runner-1");
    let mut request = StartRequest::default();
    let kind = GpuKind::Type("A100".to_owned());
    request.limits.gpu = Some(GpuRequest { count: 2, kind });
    assert_eq!(chosen(request), "runner-0");
}

#[test]
fn a_runtime_class_chooses_a_runner_and_refuses_none() {
    let kata = spec(&json!({ "container_image": "python:3.11", "runtime_class": "kata" }));
    let mut plan = plan(vec![kata], 2);
    for (runner, class) in plan.runners.iter_mut().zip(["runc", "kata"]) {
        let classes = &mut report(&mut runner.live).capabilities.runtime_classes;
        classes.insert(class.parse().unwrap());
    }
    let caller = Caller::new(StartRequest::default());
    let chosen = caller.select(&plan.build()).unwrap();
    assert_eq!(chosen.runner_id.as_str(), "runner-1");
    // Nobody has it now, and the runner is the one to say so.
    plan.runners.remove(1);
    let chosen = caller.select(&plan.build()).unwrap();
    assert_eq!(chosen.runtime_class.unwrap().as_str(), "kata");
}

#[test]
fn an_exposed_sandbox_opens_what_it_listens_on() {
    let profile = json!({
        "container_image": "python:3.11",
        "network": { "ingress": { "public": { "scope": "any" } } },
    });
    let fleet = fleet(vec![spec(&profile)], 1);
    let port = |number| Port {
        number,
        name: String::new(),
        protocol: crate::sandbox::Protocol::Tcp,
    };
    let mut request = StartRequest {
        ports: vec![port(443), port(80)],
        ..StartRequest::default()
    };
    request.network.ingress_mode = Some("public".parse().unwrap());
    let opened = |request: &StartRequest| {
        let placement = Caller::new(request.clone()).select(&fleet).unwrap();
        placement.exposure.unwrap().ports
    };
    assert_eq!(opened(&request), [443, 80]);
    request.network.exposed_ports = vec![443];
    assert_eq!(opened(&request), [443]);
}

#[test]
fn the_revisions_of_the_decision_are_told() {
    let mut profile = sample_profile(0, plain());
    profile.revision = Revision(7);
    let mut runner = sample_runner(0, &[0]);
    runner.revision = Revision(5);
    let (organization, uid) = (runner.organization.clone(), runner.uid);
    let profile = Arc::new(profile);
    let mut fleet = Fleet::default();
    fleet.put(Arc::new(runner.clone()), |_| Some(Arc::clone(&profile)));
    fleet.update(&organization, uid, |live| *live = sample_live());
    // A new configuration keeps what is known of the process.
    runner.revision = Revision(6);
    fleet.put(Arc::new(runner), |_| Some(Arc::clone(&profile)));
    let placement = Caller::new(StartRequest::default()).select(&fleet).unwrap();
    assert_eq!(placement.runner_revision, Revision(6));
    assert_eq!(placement.profile_revision, Revision(7));
}

#[test]
fn a_binding_lowers_the_ceiling_of_its_runner_alone() {
    let mut runner = sample_runner(0, &[0]);
    let mut binding = runner.bindings.as_slice()[0].clone();
    let patch: Result<SpecPatch, _> =
        form::decode_patch(&json!({ "resource_ceiling": { "cpu": "1" } }));
    binding.overrides = Some(patch.unwrap());
    runner.bindings = crate::runner::Bindings::new(vec![binding]).unwrap();
    let mut plan = plan(vec![plain()], 2);
    plan.runners.remove(0);
    let mut fleet = plan.build();
    let (organization, uid) = (runner.organization.clone(), runner.uid);
    let profile = Arc::new(sample_profile(0, plain()));
    fleet.put(Arc::new(runner), |_| Some(Arc::clone(&profile)));
    fleet.update(&organization, uid, |live| *live = sample_live());
    let mut request = StartRequest::default();
    request.requests.cpu = Some("2".parse().unwrap());
    let placement = Caller::new(request).select(&fleet).unwrap();
    assert_eq!(placement.runner_id.as_str(), "runner-1");
}

#[test]
fn runners_of_others_are_never_seen() {
    let fleet = fleet(vec![plain()], 1);
    let mut caller = Caller::new(StartRequest::default());
    caller.owner.organization = "other".parse().unwrap();
    let refusal = caller.refusal(&fleet);
    assert_eq!(refusal.candidates, 0);
    assert!(!refusal.message.contains("runner-0"), "{}", refusal.message);
}
