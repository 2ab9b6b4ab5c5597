//! The contract of [`crate::Organizations`], a sentence each.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use palisade_model::profile::Revision;
use palisade_model::quota::{Limits, Quota};
use palisade_model::tenant::{Organization, SandboxQuota};

use super::Harness;
use super::fixture::{all, now, organization, parsed};
use crate::{CreateOrganizationError, GetError, UpdateQuotaError};

fn acme() -> Organization {
    Organization {
        id: parsed("acme"),
        quota: Quota {
            organization: Limits {
                sandbox: SandboxQuota {
                    cpu: Some(parsed("1.50")),
                    memory: Some(parsed("8Gi")),
                    gpu: Some(2),
                },
                sandboxes: Some(20),
                starts_per_minute: Some(60),
                snapshots: Some(7),
                snapshot_bytes: Some(1 << 40),
            },
            ..Quota::default()
        },
        revision: Revision::FIRST,
        created_at: now(),
    }
}

pub async fn an_organization_id_is_given_out_once(harness: &mut dyn Harness) {
    let store = harness.store();
    let first = acme();
    store.create_organization(first.clone()).await.unwrap();
    let second = store.create_organization(acme()).await;
    assert!(matches!(second, Err(CreateOrganizationError::IdTaken)));
    assert_eq!(store.get_organization(&first.id).await.unwrap(), first);
}

pub async fn a_changed_quota_is_what_the_next_read_returns(harness: &mut dyn Harness) {
    let store = harness.store();
    let before = acme();
    store.create_organization(before.clone()).await.unwrap();
    let own = Limits {
        sandbox: SandboxQuota {
            cpu: None,
            memory: Some(parsed("1e3")),
            gpu: None,
        },
        sandboxes: Some(0),
        ..Limits::default()
    };
    let quota = Quota {
        each_user: own.clone(),
        users: [(parsed("ada"), own)].into(),
        ..Quota::default()
    };
    let changed = store.update_quota(&before.id, quota.clone(), None);
    let changed = changed.await.unwrap();
    let expected = Organization {
        quota,
        revision: before.revision.next(),
        ..before
    };
    assert_eq!(changed, expected);
    assert_eq!(
        store.get_organization(&expected.id).await.unwrap(),
        expected
    );
}

pub async fn a_change_from_another_revision_is_refused(harness: &mut dyn Harness) {
    let store = harness.store();
    let first = acme();
    store.create_organization(first.clone()).await.unwrap();
    let expected = Some(first.revision);
    let changed = store.update_quota(&first.id, Quota::default(), expected);
    let changed = changed.await.unwrap();
    for stale in [first.revision, changed.revision.next()] {
        let refused = store.update_quota(&first.id, first.quota.clone(), Some(stale));
        let refused = refused.await.unwrap_err();
        assert!(
            matches!(refused, UpdateQuotaError::RevisionMismatch { current } if current == changed.revision),
            "{refused:?}"
        );
    }
    assert_eq!(store.get_organization(&first.id).await.unwrap(), changed);
}

pub async fn organizations_are_listed_in_the_order_of_ids(harness: &mut dyn Harness) {
    let store = harness.store();
    for id in ["b", "a", "B", "a-1", "Z"] {
        organization(&*store, id).await;
    }
    let page = store.list_organizations(all()).await.unwrap();
    let ids = page.items.iter().map(|each| each.id.as_str());
    assert_eq!(ids.collect::<Vec<_>>(), ["B", "Z", "a", "a-1", "b"]);
    assert_eq!(page.next, None);
}

pub async fn what_is_not_there_is_not_found(harness: &mut dyn Harness) {
    let store = harness.store();
    let nobody = parsed("nobody");
    let found = store.get_organization(&nobody).await;
    assert!(matches!(found, Err(GetError::NotFound)));
    let changed = store.update_quota(&nobody, Quota::default(), None).await;
    assert!(matches!(changed, Err(UpdateQuotaError::NotFound)));
}
