//! What [`crate::Sandboxes`] promises about lists, a sentence each.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use std::collections::BTreeSet;

use palisade_model::id::{ProfileId, SandboxId};
use palisade_model::sandbox::{Exit, Phase, Sandbox, State};

use super::Harness;
use super::fixture::{
    Fleet, all, bindings, fleet, fresh_uuid, now, observation, parsed, profile, runner,
};
use crate::sandbox::{ListError, OccupancyOf, ProfileTerm, SandboxFilter, StatusChange};
use crate::{PageSize, Store};

async fn listed(store: &dyn Store, fleet: &Fleet, filter: SandboxFilter) -> Vec<SandboxId> {
    let page = store
        .list_sandboxes(&fleet.organization, filter, all())
        .await;
    page.unwrap().items.iter().map(|each| each.id).collect()
}

fn filter() -> SandboxFilter {
    SandboxFilter::default()
}

fn tags(tags: &[&str]) -> SandboxFilter {
    SandboxFilter {
        tags: tags.iter().map(|tag| parsed(tag)).collect(),
        ..filter()
    }
}

async fn tagged(store: &dyn Store, fleet: &Fleet, tags: &[&str]) -> Sandbox {
    let mut sandbox = fleet.sandbox();
    sandbox.tags = tags.iter().map(|tag| parsed(tag)).collect();
    fleet.add(store, sandbox).await
}

async fn observe(store: &dyn Store, fleet: &Fleet, id: SandboxId, state: State) {
    let change = StatusChange::Observed {
        by: fleet.runner.uid,
        seen: observation(1, state),
        now: now(),
    };
    let changed = store.change_status(&fleet.organization, id, change).await;
    assert_eq!(changed.unwrap().status.state, state);
}

pub async fn a_list_holds_live_sandboxes_the_newest_first(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let (early, middle, late) = (fleet.sandbox(), fleet.sandbox(), fleet.sandbox());
    for sandbox in [&middle, &late, &early] {
        fleet.add(&*store, sandbox.clone()).await;
    }
    let expected = [late.id, middle.id, early.id];
    assert_eq!(listed(&*store, &fleet, filter()).await, expected);
    fleet.end(&*store, middle.id).await;
    assert_eq!(listed(&*store, &fleet, filter()).await, [late.id, early.id]);
}

pub async fn those_that_are_over_are_listed_when_asked_for(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let mut ids = Vec::new();
    for state in [
        State::Running,
        State::Completed(Exit(0)),
        State::Failed(None),
    ] {
        let sandbox = fleet.start(&*store).await;
        observe(&*store, &fleet, sandbox.id, state).await;
        ids.push(sandbox.id);
    }
    let everything = SandboxFilter {
        include_terminal: true,
        ..filter()
    };
    let newest_first = [ids[2], ids[1], ids[0]];
    assert_eq!(listed(&*store, &fleet, everything).await, newest_first);
    let phases = [
        (Phase::Running, vec![ids[0]]),
        (Phase::Completed, vec![ids[1]]),
        (Phase::Failed, vec![ids[2]]),
        (Phase::Terminated, vec![]),
    ];
    for (phase, expected) in phases {
        let filter = SandboxFilter {
            phase: Some(phase),
            ..filter()
        };
        assert_eq!(listed(&*store, &fleet, filter).await, expected, "{phase:?}");
    }
}

pub async fn a_filter_by_tags_passes_what_has_all_of_them(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let one = tagged(&*store, &fleet, &["x"]).await;
    let both = tagged(&*store, &fleet, &["y", "x", "x"]).await;
    tagged(&*store, &fleet, &[]).await;
    assert_eq!(
        listed(&*store, &fleet, tags(&["x"])).await,
        [both.id, one.id]
    );
    assert_eq!(listed(&*store, &fleet, tags(&["x", "y"])).await, [both.id]);
    assert_eq!(listed(&*store, &fleet, tags(&["x", "z"])).await, []);
    // Tags are compared whole and as they are.
    for tag in ["X", "%", "x%", "_"] {
        assert_eq!(listed(&*store, &fleet, tags(&[tag])).await, [], "{tag}");
    }
}

