//! `cwic sandbox runner create`: prints the id of the new runner.

use std::process::ExitCode;

use palisade_client::{Change, Client};
use palisade_model::name::RunnerId;

use crate::cli::{CreateArgs, CreateRunnerArgs};
use crate::commands::{Ended, preview};
use crate::error::{CliError, Exit};
use crate::input::{self, Kind};
use crate::out::Out;
use crate::wizard::{self, Wish};

/// Runs the command.
pub(in crate::commands) async fn run(
    args: &CreateRunnerArgs,
    client: &Client,
    out: &mut Out,
) -> Ended {
    let CreateRunnerArgs { runner, create } = args;
    let CreateArgs {
        file: args,
        print_only,
    } = create;
    let id = runner.as_deref().map(parse_id).transpose()?;
    let Some(file) = &args.file else {
        let wish = Wish::of_new(args.dry_run, *print_only);
        return wizard::create_runner(id.as_ref(), client, out, wish).await;
    };
    let document = input::read_one(file, Kind::NewRunner(id.as_ref()))?;
    let change = Change {
        is_dry_run: args.dry_run,
        etag: None,
    };
    let created = client
        .create_runner(
            id.as_ref().map(RunnerId::as_str),
            document.value.clone(),
            &change,
        )
        .await;
    let created = created
        .map_err(|error| CliError::call_about("the runner was not created", &error, &document))?;
    let name = &created.identity.runner_id;
    if args.dry_run {
        out.note(format_args!("runner {name} would be created"));
        preview::new_runner(name, out);
    } else {
        out.line(&created.id);
    }
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
