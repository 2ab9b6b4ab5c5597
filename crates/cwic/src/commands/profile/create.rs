//! `cwic sandbox profile create`: prints the id of each new profile.

use std::process::ExitCode;

use palisade_client::{Change, Client};
use serde_json::Value;

use crate::cli::CreateArgs;
use crate::commands::{Ended, advice, preview};
use crate::error::CliError;
use crate::input::{self, Kind};
use crate::out::Out;
use crate::wizard::{self, Wish};

/// Runs the command. Documents are created in their order; the first that is
/// refused ends it, and those before it stay.
pub(in crate::commands) async fn run(args: &CreateArgs, client: &Client, out: &mut Out) -> Ended {
    let CreateArgs {
        file: args,
        print_only,
    } = args;
    let Some(file) = &args.file else {
        let wish = Wish::of_new(args.dry_run, *print_only);
        return wizard::create_profile(client, out, wish).await;
    };
    let change = Change {
        is_dry_run: args.dry_run,
        etag: None,
    };
    for document in input::read_all(file, Kind::NewProfile)? {
        let name = document
            .value
            .get("displayName")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let created = client.create_profile(document.value.clone(), &change).await;
        let created = created.map_err(|error| {
            CliError::call_about(
                &format!("profile {name} was not created"),
                &error,
                &document,
            )
        })?;
        if args.dry_run {
            out.note(format_args!("profile {name} would be created"));
            preview::new_profile(&name, out);
        } else {
            out.line(created.id);
        }
        advice::tell(&document.value, out);
    }
    Ok(ExitCode::SUCCESS)
}
