//! `cwic sandbox quota`: what one may have, and what one has.

use std::time::Duration;

use palisade_client::Client;

use crate::cli::{ListQuotaArgs, QuotaCommand, ShowQuotaArgs};
use crate::commands::Ended;
use crate::error::CliError;
use crate::listing::{Feed, Listing};
use crate::out::Out;
use crate::present::quota::{LIMITS, SCOPES, limits, scopes, whole, whole_limits};

mod set;

/// Nothing tells of what is used: it is looked at again now and then.
const PERIOD: Duration = Duration::from_secs(5);

/// Runs one of the commands.
pub(super) async fn run(command: QuotaCommand, client: &Client, out: &mut Out) -> Ended {
    match command {
        QuotaCommand::Get(args) => get(&args, client, out).await,
        QuotaCommand::Ls(args) => list(&args, client, out).await,
        QuotaCommand::Set(args) => set::run(&args, client, out).await,
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
    listing
        .run(fetch, Feed::of(&[], client).and_every(PERIOD), out)
        .await
}

/// A table has a line for everybody that has limits.
async fn list(args: &ListQuotaArgs, client: &Client, out: &mut Out) -> Ended {
    let is_table = args.list.output.output.is_table();
    let fetch = async || {
        let told = client.quota_limits().await;
        let told = told.map_err(|error| CliError::call("the limits were not told", &error))?;
        Ok(if is_table {
            limits(&told)
        } else {
            vec![whole_limits(&told)]
        })
    };
    let listing = Listing {
        columns: &LIMITS,
        is_single: !is_table,
        args: &args.list,
    };
    listing
        .run(fetch, Feed::of(&[], client).and_every(PERIOD), out)
        .await
}
