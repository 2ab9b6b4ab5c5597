//! Commands, logs, files and ports: everything goes to process 1 of the sandbox.
//!
//! Here it is only found out whether there is one to go to.

use std::num::NonZeroU16;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use palisade_backend::{
    Archive, Attach, AttachError, Exec, ExecSpec, LogQuery, Logs, Tunnel, Upload, View,
};
use palisade_model::id::SandboxId;

use crate::backend::LinuxBackend;
use crate::init_client::{self, Client, Paths};

impl LinuxBackend {
    /// Where to find process 1 of a sandbox that exists.
    fn paths(&self, id: SandboxId) -> Result<Paths, AttachError> {
        let sandbox = self.shared.sandbox(id).ok_or(AttachError::NotFound)?;
        Ok(sandbox.state.paths())
    }

    /// Process 1 of a sandbox that is not over, and not frozen.
    fn client(&self, id: SandboxId) -> Result<Client, AttachError> {
        let sandbox = self.shared.sandbox(id).ok_or(AttachError::NotFound)?;
        match sandbox.view() {
            View::Starting(_) | View::Running { .. } | View::Stopping { .. } => {}
            View::Paused { .. } | View::Ended { .. } | View::Failed { .. } => {
                return Err(AttachError::NotRunning);
            }
        }
        Ok(Client::new(sandbox.state.paths().socket))
    }
}

impl LinuxBackend {
    fn is_paused(&self, id: SandboxId) -> bool {
        let sandbox = self.shared.sandbox(id);
        sandbox.is_some_and(|sandbox| matches!(sandbox.view(), View::Paused { .. }))
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
        let tasks = &self.shared.attached;
        if query.follow && self.is_paused(id) {
            let shared = Arc::clone(&self.shared);
            let resumed = async move { shared.resumed(id).await };
            return init_client::logs_of_paused(client, &paths, query, resumed, tasks).await;
        }
        init_client::logs(&client, &paths, query, tasks).await
    }

    async fn write_file(
        &self,
        id: SandboxId,
        path: &str,
        content: Upload,
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

    async fn save_file_system(&self, id: SandboxId) -> Result<Archive, AttachError> {
        self.capture(id).await
    }
}
