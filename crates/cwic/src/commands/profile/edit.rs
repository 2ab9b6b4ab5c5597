//! `cwic sandbox profile edit`: changes what differs in the editor, or what the
//! file names; nothing else.

use std::process::ExitCode;

use palisade_client::{Change, Client};

use crate::cli::EditProfileArgs;
use crate::commands::{Ended, advice, preview};
use crate::error::CliError;
use crate::input::{self, Kind};
use crate::out::Out;
use crate::present;
use crate::wizard::{self, Wish};

/// Runs the command.
pub(in crate::commands) async fn run(
    args: &EditProfileArgs,
    client: &Client,
    out: &mut Out,
) -> Ended {
    let EditProfileArgs {
        profile: text,
        file: args,
    } = args;
    if args.files.is_empty() {
        let wish = Wish::of_change(args.dry_run, false);
        return wizard::edit_profile(text, client, out, wish).await;
    }
    let document = input::read_one(&args.files, Kind::ProfileChange)?;
    let change = Change {
        is_dry_run: args.dry_run,
        etag: None,
    };
    let updated = client
        .update_profile(text, document.value.clone(), &change)
        .await;
    let updated = match updated {
        Ok(updated) => updated,
        Err(error) => {
            let what = format!("profile {text} was not changed");
            let error = CliError::call_about(&what, &error, &document);
            return Err(super::with_suggestion(error, text, client).await);
        }
    };
    let (name, revision) = (&updated.display_name, updated.revision);
    if args.dry_run {
        out.note(format_args!("profile {name} would be changed"));
        preview::profile(&updated.id, &document.value, client, out).await?;
    } else {
        out.line(format_args!("profile {name} is at revision {revision}"));
    }
    advice::tell(&present::json(&updated), out);
    Ok(ExitCode::SUCCESS)
}
