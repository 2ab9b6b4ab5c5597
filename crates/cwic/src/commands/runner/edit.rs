//! `cwic sandbox runner edit -f`: changes what the file names. A list of
//! bindings replaces the present one in one transaction, and what that attached
//! and detached is told.

use std::collections::BTreeSet;
use std::process::ExitCode;

use palisade_client::{Change, Client};
use palisade_wire::rest::Runner;

use crate::cli::EditRunnerArgs;
use crate::commands::Ended;
use crate::error::CliError;
use crate::input::{self, Kind};
use crate::out::Out;

/// Runs the command.
pub(in crate::commands) async fn run(
    args: &EditRunnerArgs,
    client: &Client,
    out: &mut Out,
) -> Ended {
    let EditRunnerArgs { runner: text, file } = args;
    let document = input::read_one(&file.file, Kind::RunnerChange)?;
    let before = super::find(text, client).await?;
    let change = Change {
        is_dry_run: file.dry_run,
        etag: None,
    };
    let after = client
        .update_runner(text, document.value.clone(), &change)
        .await;
    let after = after.map_err(|error| {
        CliError::call_about(&format!("runner {text} was not changed"), &error, &document)
    })?;
    let name = &after.identity.runner_id;
    if file.dry_run {
        out.note(format_args!("runner {name} would be changed"));
    } else {
        out.line(format_args!(
            "runner {name} is at revision {}",
            after.target_revision
        ));
    }
    tell_bindings(&before, &after, out);
    Ok(ExitCode::SUCCESS)
}

fn tell_bindings(before: &Runner, after: &Runner, out: &mut Out) {
    let (old, new) = (bound(before), bound(after));
    if old == new {
        return;
    }
    for (word, profiles) in [
        ("attached", &new - &old),
        ("kept", &new & &old),
        ("detached", &old - &new),
    ] {
        for profile in profiles {
            out.line(format_args!("  {word:<9}{profile}"));
        }
    }
}

/// The bound profiles, each with the name that it answers to, if it has one.
fn bound(runner: &Runner) -> BTreeSet<String> {
    let bindings = runner.profile_bindings.iter();
    bindings
        .map(|binding| binding.profile_template_id.clone())
        .collect()
}
