//! `cwic sandbox profile create -f`: prints the id of each new profile.

use std::process::ExitCode;

use palisade_client::{Change, Client};
use serde_json::Value;

use crate::cli::FileArgs;
use crate::commands::Ended;
use crate::error::CliError;
use crate::input::{self, Kind};
use crate::out::Out;

/// Runs the command. Documents are created in their order; the first that is
/// refused ends it, and those before it stay.
pub(in crate::commands) async fn run(args: &FileArgs, client: &Client, out: &mut Out) -> Ended {
    let change = Change {
        is_dry_run: args.dry_run,
        etag: None,
    };
    for document in input::read_all(&args.file, Kind::NewProfile)? {
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
        } else {
            out.line(created.id);
        }
    }
    Ok(ExitCode::SUCCESS)
}
