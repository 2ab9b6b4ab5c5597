//! `cwic sandbox runner get`: all runners, or one.

use std::time::Duration;

use palisade_client::{Client, RunnerFilter};
use palisade_wire::rest::ChangedKind;

use crate::cli::{Format, GetRunnersArgs};
use crate::commands::Ended;
use crate::error::CliError;
use crate::listing::{Feed, Listing};
use crate::out::Out;
use crate::present::runner::{COLUMNS, item};

/// How often it is looked whether a runner is connected, which is no change that
/// anybody made.
const LOOK: Duration = Duration::from_secs(2);

/// Runs the command.
pub(in crate::commands) async fn run(
    args: &GetRunnersArgs,
    client: &Client,
    out: &mut Out,
) -> Ended {
    let filter = RunnerFilter {
        cluster: args.cluster.clone(),
        zone: args.zone.clone(),
    };
    let is_table = matches!(args.list.output.output, Format::Table | Format::Wide);
    let fetch = async || {
        let runners = match &args.runner {
            Some(text) => vec![super::find(text, client).await?],
            None => (client.list_runners(&filter).await)
                .map_err(|error| CliError::call("runners were not listed", &error))?,
        };
        // Only a table shows the names of profiles.
        let profiles = if is_table {
            super::profiles(client).await?
        } else {
            Vec::new()
        };
        Ok(runners
            .iter()
            .map(|runner| item(runner, &profiles))
            .collect())
    };
    let listing = Listing {
        columns: &COLUMNS,
        is_single: args.runner.is_some(),
        args: &args.list,
    };
    let kinds = &[ChangedKind::Runner, ChangedKind::Profile];
    let feed = Feed::of(kinds, client).and_every(LOOK);
    listing.run(fetch, feed, out).await
}
