//! `cwic sandbox runner create`: prints the id of each new runner.

use std::process::ExitCode;

use palisade_client::{Change, Client};
use palisade_model::name::RunnerId;

use crate::cli::CreateRunnerArgs;
use crate::commands::applying::{self, Wanted};
use crate::commands::{Ended, preview};
use crate::error::{CliError, Exit};
use crate::input::{self, Kind};
use crate::out::Out;
use crate::outcome::{Outcome, Report};
use crate::wizard::{self, Wish};

/// Runs the command.
pub(in crate::commands) async fn run(
    args: &CreateRunnerArgs,
    client: &Client,
    out: &mut Out,
) -> Ended {
    let CreateRunnerArgs { runner, create } = args;
    let is_dry_run = create.file.dry_run;
    let id = runner.as_deref().map(parse_id).transpose()?;
    let mut report = Report::new(create.outcome.output);
    if create.file.files.is_empty() {
        report.check_file()?;
        let wish = Wish::of_new(is_dry_run, create.print_only);
        return wizard::create_runner(id.as_ref(), client, out, wish).await;
    }
    let Some(id) = id else {
        let wanted = Wanted::of_new(create, Kind::NewRunner(None));
        return applying::create(&wanted, client, out).await;
    };
    let document = input::read_one(&create.file.files, Kind::NewRunner(Some(&id)))?;
    let change = Change {
        is_dry_run,
        etag: None,
    };
    let work = client.create_runner(Some(id.as_str()), document.value.clone(), &change);
    let created = out.during("creating the runner", work).await;
    let created = created.map_err(|error| {
        CliError::call_about(&format!("runner {id} was not created"), &error, &document)
    })?;
    let told = Outcome::of("runner", id.as_str(), "created").tried(is_dry_run);
    if is_dry_run {
        report.tell_aside(told, format_args!("runner {id} would be created"), out);
        preview::new_runner(id.as_str(), out);
    } else {
        report.tell(told.with("id", created.id.as_str()), &created.id, out);
    }
    report.finish(out);
    Ok(ExitCode::SUCCESS)
}

fn parse_id(text: &str) -> Result<RunnerId, CliError> {
    text.parse().map_err(|error| {
        CliError::new(
            Exit::Usage,
            format!("{text:?} cannot be the id of a runner"),
        )
        .because(format!("the id {error}"))
        .next("choose a name such as my-runner")
    })
}
