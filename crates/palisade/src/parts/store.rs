//! The store of this machine.

use std::sync::Arc;

use anyhow::Context as _;
use palisade_store::SqliteStore;
use palisade_store::Store;

use crate::cli::StateArgs;
use crate::state_dir::StateDir;

/// Opens the store below the state directory.
pub(crate) async fn open(state: &StateArgs) -> anyhow::Result<Arc<dyn Store>> {
    open_in(&StateDir::open(&state.state_dir)?).await
}

/// Opens the store below the state directory.
pub(crate) async fn open_in(state: &StateDir) -> anyhow::Result<Arc<dyn Store>> {
    let path = state.database();
    let store = SqliteStore::open(&path)
        .await
        .with_context(|| format!("could not open the database {}", path.display()))?;
    Ok(Arc::new(store))
}
