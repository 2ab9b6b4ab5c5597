//! `cwic sandbox profile edit`: changes what differs in the editor, or what the
//! file names; nothing else.

use std::process::ExitCode;

use palisade_client::{Change, Client};

use crate::cli::EditProfileArgs;
use crate::commands::{Ended, advice, preview};
use crate::error::CliError;
use crate::input::{self, Kind};
use crate::out::Out;
use crate::outcome::{Outcome, Report};
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
        outcome,
    } = args;
    let mut report = Report::new(outcome.output);
    if args.files.is_empty() {
        report.check_file()?;
        let wish = Wish::of_change(args.dry_run, false);
        return wizard::edit_profile(text, client, out, wish).await;
    }
    let document = input::read_one(&args.files, Kind::ProfileChange)?;
    let change = Change {
        is_dry_run: args.dry_run,
        etag: None,
    };
    let update = client.update_profile(text, document.value.clone(), &change);
    let updated = out.during("changing the profile", update).await;
    let updated = match updated {
        Ok(updated) => updated,
        Err(error) => {
            let what = format!("profile {text} was not changed");
            let error = CliError::call_about(&what, &error, &document);
            return Err(super::with_suggestion(error, text, client).await);
        }
    };
    let (name, revision) = (&updated.display_name, updated.revision);
    let told = Outcome::of("profile", name, "configured").tried(args.dry_run);
    let told = told
        .with("id", updated.id.as_str())
        .with("revision", revision);
    if args.dry_run {
        report.tell_aside(told, format_args!("profile {name} would be changed"), out);
        preview::profile(&updated.id, &document.value, client, out).await?;
    } else {
        report.tell(
            told,
            format_args!("profile {name} is at revision {revision}"),
            out,
        );
    }
    report.finish(out);
    advice::tell(&present::json(&updated), out);
    Ok(ExitCode::SUCCESS)
}
