//! `cwic sandbox snapshot`: what sandboxes keep for others, or for later.

use std::process::ExitCode;
use std::time::Duration;

use palisade_client::{Client, Sandboxes};

use crate::cli::{
    CreateSnapshotArgs, DeleteSnapshotsArgs, GetSnapshotArgs, ListSnapshotsArgs, SnapshotCommand,
};
use crate::commands::Ended;
use crate::commands::confirm::confirm;
use crate::commands::sandbox::failed;
use crate::error::{CliError, Exit};
use crate::listing::{Feed, Listing};
use crate::out::Out;
use crate::outcome::{Outcome, Report};
use crate::present::snapshot::{COLUMNS, item};

/// What programs are told that a snapshot is.
const KIND: &str = "snapshot";
/// Nothing tells of changes of snapshots: they are looked at again now and then.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Runs one of the commands.
pub(super) async fn run(command: SnapshotCommand, client: &Client, out: &mut Out) -> Ended {
    let sandboxes = client.sandboxes().map_err(|error| {
        CliError::new(Exit::Usage, "no call can be made").because(error.to_string())
    })?;
    match command {
        SnapshotCommand::Create(args) => create(&args, &sandboxes, out).await,
        SnapshotCommand::Get(args) => get(&args, (client, &sandboxes), out).await,
        SnapshotCommand::Ls(args) => list(&args, (client, &sandboxes), out).await,
        SnapshotCommand::Delete(args) => delete(&args, &sandboxes, out).await,
    }
}

async fn create(args: &CreateSnapshotArgs, sandboxes: &Sandboxes, out: &mut Out) -> Ended {
    let (sandbox, key) = (args.sandbox.as_str(), args.idempotency_key.as_str());
    let wait = (!args.no_wait).then_some(args.timeout);
    let taking = sandboxes.create_snapshot(sandbox, key, wait);
    let taken = out.during("taking the snapshot", taking).await;
    let what = format!("no snapshot was taken of sandbox {sandbox}");
    let id = taken.map_err(|error| failed(&what, &error))?;
    let result = if args.no_wait { "creating" } else { "ready" };
    let mut report = Report::new(args.outcome.output);
    let told = Outcome::of(KIND, &id, result).with("sandbox", sandbox);
    report.tell(told, &id, out);
    report.finish(out);
    Ok(ExitCode::SUCCESS)
}

async fn get(
    args: &GetSnapshotArgs,
    (client, sandboxes): (&Client, &Sandboxes),
    out: &mut Out,
) -> Ended {
    let fetch = async || {
        let found = match &args.id {
            None => sandboxes.list_snapshots().await,
            Some(id) => sandboxes.get_snapshot(id).await.map(|found| vec![found]),
        };
        let what = match &args.id {
            None => "snapshots were not listed".to_owned(),
            Some(id) => format!("snapshot {id} was not found"),
        };
        let found = found.map_err(|error| failed(&what, &error))?;
        Ok(found.iter().map(item).collect())
    };
    let listing = Listing {
        columns: &COLUMNS,
        is_single: args.id.is_some(),
        args: &args.list,
    };
    let feed = Feed::of(&[], client).and_every(LOOK_AGAIN);
    listing.run(fetch, feed, out).await
}

async fn list(
    args: &ListSnapshotsArgs,
    (client, sandboxes): (&Client, &Sandboxes),
    out: &mut Out,
) -> Ended {
    let fetch = async || {
        let found = sandboxes.list_snapshots().await;
        let found = found.map_err(|error| failed("snapshots were not listed", &error))?;
        let wanted = found.iter().filter(|found| {
            let of = args.sandbox.as_ref();
            of.is_none_or(|sandbox| found.source_sandbox_id == *sandbox)
        });
        Ok(wanted.map(item).collect())
    };
    let listing = Listing {
        columns: &COLUMNS,
        is_single: false,
        args: &args.list,
    };
    let feed = Feed::of(&[], client).and_every(LOOK_AGAIN);
    listing.run(fetch, feed, out).await
}

/// Deletes all of them; the exit code is that of the first that was not.
async fn delete(args: &DeleteSnapshotsArgs, sandboxes: &Sandboxes, out: &mut Out) -> Ended {
    let what = match args.ids.as_slice() {
        [one] => format!("snapshot {one}"),
        many => format!("{} snapshots ({})", many.len(), many.join(", ")),
    };
    confirm(args.confirm, &format!("Delete {what} for good?"), out).await?;
    let mut report = Report::new(args.outcome.output);
    let mut first = None;
    for id in &args.ids {
        let deleting = sandboxes.delete_snapshot(id);
        match out.during(&format!("deleting {id}"), deleting).await {
            Ok(()) => {
                let line = format!("snapshot {id} deleted");
                report.tell(Outcome::of(KIND, id, "deleted"), line, out);
            }
            Err(error) => {
                let failure = failed(&format!("snapshot {id} was not deleted"), &error);
                report.fail(Outcome::of(KIND, id, "refused"), &failure, out);
                first.get_or_insert(failure.exit());
            }
        }
    }
    report.finish(out);
    Ok(first.map_or(ExitCode::SUCCESS, ExitCode::from))
}
