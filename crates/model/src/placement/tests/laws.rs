//! What holds for every fleet and every request.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::*;
use crate::namespace;
use crate::profile::{Egress, NetworkSpec};
use crate::quantity::Quantity;
use crate::refusal::Refusal;
use crate::runner::Resources;
use crate::testing;
use crate::testing::fleet::{fleet_plan, quota, runner_plan, start_request};

fn caller() -> impl Strategy<Value = Caller> {
    (start_request(), quota()).prop_map(|(request, quota)| Caller {
        quota,
        ..Caller::new(request)
    })
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} within {:?}", self.request, self.quota)
    }
}

/// A way to make a profile narrower.
#[derive(Clone, Debug)]
enum Tightening {
    DropMode(usize),
    DropLevels,
    LowerCpu(Quantity),
    LowerMemory(Quantity),
    LowerGpus(u32),
    NeedInstanceType,
    NeedLabel,
    NeedClass,
}

fn tightening() -> impl Strategy<Value = Tightening> {
    prop_oneof![
        (0usize..3).prop_map(Tightening::DropMode),
        Just(Tightening::DropLevels),
        "[1-9]".prop_map(|text| Tightening::LowerCpu(text.parse().unwrap())),
        "[1-9]Gi".prop_map(|text| Tightening::LowerMemory(text.parse().unwrap())),
        (0u32..2).prop_map(Tightening::LowerGpus),
        Just(Tightening::NeedInstanceType),
        Just(Tightening::NeedLabel),
        Just(Tightening::NeedClass),
    ]
}

impl Tightening {
    fn apply(&self, spec: &mut ProfileSpec) {
        match self {
            Self::DropMode(place) => drop_mode(spec, *place),
            Self::DropLevels => {
                if let Some(network) = &mut spec.network {
                    network.ingress.clear();
                }
            }
            Self::LowerCpu(to) => lower(&mut spec.resource_ceiling.cpu, to),
            Self::LowerMemory(to) => lower(&mut spec.resource_ceiling.memory, to),
            Self::LowerGpus(to) => {
                let ceiling = &mut spec.resource_ceiling.gpu;
                *ceiling = Some(ceiling.map_or(*to, |old| old.min(*to)));
            }
            Self::NeedInstanceType => spec.instance_types = Some(vec!["h100".parse().unwrap()]),
            Self::NeedLabel => {
                spec.node_selector
                    .insert("disk".to_owned(), "ssd".to_owned());
            }
            Self::NeedClass => {
                let class = &mut spec.runtime_class;
                *class = class.take().or(Some("gvisor".parse().unwrap()));
            }
        }
    }
}

fn drop_mode(spec: &mut ProfileSpec, place: usize) {
    let Some(NetworkSpec {
        egress: Some(egress),
        ..
    }) = &mut spec.network
    else {
        return;
    };
    let mut modes = egress.modes().clone();
    let default = egress.default_name().clone();
    let others = modes.keys().filter(|name| **name != default);
    if let Some(name) = others.clone().nth(place).cloned() {
        modes.remove(&name);
    }
    *egress = Egress::new(default, modes).unwrap();
}

fn lower(ceiling: &mut Option<Quantity>, to: &Quantity) {
    let lowest = ceiling.take().map_or(to.clone(), |old| old.min(to.clone()));
    *ceiling = Some(lowest);
}

/// The same fleet with every runner there, and nothing on it.
fn rested(plan: &FleetPlan) -> FleetPlan {
    let mut plan = plan.clone();
    for runner in &mut plan.runners {
        let live = &mut runner.live;
        if live.report.is_some() {
            live.presence = Presence::Connected;
            live.is_draining = false;
            live.usage = Usage::default();
        }
    }
    plan
}

