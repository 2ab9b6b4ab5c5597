//! `palisade organization`: who may have sandboxes, and how large.

use palisade_model::clock::Clock as _;
use palisade_model::quantity::Quantity;
use palisade_model::tenant::{Organization, SandboxQuota};
use palisade_store::{PageRequest, PageSize, Store};

use crate::cli::{OrganizationCommand, QuotaArgs};
use crate::out::Out;
use crate::parts;
use crate::system::SystemClock;

/// Runs the command.
pub(super) async fn run(command: OrganizationCommand, out: &mut Out) -> anyhow::Result<()> {
    match command {
        OrganizationCommand::Create { id, quota, state } => {
            let store = parts::store::open(&state).await?;
            let organization = Organization {
                id: id.clone(),
                quota: quota_of(quota),
                created_at: SystemClock.now(),
            };
            store.create_organization(organization).await?;
            out.line(format_args!("organization {id} created"));
        }
        OrganizationCommand::SetQuota { id, quota, state } => {
            let store = parts::store::open(&state).await?;
            store.update_quota(&id, quota_of(quota)).await?;
            out.line(format_args!("organization {id} updated"));
        }
        OrganizationCommand::List { state } => {
            list(&*parts::store::open(&state).await?, out).await?;
        }
    }
    Ok(())
}

fn quota_of(args: QuotaArgs) -> SandboxQuota {
    let QuotaArgs { cpu, memory, gpus } = args;
    SandboxQuota {
        cpu,
        memory,
        gpu: gpus,
    }
}

async fn list(store: &dyn Store, out: &mut Out) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut request = PageRequest::first(PageSize::MAX);
    loop {
        let page = store.list_organizations(request).await?;
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
    out.table(["ORGANIZATION", "MAX CPU", "MAX MEMORY", "MAX GPUS"], &rows);
    Ok(())
}

fn row(organization: &Organization) -> [String; 4] {
    let SandboxQuota { cpu, memory, gpu } = &organization.quota;
    let amount = |quantity: &Option<Quantity>| match quantity {
        Some(quantity) => quantity.to_string(),
        None => "-".to_owned(),
    };
    [
        organization.id.to_string(),
        amount(cpu),
        amount(memory),
        gpu.map_or_else(|| "-".to_owned(), |gpus| gpus.to_string()),
    ]
}
