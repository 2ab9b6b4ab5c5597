//! Commands, logs, files and ports: everything goes to process 1 of the sandbox.
//!
//! Here it is only found out whether there is one to go to.

use std::num::NonZeroU16;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use palisade_backend::{
    Archive, Attach, AttachError, Exec, ExecSpec, LogChunk, LogQuery, Logs, Tunnel, Upload, View,
};
use palisade_model::id::SandboxId;
use tokio::sync::mpsc;

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

/// How many chunks of a paused sandbox wait to be taken.
const CHUNKS_MAX: usize = 16;

impl LinuxBackend {
    fn is_paused(&self, id: SandboxId) -> bool {
        let sandbox = self.shared.sandbox(id);
        sandbox.is_some_and(|sandbox| matches!(sandbox.view(), View::Paused { .. }))
    }

    /// Follows the log of a sandbox whose process 1 does not answer now: what is
    /// there first, and the rest once it goes on.
    async fn logs_of_paused(
        &self,
        id: SandboxId,
        query: LogQuery,
        paths: &Paths,
    ) -> Result<Logs, AttachError> {
        let client = Client::new(&paths.socket);
        let tasks = self.shared.attached.clone();
        let unfollowed = LogQuery {
            follow: false,
            ..query
        };
        let mut first = init_client::logs(&client, paths, unfollowed, &tasks).await?;
        let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
        let (shared, paths) = (Arc::clone(&self.shared), paths.clone());
        self.shared.attached.spawn(async move {
            let mut end = query.from_offset;
            let told = pass_on(&mut first, &sender, &mut end).await;
            let resumed = async {
                tokio::select! {
                    () = shared.resumed(id) => true,
                    () = sender.closed() => false,
                }
            };
            if !told || !resumed.await {
                return;
            }
            let rest = LogQuery {
                from_offset: end,
                follow: true,
                // Nothing was there: all that comes is later than these asked for.
                ..LogQuery::default()
            };
            match init_client::logs(&client, &paths, rest, &tasks).await {
                Ok(mut rest) => {
                    pass_on(&mut rest, &sender, &mut end).await;
                }
                Err(error) => {
                    let _ = sender.send(Err(error)).await;
                }
            }
        });
        Ok(Logs { chunks })
    }
}

/// Passes on what comes, and notes where it ended; `false` when nobody wants it
/// any more or it failed.
async fn pass_on(
    logs: &mut Logs,
    sender: &mpsc::Sender<Result<LogChunk, AttachError>>,
    end: &mut Option<u64>,
) -> bool {
    while let Some(chunk) = logs.chunks.recv().await {
        let failed = chunk.is_err();
        if let Ok(chunk) = &chunk {
            *end = Some(chunk.offset + chunk.data.len() as u64);
        }
        if sender.send(chunk).await.is_err() || failed {
            return false;
        }
    }
    true
}

#[async_trait]
impl Attach for LinuxBackend {
    async fn exec(&self, id: SandboxId, spec: ExecSpec) -> Result<Exec, AttachError> {
        init_client::exec(&self.client(id)?, spec, &self.shared.attached).await
    }

    async fn logs(&self, id: SandboxId, query: LogQuery) -> Result<Logs, AttachError> {
        let paths = self.paths(id)?;
        let client = Client::new(&paths.socket);
        if query.follow && self.is_paused(id) {
            return self.logs_of_paused(id, query, &paths).await;
        }
        init_client::logs(&client, &paths, query, &self.shared.attached).await
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