fn is_sound(placement: &Placement, fleet: &Fleet, caller: &Caller) -> Result<(), TestCaseError> {
    let granted = &placement.resources;
    let pairs = [
        (&granted.cpu_request, &granted.cpu_limit),
        (&granted.memory_request, &granted.memory_limit),
    ];
    for (request, limit) in pairs {
        if let (Some(request), Some(limit)) = (request, limit) {
            prop_assert!(request <= limit);
        }
    }
    let ceiling = &placement.resolved.spec.resource_ceiling;
    for (limit, most) in [
        (&granted.cpu_limit, &ceiling.cpu),
        (&granted.memory_limit, &ceiling.memory),
        (&granted.cpu_limit, &caller.quota.cpu),
        (&granted.memory_limit, &caller.quota.memory),
    ] {
        if let Some(most) = most {
            prop_assert!(limit.as_ref().is_some_and(|limit| limit <= most));
        }
    }
    let organization = &caller.owner.organization;
    let member = fleet.member(organization, placement.runner_uid).unwrap();
    prop_assert!(member.free().holds(placement.reserved));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn what_is_granted_keeps_every_bound(plan in fleet_plan(), caller in caller()) {
        let fleet = plan.build();
        if let Ok(placement) = caller.select(&fleet) {
            is_sound(&placement, &fleet, &caller)?;
        }
    }

    #[test]
    fn tightening_a_profile_never_admits_more(
        plan in fleet_plan(),
        caller in caller(),
        number in 0usize..4,
        tightening in tightening(),
    ) {
        let mut tight = plan.clone();
        tightening.apply(&mut tight.profiles[number]);
        if caller.select(&tight.build()).is_ok() {
            prop_assert!(caller.select(&plan.build()).is_ok());
        }
    }

    #[test]
    fn adding_a_runner_never_refuses_more(
        plan in fleet_plan(),
        caller in caller(),
        more in runner_plan(),
    ) {
        let mut larger = plan.clone();
        larger.runners.push(more);
        if caller.select(&plan.build()).is_ok() {
            prop_assert!(caller.select(&larger.build()).is_ok());
        }
    }

    #[test]
    fn explaining_says_what_deciding_does(plan in fleet_plan(), caller in caller()) {
        let fleet = plan.build();
        let explanation = explain(&fleet, &caller.asking());
        prop_assert_eq!(&explanation.outcome, &caller.select(&fleet));
        let admissible = explanation.candidates.iter().filter(|c| c.is_admissible());
        let admissible = admissible.collect::<Vec<_>>();
        match &explanation.outcome {
            Ok(placement) => {
                let chosen = (placement.runner_uid, placement.profile_id);
                let mut pairs = admissible.iter().map(|c| (c.runner_uid, c.profile_id));
                prop_assert!(pairs.any(|pair| pair == chosen));
            }
            Err(_) => prop_assert!(admissible.is_empty()),
        }
    }

    #[test]
    fn a_candidate_is_told_the_first_gap_and_a_change_that_closes_all(
        plan in fleet_plan(),
        caller in caller(),
    ) {
        let fleet = plan.build();
        let wish = case::Wish::new(&fleet, caller.asking());
        for candidate in explain(&fleet, &caller.asking()).candidates {
            let member = fleet.member(&caller.owner.organization, candidate.runner_uid).unwrap();
            let case = case::Case::all_of(&wish, member)
                .find(|case| case.offer.profile == candidate.profile_id)
                .unwrap();
            let first = candidate.first_unmet().map(|(constraint, _)| constraint);
            let gap = check::first_gap(&case).map(|(constraint, _)| constraint);
            prop_assert_eq!(first, gap);
            let Some(closest) = &candidate.closest else { continue };
            prop_assert!(!candidate.is_admissible());
            let request = closest.apply(&caller.request);
            let asking = Asking { request: &request, ..caller.asking() };
            let changed = explain(&fleet, &asking);
            let there = changed.candidates.iter().find(|it| {
                (it.runner_uid, it.profile_id) == (candidate.runner_uid, candidate.profile_id)
            });
            prop_assert!(there.is_some_and(Candidate::is_admissible), "{:?}", closest);
        }
    }

    #[test]
    fn judging_once_for_many_finds_what_judging_each_does(
        plan in fleet_plan(),
        caller in caller(),
    ) {
        let fleet = plan.build();
        let wish = case::Wish::new(&fleet, caller.asking());
        for failure in diagnosis::Diagnosis::new(&fleet, &wish).failures {
            for &constraint in Constraint::ALL {
                let gap = check::gap(&failure.case, constraint);
                prop_assert_eq!(failure.gaps.contains(constraint), gap.is_some());
            }
        }
    }

    #[test]
    fn the_closest_change_lets_the_request_in(plan in fleet_plan(), caller in caller()) {
        let fleet = plan.build();
        if let Err(Refused::Unplaced(unplaced)) = caller.select(&fleet)
            && let Some(closest) = &unplaced.closest
        {
            prop_assert!(!closest.changes.is_empty());
            let request = closest.apply(&caller.request);
            let changed = Caller { request, quota: caller.quota.clone(), ..Caller::new(StartRequest::default()) };
            prop_assert!(changed.select(&fleet).is_ok(), "{:?}", closest);
        }
    }

    #[test]
    fn only_what_time_can_change_is_told_to_wait(plan in fleet_plan(), caller in caller()) {
        let Err(Refused::Unplaced(unplaced)) = caller.select(&plan.build()) else {
            return Ok(());
        };
        let knows_all = plan.runners.iter().all(|runner| runner.live.report.is_some());
        let fits_when_rested = caller.select(&rested(&plan).build()).is_ok();
        match unplaced.cause {
            Cause::Structural => prop_assert!(!fits_when_rested),
            Cause::Away | Cause::Full => prop_assert!(fits_when_rested || !knows_all),
        }
    }

    #[test]
    fn the_order_of_arrival_does_not_matter(
        plan in fleet_plan(),
        caller in caller(),
    ) {
        let mut reversed = plan.clone();
        reversed.runners.reverse();
        prop_assert_eq!(caller.select(&plan.build()), caller.select(&reversed.build()));
    }

    #[test]
    fn every_refusal_fits_its_trailer(plan in fleet_plan(), caller in caller()) {
        if let Err(refused) = caller.select(&plan.build()) {
            let refusal = Refusal::from(refused);
            let facts: usize = refusal.metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
            let base64 = (facts + refusal.message.len()).div_ceil(3) * 4;
            prop_assert!(base64 + refusal.message.len() <= 8 * 1024);
            prop_assert!(serde_json::from_str::<Value>(&refusal.metadata["violations"]).is_ok());
        }
    }

    #[test]
    fn no_profile_makes_a_decision_panic(
        specs in proptest::collection::vec(testing::spec(), 4),
        plan in fleet_plan(),
        caller in caller(),
    ) {
        let plan = FleetPlan { profiles: specs, ..plan };
        let fleet = plan.build();
        let _ = explain(&fleet, &caller.asking());
    }

    #[test]
    fn the_launch_lands_in_the_namespace_of_its_owner(plan in fleet_plan(), caller in caller()) {
        if let Ok(placement) = caller.select(&plan.build()) {
            let id = crate::id::SandboxId::new(uuid::Uuid::from_u128(7));
            let launched = launch(id, &caller.owner, &placement, caller.request.clone(), None);
            let occupant = namespace::Occupant {
                owner: &caller.owner,
                profile: placement.profile_id,
                profile_name: &placement.profile_name,
            };
            let expected = namespace::name(&placement.resolved.spec.namespace, &occupant);
            prop_assert_eq!(launched.launch.namespace.name, expected);
        }
    }
}

