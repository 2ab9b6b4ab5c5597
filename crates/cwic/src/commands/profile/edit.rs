//! `cwic sandbox profile edit -f`: changes what the file names, nothing else.

use std::process::ExitCode;

use palisade_client::{Change, Client};

use crate::cli::EditProfileArgs;
use crate::commands::Ended;
use crate::error::CliError;
use crate::input::{self, Kind};
use crate::out::Out;

/// Runs the command.
pub(in crate::commands) async fn run(
    args: &EditProfileArgs,
    client: &Client,
    out: &mut Out,
) -> Ended {
    let EditProfileArgs {
        profile: text,
        file,
    } = args;
    let document = input::read_one(&file.file, Kind::ProfileChange)?;
    let change = Change {
        is_dry_run: file.dry_run,
        etag: None,
    };
    let updated = client
        .update_profile(text, document.value.clone(), &change)
        .await;
    let updated = updated.map_err(|error| {
        CliError::call_about(
            &format!("profile {text} was not changed"),
            &error,
            &document,
        )
    })?;
    let (name, revision) = (&updated.display_name, updated.revision);
    if file.dry_run {
        out.note(format_args!("profile {name} would be changed"));
    } else {
        out.line(format_args!("profile {name} is at revision {revision}"));
    }
    Ok(ExitCode::SUCCESS)
}
