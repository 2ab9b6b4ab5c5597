//! `cwic sandbox cp`: files and directories, to a sandbox or from it.
//!
//! Small files go by the calls for files, which need nothing in the sandbox.
//! Large files go through a shell, directories through a shell and `tar`, or entry by
//! entry if the image has no `tar`; if it has no shell, that is said. What comes from a sandbox is not trusted:
//! it is written nowhere but below the destination, and a file or a new directory
//! appears under its name only when it is complete.

use std::process::ExitCode;

use palisade_client::Sandboxes;

use super::signals::Signals;
use crate::cli::CopyArgs;
use crate::commands::Ended;
use crate::error::{CliError, Exit};
use crate::out::Out;
use crate::words::Place;

mod archive;
mod download;
mod listing;
mod progress;
mod script;
mod upload;
mod without_tar;

/// What one call for a file carries; more goes through a shell.
const CALL_BYTES_MAX: u64 = palisade_wire::v1beta2::FILE_BYTES_MAX;

/// Copies, until it is done or this program is asked to end.
pub(super) async fn run(args: CopyArgs, sandboxes: &Sandboxes, out: &mut Out) -> Ended {
    let mut signals = Signals::listen()?;
    let copying = async {
        match (args.source, args.destination) {
            (Place::Here(from), Place::There { id, path }) => {
                upload::run(sandboxes, &from, (&id, &path), out).await
            }
            (Place::There { id, path }, Place::Here(to)) => {
                download::run(sandboxes, (&id, &path), &to, out).await
            }
            (Place::Here(_), Place::Here(_)) => Err(one_side("neither side is in a sandbox")),
            (Place::There { .. }, Place::There { .. }) => {
                Err(one_side("both sides are in a sandbox"))
            }
        }
    };
    tokio::select! {
        copied = Box::pin(copying) => copied.map(|()| ExitCode::SUCCESS),
        ending = signals.next() => Ok(ending.exit_code()),
    }
}

fn one_side(why: &str) -> CliError {
    CliError::new(Exit::Usage, "nothing was copied")
        .because(why)
        .next("write one of them as SANDBOX-ID:/PATH")
}

/// Something on this machine could not be read or written.
fn local(path: &std::path::Path, error: &std::io::Error) -> CliError {
    let what = format!("{} could not be copied", path.display());
    CliError::new(Exit::Failure, what)
        .because(error.to_string())
        .next("check the path on this machine, and who may read or write there")
}
