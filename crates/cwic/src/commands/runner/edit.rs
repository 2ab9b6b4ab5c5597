//! `cwic sandbox runner edit`: changes what a person or a file says. A list of
//! bindings replaces the present one in one transaction, and what that attached
//! and detached is told.

use std::collections::BTreeSet;
use std::process::ExitCode;

use palisade_client::{Change, Client};
use palisade_wire::rest::Runner;
use serde_json::Value;

use crate::cli::EditRunnerArgs;
use crate::commands::{Ended, preview};
use crate::error::{CliError, Exit};
use crate::input::{self, Kind};
use crate::out::Out;
use crate::present::plain;
use crate::terminal::{self, Terminal, Undone};
use crate::wizard::{self, Bindings, Wish};

const UNDONE: Undone = Undone {
    what: "the runner was not changed",
    instead: "say --yes",
};

/// Runs the command.
pub(in crate::commands) async fn run(
    args: &EditRunnerArgs,
    client: &Client,
    out: &mut Out,
) -> Ended {
    let EditRunnerArgs {
        runner: text,
        file: args,
        confirm: asking,
    } = args;
    if args.files.is_empty() {
        let wish = Wish::of_change(args.dry_run, asking.yes);
        return wizard::edit_runner(text, client, out, wish).await;
    }
    let document = input::read_one(&args.files, Kind::RunnerChange)?;
    let before = super::find(text, client).await?;
    if let Some(bindings) = document.friendly().get("profile_bindings") {
        foretell(&before, bindings, (client, out)).await?;
        if !args.dry_run && !asking.yes && terminal::is_there() {
            ask(&before, out).await?;
        }
    }
    // What was told and agreed to is what is changed.
    let change = Change {
        is_dry_run: args.dry_run,
        etag: Some(before.etag.clone()),
    };
    let after = client
        .update_runner(text, document.value.clone(), &change)
        .await;
    let after = after.map_err(|error| {
        CliError::call_about(&format!("runner {text} was not changed"), &error, &document)
    })?;
    let name = &after.identity.runner_id;
    if args.dry_run {
        out.note(format_args!("runner {name} would be changed"));
        preview::runner(text, &document.value, client, out).await?;
    } else {
        out.line(format_args!(
            "runner {name} is at revision {}",
            after.target_revision
        ));
    }
    tell_bindings(&before, &after, out);
    Ok(ExitCode::SUCCESS)
}

/// Tells what a list of bindings would do.
async fn foretell(
    before: &Runner,
    bindings: &Value,
    (client, out): (&Client, &mut Out),
) -> Result<(), CliError> {
    let profiles = super::profiles(client).await?;
    let told = Bindings::between(&before.profile_bindings, bindings, &profiles);
    let name = plain(&before.identity.runner_id);
    out.note(format_args!("Profiles of runner {name}:\n{told}"));
    Ok(())
}

async fn ask(before: &Runner, out: &mut Out) -> Result<(), CliError> {
    let mut terminal = Terminal::open(UNDONE, out.has_color())?;
    let name = plain(&before.identity.runner_id);
    if terminal.agrees(format!("Change runner {name}?")).await? {
        Ok(())
    } else {
        Err(CliError::new(Exit::Failure, UNDONE.what).because("you did not say yes"))
    }
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
