//! Commands, files and ports of a sandbox, each on a connection of its own.

use std::num::NonZeroU16;

use bytes::Bytes;
use palisade_backend::{AttachError, Exec, ExecSpec, Tunnel, Upload};
use palisade_init_client::attach_error;
use tokio_util::task::TaskTracker;

use super::client::Client;

/// Starts a command, and moves what goes in and comes out on a task of `tasks`.
pub async fn exec(
    client: &Client,
    spec: ExecSpec,
    tasks: &TaskTracker,
) -> Result<Exec, AttachError> {
    let connection = client.open().await.map_err(attach_error)?;
    palisade_init_client::exec(connection, spec, tasks).await
}

/// Writes a file.
pub async fn write_file(client: &Client, path: &str, content: Upload) -> Result<(), AttachError> {
    let connection = client.open().await.map_err(attach_error)?;
    palisade_init_client::write_file(connection, path, content).await
}

/// Reads a file.
pub async fn read_file(client: &Client, path: &str, bytes_max: u64) -> Result<Bytes, AttachError> {
    let connection = client.open().await.map_err(attach_error)?;
    palisade_init_client::read_file(connection, path, bytes_max).await
}

/// Connects to a port, and moves what goes in and comes out on a task of `tasks`.
pub async fn connect(
    client: &Client,
    port: NonZeroU16,
    tasks: &TaskTracker,
) -> Result<Tunnel, AttachError> {
    let connection = client.open().await.map_err(attach_error)?;
    palisade_init_client::connect(connection, port, tasks).await
}
