//! The contract of [`crate::SecretStores`], a sentence each.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use palisade_model::id::SecretStoreId;
use palisade_model::name::OrganizationId;
use palisade_model::secret::SecretAddress;

use super::Harness;
use super::fixture::{all, fresh_uuid, now, organization, parsed};
use crate::secret::{
    CreateSecretStoreError, PutSecretError, Sealed, SealedPlace, SecretRecord, SecretStoreRecord,
};
use crate::{GetError, PageRequest, PageSize, Store};

const MOST: usize = 100;

fn record(organization: &OrganizationId, name: &str) -> SecretStoreRecord {
    let at = now();
    SecretStoreRecord {
        id: SecretStoreId::new(fresh_uuid()),
        organization: organization.clone(),
        name: parsed(name),
        created_at: at,
        updated_at: at,
    }
}

async fn added(store: &dyn Store, organization: &OrganizationId, name: &str) -> SecretStoreRecord {
    let record = record(organization, name);
    store
        .create_secret_store(record.clone(), MOST)
        .await
        .unwrap();
    record
}

fn address(path: &str, field: &str) -> SecretAddress {
    SecretAddress {
        path: parsed(path),
        field: (!field.is_empty()).then(|| parsed(field)),
    }
}

fn secret(path: &str, field: &str, bytes: &[u8]) -> SecretRecord {
    let at = now();
    SecretRecord {
        address: address(path, field),
        sealed: Sealed {
            key: "0011aabb".to_owned(),
            bytes: bytes.to_vec(),
        },
        created_at: at,
        updated_at: at,
    }
}

pub async fn a_secret_store_belongs_to_an_organization_that_exists(harness: &mut dyn Harness) {
    let store = harness.store();
    let created = store.create_secret_store(record(&parsed("nobody"), "team"), MOST);
    let created = created.await;
    assert!(matches!(
        created,
        Err(CreateSecretStoreError::NoOrganization)
    ));
}

pub async fn a_store_name_is_taken_once_and_free_once_it_is_deleted(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let first = added(&*store, &acme, "team").await;
    let again = store.create_secret_store(record(&acme, "team"), MOST).await;
    assert!(matches!(again, Err(CreateSecretStoreError::NameTaken)));
    let same_id = SecretStoreRecord {
        id: first.id,
        ..record(&acme, "other")
    };
    let again = store.create_secret_store(same_id, MOST).await;
    assert!(matches!(again, Err(CreateSecretStoreError::IdTaken)));
    assert_eq!(
        store.get_secret_store(&acme, &first.name).await.unwrap(),
        first
    );
    store.delete_secret_store(&acme, &first.name).await.unwrap();
    let gone = store.delete_secret_store(&acme, &first.name).await;
    assert!(matches!(gone, Err(GetError::NotFound)));
    let gone = store.get_secret_store(&acme, &first.name).await;
    assert!(matches!(gone, Err(GetError::NotFound)));
    added(&*store, &acme, "team").await;
}

pub async fn stores_and_secrets_are_bounded(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let team = added(&*store, &acme, "team").await;
    let more = store.create_secret_store(record(&acme, "more"), 1).await;
    assert!(matches!(more, Err(CreateSecretStoreError::TooMany)));
    let put = |path: &'static str, bytes: &'static [u8]| {
        store.put_secret(&acme, team.id, secret(path, "", bytes), 2)
    };
    put("a", b"1").await.unwrap();
    put("b", b"2").await.unwrap();
    assert!(matches!(put("c", b"3").await, Err(PutSecretError::TooMany)));
    // What replaces another adds nothing.
    put("a", b"4").await.unwrap();
}

pub async fn a_secret_that_is_put_again_replaces_the_first(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let team = added(&*store, &acme, "team").await;
    let first = secret("db", "password", b"one");
    store
        .put_secret(&acme, team.id, first.clone(), MOST)
        .await
        .unwrap();
    let second = secret("db", "password", b"two");
    store
        .put_secret(&acme, team.id, second.clone(), MOST)
        .await
        .unwrap();
    let kept = store
        .get_secret(&acme, team.id, &first.address)
        .await
        .unwrap();
    assert_eq!(kept.sealed, second.sealed);
    assert_eq!(kept.created_at, first.created_at);
    assert_eq!(kept.updated_at, second.updated_at);
    let touched = store.get_secret_store(&acme, &team.name).await.unwrap();
    assert_eq!(touched.updated_at, second.updated_at);
    for other in [address("db", ""), address("db", "user"), address("d", "b")] {
        let found = store.get_secret(&acme, team.id, &other).await;
        assert!(matches!(found, Err(GetError::NotFound)), "{other}");
    }
}

