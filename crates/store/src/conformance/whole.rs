//! What holds for all of a [`crate::Store`], a sentence each.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use palisade_model::profile::Revision;
use tokio::time;

use super::Harness;
use super::fixture::{all, caller_token, fleet, organization, parsed, profile, stamp};
use crate::profile::ProfileUpdate;
use crate::{GetError, PageRequest, PageSize, ProfileRef, Sequence};

pub async fn everything_is_there_after_a_crash(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let acme = &fleet.organization;
    let token = caller_token(acme);
    store.create_token(token.clone()).await.unwrap();
    let (sandbox, ended) = (fleet.start(&*store).await, fleet.start(&*store).await);
    fleet.end(&*store, ended.id).await;
    let ended = store.get_sandbox(acme, ended.id).await.unwrap();
    let feed = store
        .changes_after(Sequence::START, PageSize::MAX)
        .await
        .unwrap();
    drop(store);
    harness.crash_and_reopen().await;
    let store = harness.store();
    let read = store.get_profile(acme, &fleet.profile.id.into()).await;
    assert_eq!(read.unwrap(), fleet.profile);
    let read = store.get_runner(acme, &fleet.runner.uid.into()).await;
    assert_eq!(read.unwrap(), fleet.runner);
    assert_eq!(store.find_token(token.id).await.unwrap(), token);
    assert_eq!(store.get_sandbox(acme, sandbox.id).await.unwrap(), sandbox);
    assert_eq!(store.get_sandbox(acme, ended.id).await.unwrap(), ended);
    let again = store.changes_after(Sequence::START, PageSize::MAX).await;
    assert_eq!(again.unwrap(), feed);
}

/// Drops calls at many points of their way, and looks what they did.
pub async fn a_call_that_was_dropped_took_effect_whole_or_not_at_all(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let web = profile(&*store, &acme, "web").await;
    for micros in (0..6000).step_by(150) {
        let before = store.get_profile(&acme, &web.id.into()).await.unwrap();
        let head = store.head().await.unwrap();
        let update = ProfileUpdate {
            description: Some(format!("after {micros}")),
            ..ProfileUpdate::default()
        };
        let call = store.update_profile(&acme, web.id, update, stamp());
        let _ = time::timeout(Duration::from_micros(micros), call).await;
        // The next write waits for whatever the dropped one still did.
        organization(&*store, &format!("org-{micros}")).await;
        let after = store.get_profile(&acme, &web.id.into()).await.unwrap();
        let changes = store.changes_after(head, PageSize::MAX).await.unwrap();
        let revisions = store
            .list_profile_revisions(&acme, web.id, all())
            .await
            .unwrap();
        let newest = &revisions.items[0];
        assert_eq!(
            (newest.revision, &newest.description),
            (after.revision, &after.description)
        );
        if after.revision == before.revision {
            assert_eq!(after, before);
            assert_eq!(changes.len(), 1);
        } else {
            assert_eq!(after.description, format!("after {micros}"));
            assert_eq!(changes.len(), 2);
        }
    }
}

pub async fn a_read_sees_what_another_handle_wrote_before(harness: &mut dyn Harness) {
    let store = harness.store();
    let other = harness.second_handle().await;
    let acme = organization(&*store, "acme").await;
    let web: ProfileRef = parsed("web");
    assert!(matches!(
        other.get_profile(&acme, &web).await,
        Err(GetError::NotFound)
    ));
    let mut expected = profile(&*store, &acme, "web").await;
    for number in 0..10 {
        let (writer, reader) = if number % 2 == 0 {
            (&other, &store)
        } else {
            (&store, &other)
        };
        let update = ProfileUpdate {
            expected: Some(Revision(number + 1)),
            ..ProfileUpdate::default()
        };
        let changed = writer
            .update_profile(&acme, expected.id, update, stamp())
            .await;
        expected = changed.unwrap();
        assert_eq!(reader.get_profile(&acme, &web).await.unwrap(), expected);
    }
}

pub async fn lists_in_pages_show_what_stays_exactly_once(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let mut staying = BTreeSet::new();
    for number in 10..20 {
        staying.insert(
            profile(&*store, &acme, &format!("stays {number}"))
                .await
                .display_name,
        );
        profile(&*store, &acme, &format!("goes {number}")).await;
    }
    let mut seen = Vec::new();
    let mut request = PageRequest::first(PageSize::clamped(3));
    let mut number = 10;
    loop {
        let page = store.list_profiles(&acme, request.clone()).await.unwrap();
        assert!(page.items.len() <= 3);
        seen.extend(page.items.into_iter().map(|each| each.display_name));
        let Some(next) = page.next else { break };
        request.after = Some(next);
        // Meanwhile one goes and one comes, before and behind the place.
        if number < 20 {
            let goes = store
                .get_profile(&acme, &parsed(&format!("goes {number}")))
                .await;
            store
                .delete_profile(&acme, goes.unwrap().id, None)
                .await
                .unwrap();
            profile(&*store, &acme, &format!("a comes {number}")).await;
            profile(&*store, &acme, &format!("z comes {number}")).await;
        }
        number += 1;
    }
    assert!(
        seen.is_sorted_by(|left, right| left < right),
        "nothing is seen twice"
    );
    let seen = seen.into_iter().collect::<BTreeSet<_>>();
    assert!(staying.is_subset(&seen), "everything that stays is seen");
}
