//! The contract of [`crate::Tokens`], a sentence each.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use palisade_model::token::TokenRecord;

use super::Harness;
use super::fixture::{all, caller_token, organization, parsed, runner_token};
use crate::{CreateTokenError, GetError};

pub async fn a_token_belongs_to_an_organization_that_exists(harness: &mut dyn Harness) {
    let store = harness.store();
    let created = store.create_token(caller_token(&parsed("nobody"))).await;
    assert!(matches!(created, Err(CreateTokenError::NoOrganization)));
}

pub async fn a_token_id_is_given_out_once(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let first = caller_token(&acme);
    store.create_token(first.clone()).await.unwrap();
    let second = TokenRecord {
        id: first.id,
        ..runner_token(&acme)
    };
    let created = store.create_token(second).await;
    assert!(matches!(created, Err(CreateTokenError::IdTaken)));
    assert_eq!(store.find_token(first.id).await.unwrap(), first);
}

pub async fn a_token_is_found_by_its_id_whatever_its_kind(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    for token in [caller_token(&acme), runner_token(&acme)] {
        store.create_token(token.clone()).await.unwrap();
        assert_eq!(store.find_token(token.id).await.unwrap(), token);
    }
}

pub async fn a_revoked_token_is_not_found_any_more(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let token = caller_token(&acme);
    store.create_token(token.clone()).await.unwrap();
    store.revoke_token(&acme, token.id).await.unwrap();
    let found = store.find_token(token.id).await;
    assert!(matches!(found, Err(GetError::NotFound)));
    let again = store.revoke_token(&acme, token.id).await;
    assert!(matches!(again, Err(GetError::NotFound)));
}

pub async fn tokens_are_listed_in_the_order_of_ids(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let (first, second, third) = (
        caller_token(&acme),
        runner_token(&acme),
        caller_token(&acme),
    );
    for token in [&second, &third, &first] {
        store.create_token(token.clone()).await.unwrap();
    }
    let page = store.list_tokens(&acme, all()).await.unwrap();
    assert_eq!(page.items, [first, second, third]);
}
