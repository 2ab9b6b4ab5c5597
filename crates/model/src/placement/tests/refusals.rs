//! What a refused caller is told.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::reason::{Code, Reason};
use crate::refusal::Refusal;
use crate::runner::{Feature, PortSupport, RouteSupport};
use crate::sandbox::{Port, Protocol};
use crate::testing::fleet::{sample_profile, sample_runner};
use crate::violation::ViolationKind;

mod broken;

fn refusal(caller: &Caller, fleet: &Fleet) -> Refusal {
    caller.refusal(fleet).into()
}

fn with_cpu(request: &str) -> StartRequest {
    let mut asked = StartRequest::default();
    asked.requests.cpu = Some(request.parse().unwrap());
    asked.limits.cpu = Some(request.parse().unwrap());
    asked
}

fn limited() -> ProfileSpec {
    spec(&json!({ "container_image": "python:3.11", "resource_ceiling": { "cpu": "4" } }))
}

#[test]
fn a_request_above_the_ceiling_is_told_how_far_to_come_down() {
    let found = refusal(&Caller::new(with_cpu("8")), &fleet(vec![limited()], 1));
    assert_eq!(found.reason, Reason::NoSuitableRunner);
    assert_eq!(found.code, Code::FailedPrecondition);
    assert_eq!(found.retry_after, None);
    assert_eq!(
        found.message,
        "no runner can serve the request: the request comes to 8 CPU and profile profile-0 on \
         runner runner-0 allows 4; to be served, ask for at most 4 CPU"
    );
    assert_eq!(found.metadata["candidates"], "1");
    assert_eq!(found.metadata["violations_omitted"], "0");
    let violations: Value = serde_json::from_str(&found.metadata["violations"]).unwrap();
    let expected = json!([{
        "runner": "runner-0",
        "profile": "profile-0",
        "constraint": "cpu_ceiling",
        "requested": "8",
        "allowed": "4",
    }]);
    assert_eq!(violations, expected);
    let closest: Value = serde_json::from_str(&found.metadata["closest"]).unwrap();
    let expected = json!({
        "runner": "runner-0",
        "profile": "profile-0",
        "change": { "resource_requests.cpu": "4", "resource_limits.cpu": "4" },
    });
    assert_eq!(closest, expected);
}

#[test]
fn a_named_profile_that_cannot_serve_is_a_mismatch() {
    let mut request = with_cpu("8");
    request.selectors.profiles = vec!["profile-0".to_owned()];
    let found = refusal(&Caller::new(request), &fleet(vec![limited(), plain()], 1));
    assert_eq!(found.reason, Reason::ProfileMismatch);
    assert_eq!(found.code, Code::FailedPrecondition);
    // The other profile would do as it is, but the caller named this one.
    assert_eq!(
        found.message,
        "no runner with profile profile-0 can serve the request: the request comes to 8 CPU and \
         profile profile-0 on runner runner-0 allows 4; to be served, ask for at most 4 CPU"
    );
}

#[test]
fn a_name_that_nobody_has_is_told_with_its_neighbour() {
    let mut request = StartRequest::default();
    request.selectors.profiles = vec!["profile-00".to_owned()];
    let found = refusal(&Caller::new(request), &fleet(vec![plain()], 1));
    assert_eq!(
        found.message,
        "no runner can serve the request: there is no profile profile-00; did you mean \
         profile-0? bound are profile-0"
    );
    let mut request = StartRequest::default();
    request.selectors.runners = vec!["elsewhere".to_owned()];
    let found = refusal(&Caller::new(request), &fleet(vec![plain()], 1));
    assert_eq!(found.reason, Reason::NoSuitableRunner);
    assert_eq!(
        found.message,
        "no runner can serve the request: there is no runner elsewhere; the runners are runner-0"
    );
}

