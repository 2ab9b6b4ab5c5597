//! `cwic sandbox quota`: what one may have, and what one has.

use palisade_client::Client;

use crate::cli::{QuotaCommand, ShowQuotaArgs};
use crate::commands::Ended;
use crate::error::CliError;
use crate::listing::{Feed, Listing};
use crate::out::Out;
use crate::present::quota::{SCOPES, scopes, whole};

/// Runs one of the commands.
pub(super) async fn run(command: QuotaCommand, client: &Client, out: &mut Out) -> Ended {
    match command {
        QuotaCommand::Get(args) => get(&args, client, out).await,
    }
}

/// A table has a line for the organization and one for the user; programs read the
/// whole answer.
async fn get(args: &ShowQuotaArgs, client: &Client, out: &mut Out) -> Ended {
    let is_table = args.list.output.output.is_table();
    let fetch = async || {
        let told = client.quota(args.user.as_deref()).await;
        let told = told.map_err(|error| CliError::call("the quota was not told", &error))?;
        Ok(if is_table {
            scopes(&told).into()
        } else {
            vec![whole(&told)]
        })
    };
    let listing = Listing {
        columns: &SCOPES,
        is_single: !is_table,
        args: &args.list,
    };
    let feed = Feed::of(&[], client).and_every(std::time::Duration::from_secs(5));
    listing.run(fetch, feed, out).await
}
