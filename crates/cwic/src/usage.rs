//! From the arguments of the process to [`Cli`], or to the end of the process.

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;
use crate::error::Exit;

/// Reads the command line. Help and version are successes; all else that is no
/// command is a usage error.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|error| {
        // A reader that went away has read enough.
        let _ = error.print();
        if error.use_stderr() {
            Exit::Usage.into()
        } else {
            ExitCode::SUCCESS
        }
    })
}