pub async fn a_deleted_secret_store_takes_its_secrets_with_it(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let team = added(&*store, &acme, "team").await;
    let other = added(&*store, &acme, "other").await;
    for id in [team.id, other.id] {
        store
            .put_secret(&acme, id, secret("a", "", b"1"), MOST)
            .await
            .unwrap();
    }
    store.delete_secret_store(&acme, &team.name).await.unwrap();
    let put = store.put_secret(&acme, team.id, secret("b", "", b"2"), MOST);
    assert!(matches!(put.await, Err(PutSecretError::NoStore)));
    let left = store.list_sealed(all()).await.unwrap();
    let left: Vec<_> = left.items.iter().map(|one| one.place.store).collect();
    assert_eq!(left, [other.id]);
    let there = address("a", "");
    store
        .delete_secret(&acme, other.id, &there, now())
        .await
        .unwrap();
    let again = store.delete_secret(&acme, other.id, &there, now()).await;
    assert!(matches!(again, Err(GetError::NotFound)));
}

pub async fn stores_and_secrets_are_listed_in_order(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    for name in ["ccc", "aaa", "bbb"] {
        added(&*store, &acme, name).await;
    }
    let part = PageRequest::first(PageSize::clamped(2));
    let page = store.list_secret_stores(&acme, part).await.unwrap();
    let names: Vec<_> = page.items.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["aaa", "bbb"]);
    let rest = PageRequest {
        after: page.next,
        size: PageSize::MAX,
    };
    let page = store.list_secret_stores(&acme, rest).await.unwrap();
    let names: Vec<_> = page.items.iter().map(|one| one.name.as_str()).collect();
    assert_eq!((names.as_slice(), page.next), (&["ccc"][..], None));
    let team = added(&*store, &acme, "team").await;
    let places = [("b", ""), ("a", "z"), ("a", ""), ("a/b", ""), ("a", "b")];
    for (path, field) in places {
        let put = store.put_secret(&acme, team.id, secret(path, field, b"1"), MOST);
        put.await.unwrap();
    }
    let mut listed = Vec::new();
    let mut request = PageRequest::first(PageSize::clamped(2));
    loop {
        let page = store.list_secrets(&acme, team.id, request).await.unwrap();
        listed.extend(page.items.into_iter().map(|head| head.address));
        let Some(next) = page.next else { break };
        request = PageRequest {
            after: Some(next),
            size: PageSize::clamped(2),
        };
    }
    let expected = [("a", ""), ("a", "b"), ("a", "z"), ("a/b", ""), ("b", "")];
    let expected = expected.map(|(path, field)| address(path, field));
    assert_eq!(listed, expected);
}

pub async fn a_sealed_value_is_replaced_only_as_it_was(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let team = added(&*store, &acme, "team").await;
    let first = secret("a", "", b"one");
    store
        .put_secret(&acme, team.id, first.clone(), MOST)
        .await
        .unwrap();
    let place = SealedPlace {
        store: team.id,
        address: first.address.clone(),
    };
    let anew = Sealed {
        key: "ccddeeff".to_owned(),
        bytes: b"anew".to_vec(),
    };
    let replaced = store.reseal_secret(&place, &first.sealed, anew.clone());
    assert!(replaced.await.unwrap());
    let replaced = store.reseal_secret(&place, &first.sealed, first.sealed.clone());
    assert!(!replaced.await.unwrap());
    let kept = store
        .get_secret(&acme, team.id, &first.address)
        .await
        .unwrap();
    assert_eq!((kept.sealed, kept.updated_at), (anew, first.updated_at));
}

pub async fn secrets_of_another_organization_do_not_exist(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let other = organization(&*store, "other").await;
    let team = added(&*store, &acme, "team").await;
    let kept = secret("a", "", b"1");
    store
        .put_secret(&acme, team.id, kept.clone(), MOST)
        .await
        .unwrap();
    let not_found = |error| matches!(error, GetError::NotFound);
    assert!(not_found(
        store
            .get_secret_store(&other, &team.name)
            .await
            .unwrap_err()
    ));
    assert!(not_found(
        store
            .delete_secret_store(&other, &team.name)
            .await
            .unwrap_err()
    ));
    let there = &kept.address;
    assert!(not_found(
        store.get_secret(&other, team.id, there).await.unwrap_err()
    ));
    assert!(not_found(
        store
            .delete_secret(&other, team.id, there, now())
            .await
            .unwrap_err()
    ));
    let put = store.put_secret(&other, team.id, secret("a", "", b"2"), MOST);
    assert!(matches!(put.await, Err(PutSecretError::NoStore)));
    assert!(
        store
            .list_secret_stores(&other, all())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert!(
        store
            .list_secrets(&other, team.id, all())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    // The same name is free there.
    added(&*store, &other, "team").await;
    let found = store.get_secret(&acme, team.id, there).await.unwrap();
    assert_eq!(found, kept);
}

pub async fn secrets_are_there_after_a_crash(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let team = added(&*store, &acme, "team").await;
    let kept = secret("a", "b", b"\0\xff");
    store
        .put_secret(&acme, team.id, kept.clone(), MOST)
        .await
        .unwrap();
    drop(store);
    harness.crash_and_reopen().await;
    let store = harness.store();
    let found = store.get_secret(&acme, team.id, &kept.address).await;
    assert_eq!(found.unwrap(), kept);
}
