//! `cwic sandbox describe`: all that is known of one sandbox.

use std::process::ExitCode;

use palisade_client::Sandboxes;

use crate::commands::Ended;
use crate::commands::sandbox::failure::failed;
use crate::out::Out;
use crate::present;

/// Shows it as a person thinks of it.
pub(super) async fn run(id: &str, sandboxes: &Sandboxes, out: &mut Out) -> Ended {
    let seen = sandboxes.get(id).await;
    let seen = seen.map_err(|error| failed(&format!("sandbox {id} was not found"), &error))?;
    present::sandbox::describe(&seen, out);
    Ok(ExitCode::SUCCESS)
}
