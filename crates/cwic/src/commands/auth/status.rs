//! `cwic auth status`: which server is used, and whether its token works.

use std::process::ExitCode;

use crate::commands::Ended;
use crate::out::Out;
use crate::settings::Settings;

/// Runs the command.
pub(in crate::commands) async fn run(settings: &Settings, out: &mut Out) -> Ended {
    let server = settings.server()?;
    out.line(format_args!("server  {server}"));
    super::check(&settings.client()?, "the token does not work").await?;
    out.line("token   works");
    Ok(ExitCode::SUCCESS)
}
