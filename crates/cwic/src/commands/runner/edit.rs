//! `cwic sandbox runner edit`: changes what a person or a file says. A list of
//! bindings replaces the present one in one transaction, and what that attached
//! and detached is told.

use std::collections::BTreeSet;
use std::process::ExitCode;

use palisade_client::{Change, Client};
use palisade_wire::rest::Runner;
use serde_json::{Map, Value, json};

use crate::cli::EditRunnerArgs;
use crate::commands::{Ended, preview};
use crate::error::{CliError, Exit};
use crate::input::{self, Kind};
use crate::out::Out;
use crate::outcome::{Outcome, Report};
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
        outcome,
    } = args;
    let mut report = Report::new(outcome.output);
    if args.files.is_empty() {
        report.check_file()?;
        let wish = Wish::of_change(args.dry_run, asking.yes);
        return wizard::edit_runner(text, client, out, wish).await;
    }
    let document = input::read_one(&args.files, Kind::RunnerChange)?;
    let before = out
        .during("waiting for the server", super::find(text, client))
        .await?;
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
    let update = client.update_runner(text, document.value.clone(), &change);
    let after = out.during("changing the runner", update).await;
    let after = after.map_err(|error| {
        CliError::call_about(&format!("runner {text} was not changed"), &error, &document)
    })?;
    let name = &after.identity.runner_id;
    let moves = moves(&before, &after);
    let bindings: Map<_, _> = moves
        .iter()
        .map(|(word, profiles)| ((*word).to_owned(), json!(profiles)))
        .collect();
    let told = Outcome::of("runner", name, "configured").tried(args.dry_run);
    let told = told.with("id", after.id.as_str());
    let told = told
        .with("revision", after.target_revision)
        .with("bindings", bindings);
    if args.dry_run {
        report.tell_aside(told, format_args!("runner {name} would be changed"), out);
        preview::runner(text, &document.value, client, out).await?;
    } else {
        let revision = after.target_revision;
        report.tell(
            told,
            format_args!("runner {name} is at revision {revision}"),
            out,
        );
    }
    if bound(&before) != bound(&after) {
        for (word, profiles) in moves {
            for profile in profiles {
                report.line(format_args!("  {word:<9}{profile}"), out);
            }
        }
    }
    report.finish(out);
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

/// What became of the profiles that the runner binds.
fn moves(before: &Runner, after: &Runner) -> [(&'static str, BTreeSet<String>); 3] {
    let (old, new) = (bound(before), bound(after));
    [
        ("attached", &new - &old),
        ("kept", &new & &old),
        ("detached", &old - &new),
    ]
}

/// The bound profiles, each with the name that it answers to, if it has one.
fn bound(runner: &Runner) -> BTreeSet<String> {
    let bindings = runner.profile_bindings.iter();
    bindings
        .map(|binding| binding.profile_template_id.clone())
        .collect()
}
