//! `cwic version`: the versions of this program and of the server.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::cli::VersionArgs;
use crate::commands::Ended;
use crate::error::CliError;
use crate::out::Out;
use crate::present::write_facts;
use crate::settings::Settings;

/// Runs the command. Without a server that it could ask, it tells of itself
/// alone.
pub(super) async fn run(args: &VersionArgs, settings: &Settings, out: &mut Out) -> Ended {
    let client = if !args.client && settings.server().is_ok() {
        Some(settings.client()?)
    } else {
        None
    };
    let asked = match &client {
        None => Ok(None),
        Some(client) => {
            out.during("asking the server", client.server_version())
                .await
        }
    };
    let version = env!("CARGO_PKG_VERSION");
    let server = asked.as_ref().ok().cloned().flatten();
    let mut lines = vec![("client", version.to_owned())];
    if let Some(client) = &client
        && asked.is_ok()
    {
        let server = server
            .as_deref()
            .unwrap_or("of a version that it does not tell");
        lines.push(("server", format!("{server} ({})", client.server())));
    }
    let facts = json!({
        "client": version,
        "server": server.map_or(Value::Null, Value::String),
    });
    write_facts(&lines, &facts, &args.output.output, out);
    match asked {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(CliError::call(
            "the server did not tell its version",
            &error,
        )),
    }
}
