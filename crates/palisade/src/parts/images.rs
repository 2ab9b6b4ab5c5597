//! The images of this machine, and the registries that they may come from.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use palisade_image::{Images, PullPolicy, Registries, Settings, Store};

use crate::cli::{RegistryArgs, StateArgs};
use crate::state_dir::StateDir;
use crate::system::SystemClock;

/// Opens the store of images.
pub(crate) async fn open_store(state: &StateArgs) -> anyhow::Result<Store> {
    let directory = directory(state)?;
    Store::open(Settings::new(&directory), Arc::new(SystemClock))
        .await
        .with_context(|| format!("could not open the images in {}", directory.display()))
}

/// Opens the images, with the registries behind them.
pub(crate) async fn open(state: &StateArgs, registry: &RegistryArgs) -> anyhow::Result<Images> {
    Ok(Images::new(open_store(state).await?, registries(registry)))
}

fn directory(state: &StateArgs) -> anyhow::Result<PathBuf> {
    match &state.image_dir {
        Some(directory) => Ok(directory.clone()),
        None => Ok(StateDir::open(&state.state_dir)?.images()),
    }
}

fn registries(args: &RegistryArgs) -> Registries {
    let RegistryArgs {
        insecure_registries,
        registry_config,
        no_pull,
    } = args.clone();
    Registries {
        policy: if no_pull {
            PullPolicy::Never
        } else {
            PullPolicy::IfAbsent
        },
        credentials: registry_config,
        insecure: insecure_registries.into_iter().collect(),
        ..Registries::default()
    }
}