/// Properties say nothing where the cases are missing.
#[test]
fn the_generators_make_every_kind_of_outcome() {
    let mut runner = TestRunner::deterministic();
    let mut counts = [0u32; 4];
    let mut with_closest = 0;
    for _ in 0..1_000 {
        let plan = fleet_plan().new_tree(&mut runner).unwrap().current();
        let caller = caller().new_tree(&mut runner).unwrap().current();
        match caller.select(&plan.build()) {
            Ok(_) => counts[0] += 1,
            Err(Refused::Unplaced(unplaced)) => {
                counts[1 + unplaced.cause as usize] += 1;
                with_closest += u32::from(unplaced.closest.is_some());
            }
            Err(Refused::Invalid(violations)) => panic!("{violations:?}"),
        }
    }
    // In this order: admitted, structural, away, full.
    assert!(counts.iter().all(|&count| count >= 20), "{counts:?}");
    assert!(with_closest >= 40, "{with_closest}");
}

#[test]
fn as_many_are_admitted_as_there_is_room_for() {
    let mut plan = plan(vec![plain()], 2);
    for runner in &mut plan.runners {
        let report = report(&mut runner.live);
        report.capacity.sandboxes_max = 3;
        report.capacity.total = Resources {
            cpu_millis: 5_000,
            ..report.capacity.total
        };
    }
    let mut fleet = plan.build();
    let mut request = StartRequest::default();
    request.requests.cpu = Some("2".parse().unwrap());
    let caller = Caller::new(request);
    let mut admitted = 0;
    while let Ok(placement) = caller.select(&fleet) {
        admitted += 1;
        let organization = caller.owner.organization.clone();
        fleet.update(&organization, placement.runner_uid, |live| {
            live.usage = live.usage.with(placement.reserved);
        });
    }
    assert_eq!(admitted, 4, "two on each runner, by its CPU");
    assert_eq!(caller.refusal(&fleet).cause, Cause::Full);
}

#[test]
fn a_snapshot_does_not_see_later_changes() {
    let mut fleet = fleet(vec![plain()], 1);
    let before = fleet.clone();
    let owner = sample_owner();
    let uid = fleet.iter().next().unwrap().runner().uid;
    fleet.update(&owner.organization, uid, |live| {
        live.report = Some(Arc::new(Report::default()));
    });
    let caller = Caller::new(StartRequest::default());
    assert!(caller.select(&before).is_ok());
    assert!(caller.select(&fleet).is_err());
    fleet.remove(&owner.organization, uid);
    assert_eq!(before.iter().count(), 1);
    assert_eq!(fleet.iter().count(), 0);
}
