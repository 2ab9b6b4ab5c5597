//! `cwic sandbox profile get`: all profiles, or one.

use palisade_client::Client;
use palisade_wire::rest::ChangedKind;

use crate::cli::GetProfilesArgs;
use crate::commands::Ended;
use crate::error::CliError;
use crate::listing::{Feed, Listing};
use crate::out::Out;
use crate::present::profile::{COLUMNS, item};

/// Runs the command.
pub(in crate::commands) async fn run(
    args: &GetProfilesArgs,
    client: &Client,
    out: &mut Out,
) -> Ended {
    let fetch = async || {
        let profiles = match &args.profile {
            Some(text) => vec![super::find(text, client).await?],
            None => (client.list_profiles().await)
                .map_err(|error| CliError::call("profiles were not listed", &error))?,
        };
        Ok(profiles.iter().map(item).collect())
    };
    let listing = Listing {
        columns: &COLUMNS,
        is_single: args.profile.is_some(),
        args: &args.list,
    };
    let feed = Feed::of(&[ChangedKind::Profile], client);
    listing.run(fetch, feed, out).await
}
