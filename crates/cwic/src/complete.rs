//! Completion in the shell, with the names that the server has.
//!
//! The server is asked with the settings of the environment and the file, within
//! a short time; whatever goes wrong, there are no names then. A name that a
//! terminal would take for more than text is left out.

use std::env;
use std::ffi::OsString;
use std::io;
use std::time::Duration;

use clap::CommandFactory as _;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use palisade_client::{CallError, Client, RunnerFilter, SandboxFilter};

use crate::cli::{Cli, FORMATS};
use crate::escape::is_harmful;
use crate::settings::Settings;

/// The variable with which a shell asks for completions.
const VARIABLE: &str = "COMPLETE";

/// The longest that somebody who presses a key waits.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Answers a shell that asks for completions; tells whether one did.
pub(crate) fn answered() -> io::Result<bool> {
    let directory = env::current_dir().ok();
    CompleteEnv::with_factory(Cli::command)
        .try_complete(env::args_os(), directory.as_deref())
        .map_err(io::Error::other)
}

/// The script that makes a shell ask.
pub(crate) fn script(shell: &str) -> io::Result<Vec<u8>> {
    let shells = Shells::builtins();
    let shell = shells
        .completer(shell)
        .ok_or_else(|| io::Error::other("this shell is not supported"))?;
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "cwic", "cwic", "cwic", &mut script)?;
    Ok(script)
}

/// The names of all profiles.
pub(crate) fn profiles() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        names(async |client| {
            let profiles = client.list_profiles().await?;
            let names = profiles.into_iter().map(|profile| profile.display_name);
            Ok(names.collect())
        })
    })
}

/// The names of all secret stores.
pub(crate) fn secret_stores() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        names(async |client| {
            let stores = client.list_secret_stores().await?;
            Ok(stores.into_iter().map(|store| store.name).collect())
        })
    })
}

/// The ids of all runners.
pub(crate) fn runners() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        names(async |client| {
            let runners = client.list_runners(&RunnerFilter::default()).await?;
            let names = runners.into_iter().map(|runner| runner.identity.runner_id);
            Ok(names.collect())
        })
    })
}

/// The ids of the sandboxes that live.
pub(crate) fn sandboxes() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        names(async |client| {
            // Without a way to the gateway there are no names, as without a server.
            let Ok(sandboxes) = client.sandboxes() else {
                return Ok(Vec::new());
            };
            let found = sandboxes.list(&SandboxFilter::default()).await?;
            Ok(found.into_iter().map(|found| found.sandbox_id).collect())
        })
    })
}

/// The ids of all snapshots.
pub(crate) fn snapshots() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        names(async |client| {
            let Ok(sandboxes) = client.sandboxes() else {
                return Ok(Vec::new());
            };
            let found = sandboxes.list_snapshots().await?.into_iter();
            Ok(found.map(|found| found.file_system_snapshot_id).collect())
        })
    })
}

/// The names of all contexts.
pub(crate) fn contexts() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let settings = Settings::from_environment().ok();
        candidates(
            settings
                .map(|settings| settings.file.names())
                .unwrap_or_default(),
        )
    })
}

/// The words for formats.
pub(crate) fn formats() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(FORMATS.map(str::to_owned).to_vec()))
}

/// The words for formats of what has no names.
pub(crate) fn answer_formats() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let formats = FORMATS.iter().filter(|format| **format != "name");
        candidates(formats.map(|format| (*format).to_owned()).collect())
    })
}

fn names(
    list: impl AsyncFnOnce(Client) -> Result<Vec<String>, CallError>,
) -> Vec<CompletionCandidate> {
    let found = || {
        let client = Settings::from_environment().ok()?.client().ok()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .ok()?;
        let listed = runtime.block_on(async { tokio::time::timeout(PATIENCE, list(client)).await });
        listed.ok()?.ok()
    };
    candidates(found().unwrap_or_default())
}

fn candidates(names: Vec<String>) -> Vec<CompletionCandidate> {
    let sound = names.into_iter().filter(|name| !name.contains(is_harmful));
    sound
        .map(|name| CompletionCandidate::new(OsString::from(name)))
        .collect()
}
