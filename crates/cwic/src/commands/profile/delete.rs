//! `cwic sandbox profile delete`: each profile by itself; what a runner binds is
//! reported and skipped.

use std::process::ExitCode;

use palisade_client::{CallError, Change, Client};
use palisade_model::reason::Reason;

use crate::cli::DeleteProfilesArgs;
use crate::commands::Ended;
use crate::commands::confirm::confirm;
use crate::error::{CliError, Exit};
use crate::out::Out;

/// Runs the command. The exit code is that of the worst outcome: a skipped one
/// is a conflict.
pub(in crate::commands) async fn run(
    args: &DeleteProfilesArgs,
    client: &Client,
    out: &mut Out,
) -> Ended {
    let DeleteProfilesArgs {
        profiles,
        confirm: asking,
    } = args;
    let what = match profiles.as_slice() {
        [one] => format!("profile {one}"),
        many => format!("{} profiles ({})", many.len(), many.join(", ")),
    };
    confirm(*asking, &format!("Delete {what} for good?"), out).await?;
    let mut worst: Option<Exit> = None;
    for text in profiles {
        let deleted = client.delete_profile(text, &Change::default()).await;
        match deleted {
            Ok(()) => out.line(format_args!("profile {text} deleted")),
            Err(error) => {
                let exit = report(text, &error, out);
                worst = Some(worst.map_or(exit, |worst| graver(worst, exit)));
            }
        }
    }
    Ok(worst.map_or(ExitCode::SUCCESS, ExitCode::from))
}

/// A skipped profile is what the command promises to tell by its exit code.
fn graver(one: Exit, other: Exit) -> Exit {
    if one == Exit::Conflict { one } else { other }
}

fn report(text: &str, error: &CallError, out: &mut Out) -> Exit {
    let what = if is_bound(error) {
        format!("profile {text} was skipped")
    } else {
        format!("profile {text} was not deleted")
    };
    let mut failure = CliError::call(&what, error);
    if is_bound(error) {
        failure = failure
            .next("take it off the runner's list with cwic sandbox runner edit, then delete it");
    }
    out.error(&failure);
    failure.exit()
}

fn is_bound(error: &CallError) -> bool {
    matches!(error, CallError::Refused(refused) if refused.reason() == Some(Reason::ProfileInUse.as_str()))
}
