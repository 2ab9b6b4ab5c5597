//! `cwic sandbox describe`: all that is known of one sandbox.

use std::process::ExitCode;

use palisade_client::Sandboxes;

use crate::cli::{DescribeSandboxArgs, OutcomeFormat};
use crate::commands::Ended;
use crate::commands::sandbox::failure::failed;
use crate::out::Out;
use crate::present;

/// Shows it as a person thinks of it.
pub(super) async fn run(args: &DescribeSandboxArgs, sandboxes: &Sandboxes, out: &mut Out) -> Ended {
    let id = &args.sandbox.id;
    let seen = out
        .during("waiting for the server", sandboxes.get(id))
        .await;
    let seen = seen.map_err(|error| failed(&format!("sandbox {id} was not found"), &error))?;
    match args.output.output {
        OutcomeFormat::Text => present::sandbox::describe(&seen, out),
        OutcomeFormat::Json => out.json(&present::sandbox::whole(&seen).answer),
    }
    Ok(ExitCode::SUCCESS)
}