/// Two runners that bind two profiles each, and a sandbox of every pair.
async fn four(store: &dyn Store) -> (Fleet, [Fleet; 4], [SandboxId; 4]) {
    let first = fleet(store, "acme").await;
    let acme = first.organization.clone();
    let web = profile(store, &acme, "web").await;
    let update = crate::runner::RunnerUpdate {
        bindings: Some(bindings(&[first.profile.id, web.id])),
        ..crate::runner::RunnerUpdate::default()
    };
    let local = store
        .update_runner(&acme, first.runner.uid, update, super::fixture::stamp())
        .await;
    let remote = runner(store, &acme, "remote", &[web.id, first.profile.id]).await;
    let pair = |runner, profile| Fleet {
        organization: acme.clone(),
        runner,
        profile,
        quota: first.quota,
    };
    let local = local.unwrap();
    let fleets = [
        pair(local.clone(), first.profile.clone()),
        pair(local, web.clone()),
        pair(remote.clone(), first.profile.clone()),
        pair(remote, web),
    ];
    let mut ids = [SandboxId::new(fresh_uuid()); 4];
    for (id, fleet) in ids.iter_mut().zip(&fleets) {
        *id = fleet.start(store).await.id;
    }
    (first, fleets, ids)
}

pub async fn the_other_filters_pass_what_matches_any_term(harness: &mut dyn Harness) {
    let store = harness.store();
    let (fleet, fleets, ids) = Box::pin(four(&*store)).await;
    let runners = |names: &[&str]| SandboxFilter {
        runners: names.iter().map(|name| parsed(name)).collect(),
        ..filter()
    };
    assert_eq!(
        listed(&*store, &fleet, runners(&["local"])).await,
        [ids[1], ids[0]]
    );
    assert_eq!(
        listed(&*store, &fleet, runners(&["local", "remote"]))
            .await
            .len(),
        4
    );
    assert_eq!(listed(&*store, &fleet, runners(&["none"])).await, []);
    let profiles = |terms: &[ProfileTerm]| SandboxFilter {
        profiles: terms.iter().cloned().collect(),
        ..filter()
    };
    let by_id = ProfileTerm::Id(fleets[0].profile.id);
    let by_name = ProfileTerm::Name(parsed("web"));
    let found = listed(&*store, &fleet, profiles(std::slice::from_ref(&by_id))).await;
    assert_eq!(found, [ids[2], ids[0]]);
    let found = listed(&*store, &fleet, profiles(std::slice::from_ref(&by_name))).await;
    assert_eq!(found, [ids[3], ids[1]]);
    assert_eq!(
        listed(&*store, &fleet, profiles(&[by_id, by_name]))
            .await
            .len(),
        4
    );
}

pub async fn a_profile_is_found_by_every_name_that_it_has(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let called = fleet.profile.display_name.clone();
    let mut aliased = fleet.sandbox();
    aliased.placement.profile_name = parsed("of-ours");
    let aliased = fleet.add(&*store, aliased).await;
    let plain = fleet.start(&*store).await;
    let named = |name: &str| SandboxFilter {
        profiles: BTreeSet::from([ProfileTerm::Name(parsed(name))]),
        ..filter()
    };
    let found = listed(&*store, &fleet, named("of-ours")).await;
    assert_eq!(found, [aliased.id]);
    let found = listed(&*store, &fleet, named(called.as_str())).await;
    assert_eq!(found, [plain.id, aliased.id]);
    // They outlive their profile, and keep its names.
    let acme = &fleet.organization;
    let other = profile(&*store, acme, "other").await;
    let update = crate::runner::RunnerUpdate {
        bindings: Some(bindings(&[other.id])),
        ..crate::runner::RunnerUpdate::default()
    };
    let unbound = store.update_runner(acme, fleet.runner.uid, update, super::fixture::stamp());
    unbound.await.unwrap();
    let deleted = store.delete_profile(acme, fleet.profile.id, None).await;
    deleted.unwrap();
    let found = listed(&*store, &fleet, named(called.as_str())).await;
    assert_eq!(found, [plain.id, aliased.id]);
}

pub async fn filters_hold_together(harness: &mut dyn Harness) {
    let store = harness.store();
    let (fleet, fleets, ids) = Box::pin(four(&*store)).await;
    observe(&*store, &fleets[3], ids[3], State::Running).await;
    let narrow = SandboxFilter {
        phase: Some(Phase::Running),
        runners: BTreeSet::from([parsed("remote")]),
        profiles: BTreeSet::from([ProfileTerm::Name(parsed("web"))]),
        ..filter()
    };
    assert_eq!(listed(&*store, &fleet, narrow.clone()).await, [ids[3]]);
    let narrower = SandboxFilter {
        tags: BTreeSet::from([parsed("x")]),
        ..narrow
    };
    assert_eq!(listed(&*store, &fleet, narrower).await, []);
}

