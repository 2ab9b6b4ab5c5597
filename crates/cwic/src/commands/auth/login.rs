//! `cwic auth login`: checks a token, and keeps it once it works.

use std::io::{self, Read as _};
use std::process::ExitCode;

use palisade_client::Server;

use crate::cli::{LoginArgs, Secret};
use crate::commands::Ended;
use crate::error::{CliError, Exit};
use crate::out::Out;
use crate::settings::Settings;
use crate::terminal::{Terminal, Undone};

/// The most that is read from standard input; a token is far shorter.
const TOKEN_BYTES_MAX: u64 = 4096;

const UNDONE: Undone = Undone {
    what: "no token was given",
    instead: "write it to standard input: cwic auth login - --server URL < FILE",
};

/// Runs the command. What is kept becomes the context in use.
pub(in crate::commands) async fn run(
    args: LoginArgs,
    mut settings: Settings,
    out: &mut Out,
) -> Ended {
    let context = settings.context_to_write();
    let server = settings.server_to_log_in()?;
    let token = match args.token {
        Some(given) => token(given)?,
        None => ask(&server, out).await?,
    };
    let client = settings.client_for(server.clone(), &token)?;
    let work = super::check(&client, "the token was not kept");
    out.during("checking the token", work).await?;
    let ca_file = settings.ca_file_to_keep(&server)?;
    let login = (server.to_string(), token.0.trim());
    let login = (login.0.as_str(), login.1);
    settings.file.keep(&context, login, ca_file.as_deref())?;
    out.note(format_args!("Logged in to {server} (context {context})."));
    Ok(ExitCode::SUCCESS)
}

async fn ask(server: &Server, out: &Out) -> Result<Secret, CliError> {
    let mut terminal = Terminal::open(UNDONE, out.has_color())?;
    let token = terminal.ask_secret(format!("Token for {server}")).await?;
    if token.0.trim().is_empty() {
        return Err(CliError::new(Exit::Usage, "no token was given")
            .because("nothing was typed")
            .next("ask whoever runs the server for one: palisade token create"));
    }
    Ok(Secret(token.0.trim().to_owned()))
}

fn token(given: Secret) -> Result<Secret, CliError> {
    if given.0 != "-" {
        return Ok(given);
    }
    let mut text = String::new();
    let read = io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut text);
    match read {
        Ok(_) if !text.trim().is_empty() => Ok(Secret(text.trim().to_owned())),
        Ok(_) | Err(_) => Err(CliError::new(Exit::Usage, "no token was given")
            .because("standard input holds no text")
            .next("write the token to standard input")),
    }
}
