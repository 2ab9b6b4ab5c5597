//! `palisade secrets`: the key that seals them.

use std::sync::Arc;

use anyhow::bail;
use palisade_secrets::{Rotated, SecretSettings, Secrets};

use crate::cli::SecretsCommand;
use crate::out::Out;
use crate::parts;
use crate::state_dir::StateDir;
use crate::system::{KernelIds, SystemClock};

/// Runs the command.
pub(super) async fn run(command: SecretsCommand, out: &mut Out) -> anyhow::Result<()> {
    let SecretsCommand::RotateKey { key, state } = command;
    let directory = StateDir::open(&state.state_dir)?;
    let store = parts::store::open_in(&directory).await?;
    let settings = SecretSettings {
        keys: Some(parts::secrets::existing_keys(&key, &directory)?),
        ..SecretSettings::default()
    };
    let secrets = Secrets::new(store, Arc::new(SystemClock), Arc::new(KernelIds), settings);
    let rotated = secrets.rotate().await.map_err(parts::secrets::told)?;
    let Rotated {
        resealed,
        unreadable,
        keys,
    } = rotated;
    out.line(format_args!(
        "{resealed} secrets are sealed with a new key; the key file has {keys} keys now: the last \
         one before stays until the next change. Copy the file to where you keep a copy"
    ));
    if unreadable > 0 {
        bail!(
            "{unreadable} secrets could not be opened with any key of the file; they are as they were"
        );
    }
    Ok(())
}