#[test]
fn an_organization_without_runners_is_told_so() {
    let found = refusal(&Caller::new(StartRequest::default()), &Fleet::default());
    assert!(found.message.contains("has no runner"), "{}", found.message);
    assert_eq!(found.metadata["candidates"], "0");
    // Whichever profile is named: no other one would do either.
    let found = refusal(&naming_a_profile("profile-0"), &Fleet::default());
    assert_eq!(found.reason, Reason::NoSuitableRunner);
    assert_eq!(found.code, Code::FailedPrecondition);
    assert!(found.message.contains("has no runner"), "{}", found.message);
}

fn naming_a_profile(name: &str) -> Caller {
    let mut request = StartRequest::default();
    request.selectors.profiles = vec![name.to_owned()];
    Caller::new(request)
}

#[test]
fn a_profile_mismatches_only_where_somebody_could_serve_another() {
    let mut plan = plan(vec![plain(), plain()], 2);
    for runner in &mut plan.runners {
        runner.live.presence = Presence::Lost;
    }
    let reason = |plan: &FleetPlan, name| {
        let found = refusal(&naming_a_profile(name), &plan.build());
        (found.reason, found.code)
    };
    let away = (Reason::NoSuitableRunner, Code::Unavailable);
    assert_eq!(reason(&plan, "profile-0"), away);
    // A name that nobody has stays wrong when they are back.
    let unknown = (Reason::ProfileMismatch, Code::FailedPrecondition);
    assert_eq!(reason(&plan, "absent"), unknown);
    // Here another profile would do at once.
    plan.runners[1].live.presence = Presence::Connected;
    plan.runners[1].binds = vec![1];
    let one_away = (Reason::ProfileMismatch, Code::Unavailable);
    assert_eq!(reason(&plan, "profile-0"), one_away);
}

#[test]
fn the_quota_is_named() {
    let mut caller = Caller::new(with_cpu("8"));
    caller.quota.cpu = Some("2".parse().unwrap());
    let found = refusal(&caller, &fleet(vec![plain()], 1));
    let expected = "the request comes to 8 CPU and the quota of the caller is 2";
    assert!(found.message.contains(expected), "{}", found.message);
}

#[test]
fn a_request_too_small_to_start_is_told_what_would_be_enough() {
    let with_memory = |request: &str, limit: &str| {
        let mut asked = StartRequest::default();
        asked.requests.memory = Some(request.parse().unwrap());
        asked.limits.memory = Some(limit.parse().unwrap());
        Caller::new(asked)
    };
    let mut plan = plan(vec![plain()], 1);
    report(&mut plan.runners[0].live)
        .capabilities
        .memory_bytes_min = 3 << 19;
    let fleet = plan.build();
    let found = refusal(&with_memory("1", "1"), &fleet);
    assert_eq!(found.code, Code::FailedPrecondition);
    assert_eq!(
        found.message,
        "no runner can serve the request: the request comes to 1 of memory and on runner runner-0 \
         no sandbox starts with less than 1536Ki; to be served, ask for at least 1536Ki of memory"
    );
    let change = |found: &Refusal| -> Value {
        let closest: Value = serde_json::from_str(&found.metadata["closest"]).unwrap();
        closest["change"].clone()
    };
    let both = json!({
        "resource_requests.memory": "1536Ki",
        "resource_limits.memory": "1536Ki",
    });
    assert_eq!(change(&found), both);
    // What is set aside is the caller's own affair.
    let found = refusal(&with_memory("1", "1Ki"), &fleet);
    let limit = json!({ "resource_requests.memory": "1", "resource_limits.memory": "1536Ki" });
    assert_eq!(change(&found), limit);
    assert!(with_memory("1", "1536Ki").select(&fleet).is_ok());
}

#[test]
fn a_limit_of_the_quota_that_nothing_starts_with_helps_nobody() {
    let mut caller = Caller::new(StartRequest::default());
    caller.quota.memory = Some("1Ki".parse().unwrap());
    let mut plan = plan(vec![plain()], 1);
    report(&mut plan.runners[0].live)
        .capabilities
        .memory_bytes_min = 1 << 20;
    let found = caller.refusal(&plan.build());
    let first = &found.violations[0];
    assert_eq!(first.constraint, Constraint::MemorySmallest);
    assert_eq!(first.shortfall.requested, "1Ki");
    assert_eq!(found.closest, None);
}

