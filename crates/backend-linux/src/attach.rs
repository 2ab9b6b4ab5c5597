//! Commands, logs, files and ports: everything goes to process 1 of the sandbox.
//!
//! Here it is only found out whether there is one to go to.

use std::num::NonZeroU16;

use async_trait::async_trait;
use bytes::Bytes;
use palisade_backend::{Attach, AttachError, Exec, ExecSpec, LogQuery, Logs, Tunnel};
use palisade_model::id::SandboxId;

use crate::backend::LinuxBackend;
use crate::init_client::{self, Client, Paths};

impl LinuxBackend {
    /// Where to find process 1 of a sandbox that exists.
    fn paths(&self, id: SandboxId) -> Result<Paths, AttachError> {
        let sandbox = self.shared.sandbox(id).ok_or(AttachError::NotFound)?;
        Ok(sandbox.state.paths())
    }

    /// Process 1 of a sandbox that is not over.
    fn client(&self, id: SandboxId) -> Result<Client, AttachError> {
        let sandbox = self.shared.sandbox(id).ok_or(AttachError::NotFound)?;
        if sandbox.view().is_over() {
            return Err(AttachError::NotRunning);
        }
        Ok(Client::new(sandbox.state.paths().socket))
    }
}

#[async_trait]
impl Attach for LinuxBackend {
    async fn exec(&self, id: SandboxId, spec: ExecSpec) -> Result<Exec, AttachError> {
        init_client::exec(&self.client(id)?, spec, &self.shared.attached).await
    }

    async fn logs(&self, id: SandboxId, query: LogQuery) -> Result<Logs, AttachError> {
        let paths = self.paths(id)?;
        let client = Client::new(&paths.socket);
        init_client::logs(&client, &paths, query, &self.shared.attached).await
    }

    async fn write_file(
        &self,
        id: SandboxId,
        path: &str,
        content: Bytes,
    ) -> Result<(), AttachError> {
        init_client::write_file(&self.client(id)?, path, content).await
    }

    async fn read_file(
        &self,
        id: SandboxId,
        path: &str,
        bytes_max: u64,
    ) -> Result<Bytes, AttachError> {
        init_client::read_file(&self.client(id)?, path, bytes_max).await
    }

    async fn connect(&self, id: SandboxId, port: NonZeroU16) -> Result<Tunnel, AttachError> {
        init_client::connect(&self.client(id)?, port, &self.shared.attached).await
    }
}
