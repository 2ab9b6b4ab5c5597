//! `cwic sandbox ls`: sandboxes of the organization, and what changes.

use palisade_client::{Client, SandboxFilter, Sandboxes};
use palisade_wire::rest::ChangedKind;

use crate::cli::ListSandboxesArgs;
use crate::commands::Ended;
use crate::commands::sandbox::failure::failed;
use crate::error::CliError;
use crate::listing::{Feed, Item, Listing};
use crate::out::Out;
use crate::present::sandbox::{COLUMNS, item};

/// Lists once, or until this program is asked to end.
pub(super) async fn run(
    args: &ListSandboxesArgs,
    (client, sandboxes): (&Client, &Sandboxes),
    out: &mut Out,
) -> Ended {
    let filter = SandboxFilter {
        tags: args.tags.clone(),
        profiles: args.profile.iter().cloned().collect(),
        runners: args.runner.iter().cloned().collect(),
        includes_over: args.all_states,
    };
    let fetch = async || fetch(sandboxes, &filter).await;
    let listing = Listing {
        columns: &COLUMNS,
        is_single: false,
        args: &args.list,
    };
    let feed = Feed::of(&[ChangedKind::Sandbox], client);
    listing.run(fetch, feed, out).await
}

/// The sandboxes that pass a filter.
pub(super) async fn fetch(
    sandboxes: &Sandboxes,
    filter: &SandboxFilter,
) -> Result<Vec<Item>, CliError> {
    let found = sandboxes.list(filter).await;
    let found = found.map_err(|error| failed("sandboxes were not listed", &error))?;
    Ok(found.iter().map(item).collect())
}