/// A request that exposes these ports.
fn exposing(ports: &[(u16, Protocol)]) -> Caller {
    let ports = ports.iter().map(|&(number, protocol)| Port {
        number,
        name: String::new(),
        protocol,
    });
    let mut request = StartRequest {
        ports: ports.collect(),
        ..StartRequest::default()
    };
    request.network.ingress_mode = Some("public".parse().unwrap());
    Caller::new(request)
}

#[test]
fn ports_that_a_runner_cannot_expose_are_told_with_those_that_it_can() {
    let level = json!({ "network": { "ingress": { "public": { "scope": "any" } } } });
    let mut profile = json!({ "container_image": "python:3.11" });
    crate::merge::patch(&mut profile, &level);
    let mut plan = plan(vec![spec(&profile)], 1);
    let fleet = plan.build();
    let change = |found: Refused| match found {
        Refused::Unplaced(unplaced) => unplaced.closest.expect("one helps").changes,
        Refused::Invalid(violations) => panic!("{violations:?}"),
    };
    let (tcp, sctp) = (Protocol::Tcp, Protocol::Sctp);
    let found = exposing(&[(80, tcp), (81, sctp), (82, tcp)]).select(&fleet);
    let Err(Refused::Unplaced(unplaced)) = found else {
        panic!("it exposes nothing of SCTP");
    };
    assert_eq!(
        unplaced.message,
        "no runner can serve the request: runner runner-0 cannot expose SCTP port 81; it exposes \
         TCP, UDP; to be served, expose only ports 80, 82"
    );
    let fields = unplaced.closest.unwrap().fields();
    assert_eq!(
        Value::from(fields),
        json!({ "network.exposed_ports": [80, 82] })
    );
    // The number opens both, so that it has to stay closed.
    let found = exposing(&[(80, tcp), (80, sctp)]).select(&fleet);
    assert_eq!(change(found.unwrap_err()), [Change::Ingress(None)]);
    // What is only listened to is nobody's affair.
    let mut inner = exposing(&[(80, tcp), (81, sctp)]);
    inner.request.network.exposed_ports = vec![80];
    assert!(inner.select(&fleet).is_ok());
    let can = &mut report(&mut plan.runners[0].live).capabilities;
    can.ports = PortSupport {
        sctp: true,
        max: Some(2),
    };
    let fleet = plan.build();
    let found = exposing(&[(80, tcp), (81, sctp), (82, tcp)]).select(&fleet);
    assert_eq!(change(found.unwrap_err()), [Change::Ports(vec![80, 81])]);
    assert!(exposing(&[(80, tcp), (80, sctp)]).select(&fleet).is_ok());
}

#[test]
fn a_full_fleet_is_worth_another_try() {
    let mut plan = plan(vec![plain()], 1);
    let free = &mut plan.runners[0].live.usage;
    free.reserved.cpu_millis = 14_500;
    let found = refusal(&Caller::new(with_cpu("8")), &plan.build());
    assert_eq!(found.code, Code::ResourceExhausted);
    assert!(found.retry_after > Some(Duration::ZERO));
    assert_eq!(
        found.message,
        "no runner has room for the request now: the request needs 8 CPU and runner runner-0 has \
         1500m left; try again later, or request at most 1500m CPU"
    );
    // More than the machine has is not a matter of time.
    let found = refusal(&Caller::new(with_cpu("17")), &plan.build());
    assert_eq!(found.code, Code::FailedPrecondition);
    assert_eq!(found.retry_after, None);
}

