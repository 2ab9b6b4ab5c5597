//! How profiles are pointed at, a sentence each.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use super::Harness;
use super::fixture::{organization, parsed, profile};
use crate::{GetError, ProfileRef};

pub async fn a_reference_finds_the_id_before_the_name(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let first = profile(&*store, &acme, "web").await;
    // A name that looks like the id of the first one.
    let second = profile(&*store, &acme, &first.id.to_string()).await;
    let both: ProfileRef = parsed(&first.id.to_string());
    assert_eq!(store.get_profile(&acme, &both).await.unwrap(), first);
    store.delete_profile(&acme, first.id, None).await.unwrap();
    assert_eq!(store.get_profile(&acme, &both).await.unwrap(), second);
}

pub async fn a_reference_by_name_alone_finds_the_name(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let first = profile(&*store, &acme, "web").await;
    let second = profile(&*store, &acme, &first.id.to_string()).await;
    let by_name = ProfileRef::from(second.display_name.clone());
    assert_eq!(store.get_profile(&acme, &by_name).await.unwrap(), second);
    let none = store.get_profile(&acme, &parsed("nothing")).await;
    assert!(matches!(none, Err(GetError::NotFound)));
}
