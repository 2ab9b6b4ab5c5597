//! `cwic sandbox profile rollback`: says again what an earlier revision said, as a
//! new revision. It is refused if the profile changes in between.

use std::process::ExitCode;

use palisade_client::{Change, Client};

use super::revisions;
use crate::changes;
use crate::cli::RollbackArgs;
use crate::commands::{Ended, advice, preview};
use crate::error::CliError;
use crate::out::Out;
use crate::present;

/// Runs the command.
pub(in crate::commands) async fn run(args: &RollbackArgs, client: &Client, out: &mut Out) -> Ended {
    let RollbackArgs {
        profile: text,
        to,
        dry_run,
    } = args;
    let current = super::find(text, client).await?;
    let earlier = revisions::revision(&current.id, *to, client).await?;
    let now = present::profile::document(&current);
    let changes = changes::between(&now, &revisions::document(&earlier));
    let change = Change {
        is_dry_run: *dry_run,
        etag: Some(current.etag.clone()),
    };
    let rolled = client.rollback_profile(&current.id, *to, &change).await;
    let rolled = rolled
        .map_err(|error| CliError::call(&format!("profile {text} was not rolled back"), &error))?;
    let name = &current.display_name;
    if changes.is_empty() {
        out.line(format_args!(
            "profile {name} says what revision {to} said already; it stays at revision {}",
            current.revision
        ));
        return Ok(ExitCode::SUCCESS);
    }
    if *dry_run {
        out.line(format_args!(
            "profile {name} would say what revision {to} said"
        ));
    } else {
        out.line(format_args!(
            "profile {name} is at revision {}, which says what revision {to} said",
            rolled.revision
        ));
    }
    changes::write(&changes, out);
    let wire = present::json(&earlier);
    if *dry_run {
        let spec = serde_json::json!({ "spec": wire.get("spec") });
        preview::profile(&current.id, &spec, client, out).await?;
    }
    advice::tell(&present::json(&rolled), out);
    Ok(ExitCode::SUCCESS)
}