fn with_terms(count: usize) -> SandboxFilter {
    let ids = (0..count).map(|_| ProfileTerm::Id(ProfileId::new(fresh_uuid())));
    SandboxFilter {
        profiles: ids.collect(),
        ..filter()
    }
}

pub async fn a_filter_with_too_many_terms_is_refused(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let terms = SandboxFilter::TERMS_MAX + 1;
    let refused = store
        .list_sandboxes(&fleet.organization, with_terms(terms), all())
        .await;
    assert!(
        matches!(refused, Err(ListError::TooManyTerms { terms: told }) if told == terms),
        "{refused:?}"
    );
}

pub async fn the_largest_filter_is_answered(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let sandbox = fleet.start(&*store).await;
    let mut filter = with_terms(SandboxFilter::TERMS_MAX - 1);
    filter.profiles.insert(ProfileTerm::Id(fleet.profile.id));
    assert_eq!(listed(&*store, &fleet, filter).await, [sandbox.id]);
    let many = (0..SandboxFilter::TERMS_MAX).map(|n| parsed(&format!("tag {n}")));
    let filter = SandboxFilter {
        tags: many.collect(),
        ..SandboxFilter::default()
    };
    assert_eq!(listed(&*store, &fleet, filter).await, []);
}

pub async fn the_sandboxes_of_a_runner_are_the_live_ones(harness: &mut dyn Harness) {
    let store = harness.store();
    let (fleet, fleets, ids) = Box::pin(four(&*store)).await;
    fleets[0].end(&*store, ids[0]).await;
    let acme = &fleet.organization;
    let page = store
        .list_sandboxes_of_runner(acme, fleets[0].runner.uid, all())
        .await;
    let found = page
        .unwrap()
        .items
        .iter()
        .map(|each| each.id)
        .collect::<Vec<_>>();
    assert_eq!(found, [ids[1]]);
    let page = store
        .list_sandboxes_of_runner(acme, fleets[2].runner.uid, all())
        .await;
    let found = page
        .unwrap()
        .items
        .iter()
        .map(|each| each.id)
        .collect::<Vec<_>>();
    assert_eq!(found, [ids[3], ids[2]]);
}

pub async fn occupancy_counts_the_live_ones_and_names_the_newest(harness: &mut dyn Harness) {
    let store = harness.store();
    let (fleet, fleets, ids) = Box::pin(four(&*store)).await;
    let more = fleets[0].start(&*store).await.id;
    fleets[0].end(&*store, ids[0]).await;
    let acme = &fleet.organization;
    let counted = async |of, named_max| {
        let parts = store
            .occupancy(acme, of, PageSize::clamped(named_max))
            .await
            .unwrap();
        let part = |part: &crate::sandbox::Occupancy| {
            assert_eq!(part.newest.len() as u64, part.count.min(named_max as u64));
            (
                part.runner_uid,
                part.profile,
                part.count,
                part.newest.clone(),
            )
        };
        parts.iter().map(part).collect::<Vec<_>>()
    };
    let (here, there) = (&fleets[0], &fleets[2]);
    let of_runner = counted(OccupancyOf::Runner(here.runner.uid), 9).await;
    let on_this = of_runner.iter().map(|part| part.2).sum::<u64>();
    assert_eq!(on_this, 2, "{of_runner:?}");
    let newest = of_runner
        .iter()
        .find(|part| part.3.contains(&more))
        .unwrap();
    assert_eq!((newest.0, newest.1), (here.runner.uid, here.profile.id));
    let of_runner = counted(OccupancyOf::Runner(there.runner.uid), 1).await;
    assert!(of_runner.iter().all(|part| part.3.len() == 1));
    let total = of_runner.iter().map(|part| part.2).sum::<u64>();
    assert_eq!(total, 2, "{of_runner:?}");
    let of_profile = counted(OccupancyOf::Profile(here.profile.id), 9).await;
    assert!(of_profile.iter().all(|part| part.1 == here.profile.id));
    assert!(of_profile.iter().any(|part| part.3.contains(&more)));
    let none = counted(OccupancyOf::Profile(ProfileId::new(fresh_uuid())), 9).await;
    assert_eq!(none, []);
}
