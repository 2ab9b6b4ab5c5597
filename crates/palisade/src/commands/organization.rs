//! `palisade organization`: who may have sandboxes, and how large.

use anyhow::bail;
use palisade_model::clock::Clock as _;
use palisade_model::name::OrganizationId;
use palisade_model::profile::Revision;
use palisade_model::quantity::Quantity;
use palisade_model::quota::{Limits, Quota, Whose};
use palisade_model::tenant::{Organization, SandboxQuota};
use palisade_store::{PageRequest, PageSize, Store, UpdateQuotaError};

use crate::cli::{OrganizationCommand, QuotaArgs, WhoseArgs};
use crate::out::Out;
use crate::parts;
use crate::system::SystemClock;

/// How often a change is made anew that another one came before.
const ATTEMPTS: u32 = 5;

/// Runs the command.
pub(super) async fn run(command: OrganizationCommand, out: &mut Out) -> anyhow::Result<()> {
    match command {
        OrganizationCommand::Create { id, quota, state } => {
            let store = parts::store::open(&state).await?;
            let organization = Organization {
                id: id.clone(),
                quota: Quota {
                    organization: limits(quota),
                    ..Quota::default()
                },
                revision: Revision::FIRST,
                created_at: SystemClock.now(),
            };
            store.create_organization(organization).await?;
            out.line(format_args!("organization {id} created"));
        }
        OrganizationCommand::SetQuota {
            id,
            whose,
            quota,
            state,
        } => {
            let store = parts::store::open(&state).await?;
            set_quota(&*store, &id, &whose, &limits(quota)).await?;
            out.line(format_args!("organization {id} updated"));
        }
        OrganizationCommand::List { state } => {
            list(&*parts::store::open(&state).await?, out).await?;
        }
        OrganizationCommand::Quota { id, state } => {
            quota(&*parts::store::open(&state).await?, &id, out).await?;
        }
    }
    Ok(())
}

fn limits(args: QuotaArgs) -> Limits {
    let QuotaArgs {
        cpu,
        memory,
        gpus,
        sandboxes,
        starts_per_minute,
        snapshots,
        snapshot_bytes,
    } = args;
    Limits {
        sandbox: SandboxQuota {
            cpu,
            memory,
            gpu: gpus,
        },
        sandboxes,
        starts_per_minute,
        snapshots,
        snapshot_bytes: snapshot_bytes.map(|bytes| bytes.0),
    }
}

/// Replaces the limits of somebody. What an administrator of the organization
/// changes meanwhile is not lost: the change is made anew from that.
async fn set_quota(
    store: &dyn Store,
    id: &OrganizationId,
    whose: &WhoseArgs,
    limits: &Limits,
) -> anyhow::Result<()> {
    for _ in 0..ATTEMPTS {
        let present = store.get_organization(id).await?;
        let changed = changed(present.quota, whose, limits.clone())?;
        match store
            .update_quota(id, changed, Some(present.revision))
            .await
        {
            Ok(_) => return Ok(()),
            Err(UpdateQuotaError::RevisionMismatch { .. }) => {}
            Err(error @ (UpdateQuotaError::NotFound | UpdateQuotaError::Fault(_))) => {
                return Err(error.into());
            }
        }
    }
    bail!("changes of the quota of organization {id} keep coming in between; try again")
}

/// The quota with the limits of somebody replaced; all others stay.
fn changed(mut quota: Quota, whose: &WhoseArgs, limits: Limits) -> anyhow::Result<Quota> {
    let WhoseArgs {
        each_user,
        user,
        remove,
    } = whose;
    let whose = match user {
        Some(user) => Whose::User(user.clone()),
        None if *each_user => Whose::EachUser,
        None => {
            quota.organization = limits;
            return Ok(quota);
        }
    };
    Ok(quota.with(&whose, (!remove).then_some(limits))?)
}

async fn quota(store: &dyn Store, id: &OrganizationId, out: &mut Out) -> anyhow::Result<()> {
    let Quota {
        organization,
        each_user,
        users,
    } = store.get_organization(id).await?.quota;
    let mut rows = vec![
        row("all users together".to_owned(), &organization),
        row("each user".to_owned(), &each_user),
    ];
    rows.extend(
        users
            .iter()
            .map(|(user, limits)| row(format!("user {user}"), limits)),
    );
    let mut headers = HEADERS;
    headers[0] = "WHOSE";
    out.table(headers, &rows);
    Ok(())
}

const HEADERS: [&str; 8] = [
    "ORGANIZATION",
    "MAX CPU",
    "MAX MEMORY",
    "MAX GPUS",
    "MAX SANDBOXES",
    "MAX STARTS/MIN",
    "MAX SNAPSHOTS",
    "MAX SNAPSHOT BYTES",
];

async fn list(store: &dyn Store, out: &mut Out) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut request = PageRequest::first(PageSize::MAX);
    loop {
        let page = store.list_organizations(request).await?;
        rows.extend(page.items.iter().map(|organization| {
            let limits = &organization.quota.organization;
            row(organization.id.to_string(), limits)
        }));
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
    out.table(HEADERS, &rows);
    Ok(())
}

fn row(whose: String, limits: &Limits) -> [String; 8] {
    let Limits {
        sandbox: SandboxQuota { cpu, memory, gpu },
        sandboxes,
        starts_per_minute,
        snapshots,
        snapshot_bytes,
    } = limits;
    let amount = |quantity: &Option<Quantity>| match quantity {
        Some(quantity) => quantity.to_string(),
        None => "-".to_owned(),
    };
    let count = |limit: Option<u32>| limit.map_or_else(|| "-".to_owned(), |it| it.to_string());
    [
        whose,
        amount(cpu),
        amount(memory),
        count(*gpu),
        count(*sandboxes),
        count(*starts_per_minute),
        count(*snapshots),
        snapshot_bytes.map_or_else(|| "-".to_owned(), |it| it.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose(each_user: bool, user: Option<&str>, remove: bool) -> WhoseArgs {
        WhoseArgs {
            each_user,
            user: user.map(|user| user.parse().unwrap()),
            remove,
        }
    }

    fn at_most(sandboxes: u32) -> Limits {
        Limits {
            sandboxes: Some(sandboxes),
            ..Limits::default()
        }
    }

    #[test]
    fn the_limits_of_one_are_replaced_and_those_of_others_stay() {
        let quota = changed(Quota::default(), &whose(false, None, false), at_most(9)).unwrap();
        let quota = changed(quota, &whose(true, None, false), at_most(3)).unwrap();
        let quota = changed(quota, &whose(false, Some("ada"), false), at_most(5)).unwrap();
        assert_eq!(quota.organization, at_most(9));
        assert_eq!(quota.of_user(&"ada".parse().unwrap()), &at_most(5));
        assert_eq!(quota.of_user(&"bob".parse().unwrap()), &at_most(3));
        let removed = whose(false, Some("ada"), true);
        let quota = changed(quota, &removed, Limits::default()).unwrap();
        assert_eq!(quota.of_user(&"ada".parse().unwrap()), &at_most(3));
    }
}
