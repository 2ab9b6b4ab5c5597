//! `cwic sandbox profile rollback`: says again what an earlier revision said, as a
//! new revision. It is refused if the profile changes in between.

use std::process::ExitCode;

use palisade_client::{Change, Client};

use super::revisions;
use crate::changes::{self, FieldChange};
use crate::cli::RollbackArgs;
use crate::commands::{Ended, advice, preview};
use crate::error::CliError;
use crate::out::Out;
use crate::outcome::{Outcome, Report};
use crate::present;

/// Runs the command.
pub(in crate::commands) async fn run(args: &RollbackArgs, client: &Client, out: &mut Out) -> Ended {
    let RollbackArgs {
        profile: text,
        to,
        dry_run,
        outcome,
    } = args;
    let current = out
        .during("waiting for the server", super::find(text, client))
        .await?;
    let earlier = revisions::revision(&current.id, *to, client).await?;
    let now = present::profile::document(&current);
    let changes = changes::between(&now, &revisions::document(&earlier));
    let change = Change {
        is_dry_run: *dry_run,
        etag: Some(current.etag.clone()),
    };
    let rolled = client.rollback_profile(&current.id, *to, &change);
    let rolled = out.during("waiting for the server", rolled).await;
    let rolled = rolled
        .map_err(|error| CliError::call(&format!("profile {text} was not rolled back"), &error))?;
    let name = &current.display_name;
    let mut report = Report::new(outcome.output);
    let told = changes.iter().map(FieldChange::to_json);
    let told = told.collect::<Vec<_>>();
    let outcome = |result, revision: u32| {
        let outcome = Outcome::of("profile", name, result).tried(*dry_run);
        let outcome = outcome.with("id", current.id.as_str());
        outcome.with("revision", revision).with("changes", told)
    };
    if changes.is_empty() {
        let line = format!(
            "profile {name} says what revision {to} said already; it stays at revision {}",
            current.revision
        );
        report.tell(outcome("unchanged", current.revision), line, out);
        report.finish(out);
        return Ok(ExitCode::SUCCESS);
    }
    let line = if *dry_run {
        format!("profile {name} would say what revision {to} said")
    } else {
        format!(
            "profile {name} is at revision {}, which says what revision {to} said",
            rolled.revision
        )
    };
    let is_for_programs = report.is_for_programs();
    report.tell(outcome("configured", rolled.revision), line, out);
    report.finish(out);
    if !is_for_programs {
        changes::write(&changes, out);
    }
    let wire = present::json(&earlier);
    if *dry_run {
        let spec = serde_json::json!({ "spec": wire.get("spec") });
        preview::profile(&current.id, &spec, client, out).await?;
    }
    advice::tell(&present::json(&rolled), out);
    Ok(ExitCode::SUCCESS)
}
