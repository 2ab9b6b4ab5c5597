//! `cwic sandbox exec`: a command in a sandbox that runs.

use palisade_client::{Command, Sandboxes};

use super::session;
use super::signals::Signals;
use crate::cli::ExecArgs;
use crate::commands::Ended;

/// Runs the command, and ends with its code.
pub(super) async fn run(args: ExecArgs, sandboxes: &Sandboxes) -> Ended {
    let ExecArgs {
        sandbox,
        session,
        environment,
        command,
    } = args;
    session::check(session)?;
    let environment = environment.into_iter().map(|pair| (pair.key, pair.value));
    let command = Command {
        words: command,
        environment: environment.collect(),
        terminal: None,
    };
    let mut signals = Signals::listen()?;
    let outcome = session::run(sandboxes, &sandbox.id, command, session, &mut signals).await?;
    Ok(outcome.exit_code())
}
