//! What `palisade dev` finds in place: an organization and tokens for it.
//!
//! Done anew at every start and only where something is missing, so that a
//! start that was interrupted is completed by the next one. A token whose file
//! was lost is replaced; the secret itself is kept nowhere else.

use anyhow::Context as _;
use palisade_model::clock::Clock as _;
use palisade_model::profile::Revision;
use palisade_model::quota::Quota;
use palisade_model::tenant::{Organization, Role};
use palisade_model::token::{Grant, PresentedToken};
use palisade_store::{CreateOrganizationError, GetError, Store};

use crate::state_dir::{StateDir, read_secret, write_secret};
use crate::system::SystemClock;
use crate::tokens::{NewToken, mint};

/// The organization of `palisade dev`, and the cluster that is this machine.
pub(crate) const ORGANIZATION: &str = "local";
pub(crate) const CLUSTER: &str = "local";

/// The tokens that `palisade dev` makes, by the names of their files.
pub(crate) const ADMIN_TOKEN: &str = "admin";
pub(crate) const USER_TOKEN: &str = "user";
pub(crate) const RUNNER_TOKEN: &str = "runner";

/// Makes what is missing; returns the token with which this machine joins.
pub(crate) async fn prepare(store: &dyn Store, state: &StateDir) -> anyhow::Result<String> {
    let organization = ORGANIZATION.parse().context("the organization's id")?;
    let made = store.create_organization(Organization {
        id: organization,
        quota: Quota::default(),
        revision: Revision::FIRST,
        created_at: SystemClock.now(),
    });
    match made.await {
        Ok(()) | Err(CreateOrganizationError::IdTaken) => {}
        Err(error @ CreateOrganizationError::Fault(_)) => return Err(error.into()),
    }
    token(
        store,
        state,
        ADMIN_TOKEN,
        caller("admin", Role::SandboxAdmin)?,
    )
    .await?;
    token(store, state, USER_TOKEN, caller("user", Role::SandboxUser)?).await?;
    let runner = Grant::Runner {
        organization: ORGANIZATION.parse()?,
        cluster: CLUSTER.parse()?,
    };
    token(store, state, RUNNER_TOKEN, runner).await
}

fn caller(user: &str, role: Role) -> anyhow::Result<Grant> {
    Ok(Grant::Caller {
        organization: ORGANIZATION.parse()?,
        user: user.parse()?,
        role,
    })
}

async fn token(
    store: &dyn Store,
    state: &StateDir,
    name: &str,
    grant: Grant,
) -> anyhow::Result<String> {
    let path = state.token(name);
    if let Some(kept) = read_secret(&path)?
        && is_known(store, &kept).await?
    {
        return Ok(kept);
    }
    let new = NewToken {
        grant,
        description: format!("made by palisade dev for {name}"),
        expires_at: None,
    };
    let token = mint(store, new)
        .await
        .with_context(|| format!("could not make the token {name}"))?;
    write_secret(&path, &token)?;
    Ok(token)
}

/// Whether the store would still let the holder of this token in.
async fn is_known(store: &dyn Store, text: &str) -> anyhow::Result<bool> {
    let Ok(token) = PresentedToken::parse(text) else {
        return Ok(false);
    };
    match store.find_token(token.id()).await {
        Ok(record) => Ok(record.hash == token.hash()),
        Err(GetError::NotFound) => Ok(false),
        Err(GetError::Fault(fault)) => Err(fault.into()),
    }
}
