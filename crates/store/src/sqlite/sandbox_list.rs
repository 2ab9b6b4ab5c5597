//! Lists of sandboxes, the newest first.

use std::collections::BTreeSet;

use palisade_model::id::{RunnerUid, SandboxId};
use palisade_model::name::OrganizationId;
use palisade_model::sandbox::Sandbox;
use sqlx::{QueryBuilder, Sqlite, SqlitePool};

use super::fault;
use super::row::{limit, page};
use super::sandbox::sandbox;
use crate::error::Fault;
use crate::page::{Page, PageRequest};
use crate::sandbox::{ProfileTerm, SandboxFilter};

const OF_RUNNER: &str = "SELECT * FROM sandboxes
    WHERE organization = $1 AND runner_uid = $2 AND is_over = 0 AND id < $3
    ORDER BY id DESC LIMIT $4";

/// Behind every id.
const LAST: &str = "~";

/// The live sandboxes of one runner.
pub(super) async fn list_of_runner(
    readers: &SqlitePool,
    organization: &OrganizationId,
    runner: RunnerUid,
    request: PageRequest<SandboxId>,
) -> Result<Page<Sandbox, SandboxId>, Fault> {
    let PageRequest { after, size } = request;
    let rows = sqlx::query(OF_RUNNER)
        .bind(organization.as_str())
        .bind(runner.to_string())
        .bind(before(after))
        .bind(limit(size))
        .fetch_all(readers)
        .await
        .map_err(fault)?;
    page(&rows, size, sandbox, |sandbox| sandbox.id)
}

/// The sandboxes that pass a filter.
pub(super) async fn list(
    readers: &SqlitePool,
    organization: &OrganizationId,
    filter: &SandboxFilter,
    request: PageRequest<SandboxId>,
) -> Result<Page<Sandbox, SandboxId>, Fault> {
    let PageRequest { after, size } = request;
    let mut query = QueryBuilder::new("SELECT * FROM sandboxes WHERE organization = ");
    query.push_bind(organization.as_str().to_owned());
    query.push(" AND id < ").push_bind(before(after));
    push_filter(&mut query, organization, filter);
    query
        .push(" ORDER BY id DESC LIMIT ")
        .push_bind(limit(size));
    let rows = query.build().fetch_all(readers).await.map_err(fault)?;
    page(&rows, size, sandbox, |sandbox| sandbox.id)
}

fn before(after: Option<SandboxId>) -> String {
    after.map_or_else(|| LAST.to_owned(), |id| id.to_string())
}

fn push_filter(
    query: &mut QueryBuilder<Sqlite>,
    organization: &OrganizationId,
    filter: &SandboxFilter,
) {
    let SandboxFilter {
        tags,
        phase,
        runners,
        profiles,
        include_terminal: _,
    } = filter;
    if !filter.admits_terminal() {
        query.push(" AND is_over = 0");
    }
    if let Some(phase) = phase {
        query.push(" AND phase = ").push_bind(phase.as_str());
    }
    for tag in tags {
        query
            .push(" AND EXISTS (SELECT 1 FROM sandbox_tags WHERE sandbox = sandboxes.id AND tag = ")
            .push_bind(tag.as_str().to_owned())
            .push(")");
    }
    if !runners.is_empty() {
        query.push(" AND runner_id IN (");
        push_list(query, runners.iter().map(ToString::to_string));
        query.push(")");
    }
    if !profiles.is_empty() {
        push_profiles(query, organization, profiles);
    }
}

/// The record has the name that the profile had on the runner; what it is called
/// without an alias is in its revisions, which outlive it.
fn push_profiles(
    query: &mut QueryBuilder<Sqlite>,
    organization: &OrganizationId,
    profiles: &BTreeSet<ProfileTerm>,
) {
    let ids = profiles.iter().filter_map(|term| match term {
        ProfileTerm::Id(id) => Some(id.to_string()),
        ProfileTerm::Name(_) => None,
    });
    let names = profiles.iter().filter_map(|term| match term {
        ProfileTerm::Id(_) => None,
        ProfileTerm::Name(name) => Some(name.to_string()),
    });
    query.push(" AND (profile_id IN (");
    push_list(query, ids);
    query.push(") OR profile_name IN (");
    push_list(query, names.clone());
    query
        .push(") OR profile_id IN (SELECT id FROM profile_revisions WHERE organization = ")
        .push_bind(organization.as_str().to_owned())
        .push(" AND display_name IN (");
    push_list(query, names);
    query.push(")))");
}

/// Values between commas; `NULL`, which equals nothing, for none at all.
fn push_list(query: &mut QueryBuilder<Sqlite>, values: impl Iterator<Item = String>) {
    query.push("NULL");
    for value in values {
        query.push(", ").push_bind(value);
    }
}
