//! `cwic sandbox profile delete`: each profile by itself; what a runner binds is
//! reported and skipped, with the command that takes it off the runner.

use std::process::ExitCode;

use palisade_client::{CallError, Change, Client, Refused};
use palisade_model::reason::Reason;
use palisade_wire::rest::Runner;
use serde_json::json;

use crate::cli::DeleteProfilesArgs;
use crate::commands::Ended;
use crate::commands::confirm::confirm;
use crate::error::{CliError, Exit};
use crate::out::Out;
use crate::outcome::{Outcome, Report};

/// For how many runners a command is shown.
const RUNNERS_MAX: usize = 5;

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
        outcome,
    } = args;
    let what = match profiles.as_slice() {
        [one] => format!("profile {one}"),
        many => format!("{} profiles ({})", many.len(), many.join(", ")),
    };
    confirm(*asking, &format!("Delete {what} for good?"), out).await?;
    let mut report = Report::new(outcome.output);
    let mut worst: Option<Exit> = None;
    for text in profiles {
        let call = Change::default();
        let work = client.delete_profile(text, &call);
        match out.during(&format!("deleting {text}"), work).await {
            Ok(()) => {
                let line = format!("profile {text} deleted");
                report.tell(Outcome::of("profile", text, "deleted"), line, out);
            }
            Err(error) => {
                let (failure, result) = explain(text, &error, client).await;
                report.fail(Outcome::of("profile", text, result), &failure, out);
                let exit = failure.exit();
                worst = Some(worst.map_or(exit, |worst| graver(worst, exit)));
            }
        }
    }
    report.finish(out);
    Ok(worst.map_or(ExitCode::SUCCESS, ExitCode::from))
}

/// A skipped profile is what the command promises to tell by its exit code.
fn graver(one: Exit, other: Exit) -> Exit {
    if one == Exit::Conflict { one } else { other }
}

/// The failure, and what became of the profile in a word.
async fn explain(text: &str, error: &CallError, client: &Client) -> (CliError, &'static str) {
    match error {
        CallError::Refused(refused) if refused.reason() == Some(Reason::ProfileInUse.as_str()) => {
            let failure = CliError::call(&format!("profile {text} was skipped"), error);
            let failure = match detaching(refused, client).await {
                Some(next) => failure.next(next),
                None => failure,
            };
            (failure, "skipped")
        }
        CallError::Refused(_)
        | CallError::NotAName { .. }
        | CallError::Unreachable { .. }
        | CallError::Lost { .. }
        | CallError::TimedOut { .. }
        | CallError::NotUnderstood { .. } => {
            let failure = CliError::call(&format!("profile {text} was not deleted"), error);
            let failure = super::with_suggestion(failure, text, client).await;
            (failure, "refused")
        }
    }
}

/// What takes the profile off every runner that binds it.
async fn detaching(refused: &Refused, client: &Client) -> Option<String> {
    let profile = refused.metadata("profile_template_id")?;
    let ids: Vec<_> = refused.metadata("runners")?.split(',').collect();
    let mut steps = Vec::new();
    for id in ids.iter().take(RUNNERS_MAX) {
        // A runner that is gone meanwhile does not bind it any more.
        if let Ok(runner) = client.get_runner(id).await {
            steps.push(detach(&runner, profile));
        }
    }
    if ids.len() > RUNNERS_MAX {
        steps.push(format!("and {} more runners", ids.len() - RUNNERS_MAX));
    }
    (!steps.is_empty()).then(|| steps.join("\n        "))
}

/// The command that leaves a runner with its other profiles.
fn detach(runner: &Runner, profile: &str) -> String {
    let id = &runner.identity.runner_id;
    let bindings = runner.profile_bindings.iter();
    let mut left: Vec<_> = bindings
        .filter(|binding| binding.profile_template_id != profile)
        .cloned()
        .collect();
    let has_default = left.iter().any(|binding| binding.is_default);
    match left.first_mut() {
        None => {
            return format!(
                "bind another profile to {id} as its default instead: cwic sandbox runner edit {id} -f FILE"
            );
        }
        // A runner always has a default; the first that is left takes its place.
        Some(first) => first.is_default |= !has_default,
    }
    let patch = json!({ "profile_bindings": left }).to_string();
    let patch = patch.replace('\'', r"'\''");
    format!("cwic sandbox runner edit {id} -f - <<< '{patch}'")
}
