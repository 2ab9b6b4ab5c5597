//! `cwic sandbox denials`: what was refused on the network.

use std::collections::BTreeMap;
use std::time::Duration;

use palisade_client::Client;
use palisade_wire::rest::ProfileDenials;

use crate::cli::{DenialsArgs, Format, ListArgs};
use crate::commands::Ended;
use crate::error::CliError;
use crate::listing::{Feed, Listing};
use crate::out::Out;
use crate::present::denials::{FLOWS, TOTALS, flow, total, whole};
use crate::present::printable;

/// How often it is looked at again: refusals are no changes that the server tells of.
const PACE: Duration = Duration::from_secs(1);

/// Shows it once, or until this program is asked to end.
pub(super) async fn run(args: &DenialsArgs, client: &Client, out: &mut Out) -> Ended {
    let DenialsArgs {
        sandbox,
        profile,
        list,
    } = args;
    match (sandbox, profile) {
        (Some(id), _) => of_sandbox(id, list, client, out).await,
        (None, Some(profile)) => of_profile(profile, list, client, out).await,
        (None, None) => of_all(list, client, out).await,
    }
}

/// Columns have a flow each; programs read the whole answer.
async fn of_sandbox(id: &str, args: &ListArgs, client: &Client, out: &mut Out) -> Ended {
    let is_table = matches!(args.output.output, Format::Table | Format::Wide);
    let ask = async || {
        let told = client.sandbox_denials(id).await;
        told.map_err(|error| {
            let what = format!("what was refused to sandbox {id} was not told");
            CliError::call(&what, &error)
        })
    };
    if is_table {
        let told = out.during("waiting for the server", ask()).await?;
        out.note(format_args!(
            "egress mode {}: {} packets refused, {} packets from outside, and {} questions for names",
            told.egress_mode, told.packets, told.incoming_packets, told.questions
        ));
    }
    let fetch = async || {
        let told = ask().await?;
        if is_table {
            return Ok(told.recent.iter().map(|seen| flow(&told, seen)).collect());
        }
        Ok(vec![whole(&told)])
    };
    let listing = Listing {
        columns: &FLOWS,
        is_single: !is_table,
        args,
    };
    listing.run(fetch, feed(client), out).await
}

async fn of_profile(profile: &str, args: &ListArgs, client: &Client, out: &mut Out) -> Ended {
    let ask = async || {
        let told = client.profile_denials(profile).await;
        told.map_err(|error| not_told(profile, &error))
    };
    let told = out.during("waiting for the server", ask()).await?;
    note_uncounted([&told], out);
    let fetch = async || Ok(vec![total(profile, &ask().await?)]);
    let listing = Listing {
        columns: &TOTALS,
        is_single: true,
        args,
    };
    listing.run(fetch, feed(client), out).await
}

async fn of_all(args: &ListArgs, client: &Client, out: &mut Out) -> Ended {
    let ask = async || {
        let profiles = client.list_profiles().await;
        let profiles =
            profiles.map_err(|error| CliError::call("profiles were not listed", &error))?;
        let mut all = Vec::with_capacity(profiles.len());
        for profile in profiles {
            let told = client.profile_denials(&profile.id).await;
            let told = told.map_err(|error| not_told(&profile.display_name, &error))?;
            all.push((profile.display_name, told));
        }
        Ok::<_, CliError>(all)
    };
    let all = out.during("waiting for the server", ask()).await?;
    note_uncounted(all.iter().map(|(_, told)| told), out);
    let fetch = async || {
        let all = ask().await?;
        Ok(all.iter().map(|(name, told)| total(name, told)).collect())
    };
    let listing = Listing {
        columns: &TOTALS,
        is_single: false,
        args,
    };
    listing.run(fetch, feed(client), out).await
}

/// Says of each runner once that nothing of what it refuses is counted.
fn note_uncounted<'a>(told: impl IntoIterator<Item = &'a ProfileDenials>, out: &mut Out) {
    let all = told.into_iter().flat_map(|told| &told.uncounted_runners);
    let all: BTreeMap<&String, &String> = all.collect();
    for (runner, why) in all {
        let (runner, why) = (printable(runner), printable(why));
        out.note(format_args!(
            "what is refused on runner {runner} is not counted: {why}"
        ));
    }
}

fn feed(client: &Client) -> Feed<'_> {
    Feed::of(&[], client).and_every(PACE)
}

fn not_told(profile: &str, error: &palisade_client::CallError) -> CliError {
    let what = format!("what was refused to profile {profile} was not told");
    CliError::call(&what, error)
}