#[test]
fn a_runner_that_is_away_is_worth_another_try() {
    type Away = fn(&mut Live);
    let ways: [(Away, &str); 3] = [
        (|live| live.presence = Presence::Lost, "lost its connection"),
        (|live| *live = Live::default(), "has not connected yet"),
        (|live| live.is_draining = true, "takes no new sandboxes"),
    ];
    for (away, words) in ways {
        let mut plan = plan(vec![plain()], 1);
        away(&mut plan.runners[0].live);
        let found = refusal(&Caller::new(StartRequest::default()), &plan.build());
        assert_eq!(found.code, Code::Unavailable);
        assert!(found.retry_after > Some(Duration::ZERO));
        assert!(found.message.contains(words), "{}", found.message);
    }
}

#[test]
fn each_constraint_is_found_and_named() {
    for (constraint, plan, caller) in broken::all() {
        let fleet = plan.build();
        let unplaced = caller.refusal(&fleet);
        // Without slots there are none left either.
        let first = unplaced.violations[0].constraint;
        assert_eq!(first, constraint, "{}", unplaced.message);
        let explanation = explain(&fleet, &caller.asking());
        let verdicts = &explanation.candidates[0].verdicts;
        let unmet = verdicts
            .iter()
            .find(|(_, verdict)| *verdict != Verdict::Met);
        assert_eq!(unmet.map(|(constraint, _)| *constraint), Some(constraint));
    }
}

/// A fleet of one runner, configured as wanted.
fn fleet_of(runner: crate::runner::Runner, profile: ProfileSpec) -> Fleet {
    let profile = Arc::new(sample_profile(0, profile));
    let (organization, uid) = (runner.organization.clone(), runner.uid);
    let mut fleet = Fleet::default();
    fleet.put(Arc::new(runner), |_| Some(Arc::clone(&profile)));
    fleet.update(&organization, uid, |live| *live = sample_live());
    fleet
}

#[test]
fn a_runner_that_is_being_deleted_takes_nothing_and_nobody_waits_for_it() {
    let mut runner = sample_runner(0, &[0]);
    runner.deleting_since = Some(crate::clock::Timestamp::EPOCH);
    let caller = Caller::new(StartRequest::default());
    let unplaced = caller.refusal(&fleet_of(runner, plain()));
    assert_eq!(unplaced.cause, Cause::Structural);
    assert_eq!(unplaced.violations[0].constraint, Constraint::RunnerKept);
}

#[test]
fn a_weakened_pod_needs_a_runner_that_runs_such_pods() {
    let mut runner = sample_runner(0, &[0]);
    runner.settings.allow_privileged_profile_annotations = true;
    let weak = spec(&json!({
        "container_image": "python:3.11",
        "pod": { "spec": { "hostNetwork": true } },
    }));
    let caller = Caller::new(StartRequest::default());
    let mut fleet = fleet_of(runner.clone(), weak);
    let unplaced = caller.refusal(&fleet);
    assert_eq!(unplaced.violations[0].constraint, Constraint::Privileged);
    fleet.update(&runner.organization, runner.uid, |live| {
        report(live).capabilities.privileged = true;
    });
    assert!(caller.select(&fleet).is_ok());
}

#[test]
fn a_host_name_keeps_to_a_scope_where_callers_are_known_and_nowhere_else() {
    let route = json!({ "controllerName": "nginx", "template": "{{.SandboxID}}.example.com" });
    let level = json!({ "scope": "org", "ingress": route });
    let profile = json!({
        "container_image": "python:3.11",
        "network": { "ingress": { "inner": level } },
    });
    let mut request = StartRequest {
        ports: vec![Port {
            number: 8080,
            name: String::new(),
            protocol: Protocol::Tcp,
        }],
        ..StartRequest::default()
    };
    request.network.ingress_mode = Some("inner".parse().unwrap());
    let mut fleet = fleet(vec![spec(&profile)], 1);
    let unplaced = Caller::new(request.clone()).refusal(&fleet);
    assert_eq!(unplaced.violations[0].constraint, Constraint::HttpRoute);
    let allowed = &unplaced.violations[0].shortfall.allowed;
    assert!(allowed.contains("scope any only"), "{allowed}");
    let runner = sample_runner(0, &[0]);
    fleet.update(&runner.organization, runner.uid, |live| {
        report(live).capabilities.routes = RouteSupport::Scoped;
    });
    assert!(Caller::new(request).select(&fleet).is_ok());
}

