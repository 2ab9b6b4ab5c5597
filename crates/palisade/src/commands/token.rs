//! `palisade token`: making, listing and revoking.

use std::time::Duration;

use anyhow::bail;
use palisade_model::clock::{Clock as _, Timestamp};
use palisade_model::id::TokenId;
use palisade_model::name::{ClusterName, OrganizationId, UserId};
use palisade_model::tenant::Role;
use palisade_model::token::{Grant, TokenRecord};
use palisade_store::{PageRequest, PageSize, Store};
use palisade_wire::timestamp;

use crate::cli::{RoleArg, StateArgs, TokenCommand};
use crate::out::Out;
use crate::parts;
use crate::system::SystemClock;
use crate::tokens::{NewToken, mint};

/// Runs the command.
pub(super) async fn run(command: TokenCommand, out: &mut Out) -> anyhow::Result<()> {
    match command {
        TokenCommand::Create {
            organization,
            user,
            role,
            cluster,
            expires_days,
            description,
            state,
        } => {
            let grant = grant(organization, user, role, cluster)?;
            create((grant, description, expires_days), &state, out).await?;
        }
        TokenCommand::CreateRunner {
            organization,
            cluster,
            expires_days,
            description,
            state,
        } => {
            let grant = Grant::Runner {
                organization,
                cluster,
            };
            create((grant, description, expires_days), &state, out).await?;
        }
        TokenCommand::List {
            organization,
            state,
        } => list(&*parts::store::open(&state).await?, &organization, out).await?,
        TokenCommand::Revoke {
            id,
            organization,
            state,
        } => {
            let store = parts::store::open(&state).await?;
            store.revoke_token(&organization, TokenId::new(id)).await?;
            out.line(format_args!("token {id} revoked"));
        }
    }
    Ok(())
}

async fn create(
    (grant, description, expires_days): (Grant, String, Option<u32>),
    state: &StateArgs,
    out: &mut Out,
) -> anyhow::Result<()> {
    let new = NewToken {
        grant,
        description,
        expires_at: expires_days.map(expiry),
    };
    let store = parts::store::open(state).await?;
    out.line(mint(&*store, new).await?);
    Ok(())
}

fn grant(
    organization: OrganizationId,
    user: Option<UserId>,
    role: RoleArg,
    cluster: Option<ClusterName>,
) -> anyhow::Result<Grant> {
    match (user, cluster) {
        (Some(user), None) => Ok(Grant::Caller {
            organization,
            user,
            role: role_of(role),
        }),
        (None, Some(cluster)) => Ok(Grant::Runner {
            organization,
            cluster,
        }),
        (None, None) | (Some(_), Some(_)) => bail!("give either --user or --cluster"),
    }
}

fn role_of(role: RoleArg) -> Role {
    match role {
        RoleArg::SandboxUser => Role::SandboxUser,
        RoleArg::SandboxAdmin => Role::SandboxAdmin,
    }
}

fn expiry(days: u32) -> Timestamp {
    let lifetime = Duration::from_hours(24) * days;
    SystemClock.now().saturating_add(lifetime)
}

async fn list(
    store: &dyn Store,
    organization: &OrganizationId,
    out: &mut Out,
) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut request = PageRequest::first(PageSize::MAX);
    loop {
        let page = store.list_tokens(organization, request).await?;
        rows.extend(page.items.iter().map(row));
        match page.next {
            Some(next) => {
                request = PageRequest {
                    after: Some(next),
                    size: PageSize::MAX,
                };
            }
            None => break,
        }
    }
    out.table(["ID", "FOR", "ROLE", "EXPIRES", "DESCRIPTION"], &rows);
    Ok(())
}

fn row(token: &TokenRecord) -> [String; 5] {
    let (subject, role) = match &token.grant {
        Grant::Caller { user, role, .. } => (user.to_string(), role.as_str()),
        Grant::Runner { cluster, .. } => (format!("cluster {cluster}"), "runner"),
    };
    let expires = token
        .expires_at
        .map_or_else(|| "never".to_owned(), timestamp::format);
    [
        token.id.to_string(),
        subject,
        role.to_owned(),
        expires,
        token.description.clone(),
    ]
}
