//! `cwic sandbox`: sandboxes themselves, without a line of Python.

use palisade_client::{Client, Sandboxes};

use crate::cli::LiveCommand;
use crate::commands::Ended;
use crate::error::{CliError, Exit};
use crate::out::Out;

mod copy;
mod denials;
mod describe;
mod exec;
mod failure;
mod filter;
mod forward;
mod get;
mod list;
mod logs;
mod pausing;
mod removal;
mod request;
mod run;
mod session;
mod signals;
mod stop;
mod terminal;
pub(in crate::commands) mod verify;
mod waiting;

pub(in crate::commands) use failure::failed;

/// Runs one of the commands.
pub(in crate::commands) async fn run(
    command: LiveCommand,
    client: &Client,
    out: &mut Out,
) -> Ended {
    let sandboxes = client.sandboxes().map_err(|error| {
        CliError::new(Exit::Usage, "no call can be made").because(error.to_string())
    })?;
    dispatch(command, (client, &sandboxes), out).await
}

async fn dispatch(
    command: LiveCommand,
    (client, sandboxes): (&Client, &Sandboxes),
    out: &mut Out,
) -> Ended {
    // Futures of commands that move bytes are large, and there is one at a time.
    match command {
        LiveCommand::Run(args) => Box::pin(run::run(*args, sandboxes, out)).await,
        LiveCommand::Ls(args) => list::run(&args, (client, sandboxes), out).await,
        LiveCommand::Get(args) => get::run(&args, (client, sandboxes), out).await,
        LiveCommand::Describe(args) => describe::run(&args, sandboxes, out).await,
        LiveCommand::Logs(args) => Box::pin(logs::run(&args, sandboxes, out)).await,
        LiveCommand::Exec(args) => Box::pin(exec::run(args, sandboxes)).await,
        LiveCommand::Cp(args) => Box::pin(copy::run(args, sandboxes, out)).await,
        LiveCommand::Stop(args) => stop::run(&args, sandboxes, out).await,
        LiveCommand::Pause(args) => pausing::run(pausing::Wish::Pause, &args, sandboxes, out).await,
        LiveCommand::Resume(args) => {
            pausing::run(pausing::Wish::Resume, &args, sandboxes, out).await
        }
        LiveCommand::Rm(args) => removal::run(&args, sandboxes, out).await,
        LiveCommand::PortForward(args) => Box::pin(forward::run(args, sandboxes, out)).await,
        LiveCommand::Denials(args) => denials::run(&args, client, out).await,
    }
}