#[test]
fn no_constraint_is_without_a_case() {
    let apart = [Constraint::RunnerKept, Constraint::Privileged];
    let mut covered = broken::all().into_iter().map(|(constraint, ..)| constraint);
    for constraint in Constraint::ALL {
        if !apart.contains(constraint) {
            assert_eq!(covered.next(), Some(*constraint));
        }
    }
}

#[test]
fn what_is_missing_is_told_in_words() {
    let sentences = broken::all()
        .iter()
        .map(|(_, plan, caller)| caller.refusal(&plan.build()).message)
        .collect::<Vec<_>>();
    for (sentence, (constraint, ..)) in sentences.iter().zip(broken::all()) {
        assert!(
            sentence.starts_with("no runner "),
            "{constraint}: {sentence}"
        );
        assert!(sentence.contains("; "), "{constraint}: {sentence}");
    }
}

#[test]
fn a_runner_that_says_why_it_lacks_something_is_quoted() {
    for (feature, constraint) in [
        (Feature::Egress, Constraint::EgressType),
        (Feature::FileSystems, Constraint::FileSystem),
    ] {
        let mut cases = broken::all().into_iter();
        let case = cases.find(|(broken, ..)| *broken == constraint);
        let (_, mut plan, caller) = case.unwrap();
        let can = &mut report(&mut plan.runners[0].live).capabilities;
        can.lacks.insert(feature, "its cluster is old".to_owned());
        let unplaced = caller.refusal(&plan.build());
        let quoted = unplaced.message.contains(", as its cluster is old");
        assert!(quoted, "{}", unplaced.message);
    }
    let mut plan = plan(vec![plain()], 1);
    report(&mut plan.runners[0].live)
        .capabilities
        .egress
        .clear();
    let unplaced = Caller::new(StartRequest::default()).refusal(&plan.build());
    // There is a type that is called so.
    assert!(unplaced.message.contains("it enforces no type at all"));
}

#[test]
fn a_request_that_contradicts_itself_is_invalid_on_every_fleet() {
    let mut request = StartRequest::default();
    request.network.exposed_ports = vec![80];
    request.limits.cpu = Some("1".parse().unwrap());
    request.requests.cpu = Some("2".parse().unwrap());
    let Err(Refused::Invalid(violations)) = Caller::new(request).select(&Fleet::default()) else {
        panic!("expected an invalid request");
    };
    let found = violations
        .iter()
        .map(|violation| (violation.path.to_string(), violation.kind))
        .collect::<Vec<_>>();
    let expected = [
        ("network.ingress_mode", ViolationKind::Required),
        ("network.exposed_ports[0]", ViolationKind::Conflict),
        ("resource_requests.cpu", ViolationKind::Conflict),
    ];
    assert_eq!(found, expected.map(|(path, kind)| (path.to_owned(), kind)));
}

#[test]
fn a_refusal_of_a_large_fleet_fits_the_trailer_and_counts_the_rest() {
    let mut request = with_cpu("8");
    request.selectors.profiles = (0..400).map(|n| format!("überlanger-name-{n}")).collect();
    let fleet = fleet(vec![limited(); 20], 60);
    let unplaced = Caller::new(request).refusal(&fleet);
    assert_eq!(unplaced.candidates, 1_200);
    let refusal = Refusal::from(unplaced);
    let violations: Vec<Value> = serde_json::from_str(&refusal.metadata["violations"]).unwrap();
    let omitted: usize = refusal.metadata["violations_omitted"].parse().unwrap();
    assert_eq!(violations.len() + omitted, 2_400);
    assert!(!violations.is_empty());
    let facts: usize = refusal.metadata.values().map(String::len).sum();
    assert!((facts + refusal.message.len()).div_ceil(3) * 4 < 8 * 1024);
}
