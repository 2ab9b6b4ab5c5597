//! `cwic auth logout`: forgets the token. It stays valid on the server.

use std::process::ExitCode;

use crate::commands::Ended;
use crate::out::Out;
use crate::settings::Settings;

/// Runs the command.
pub(in crate::commands) fn run(mut settings: Settings, out: &mut Out) -> Ended {
    let context = settings.context()?;
    if settings.file.forget(&context)? {
        out.note("The token is forgotten here; the server still takes it.");
    } else {
        out.note("There was no token to forget.");
    }
    Ok(ExitCode::SUCCESS)
}
