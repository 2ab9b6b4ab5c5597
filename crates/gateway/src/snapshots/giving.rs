//! Bringing the bytes of a snapshot to the runner that restores it.
//!
//! A runner gets what the launch of a sandbox names that was placed on it, and
//! nothing else. Whether the bytes are the right ones is for the runner to find
//! out, which knows the digest from the launch.

use futures_util::StreamExt as _;
use palisade_backend::EXEC_QUEUE_MAX;
use palisade_blob::{BlobError, BlobName, Download};
use palisade_model::id::SandboxId;
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::snapshot::Restore;
use palisade_model::token::RunnerIdentity;
use palisade_store::GetError;
use palisade_wire::proto::runner_v1 as pb;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tracing::warn;

use super::Snapshots;

/// What a runner is sent.
pub(crate) type Chunks = ReceiverStream<Result<pb::FetchChunk, Status>>;

impl Snapshots {
    /// Begins to send what the file system of a sandbox is filled with.
    pub(crate) async fn give(
        &self,
        runner: &RunnerIdentity,
        request: pb::FetchRequest,
    ) -> Result<Chunks, Status> {
        let pb::FetchRequest { sandbox_id } = request;
        let (id, restore) = self.wanted(runner, &sandbox_id).await?;
        let snapshot = restore.snapshot;
        let found = self
            .tools
            .store
            .get_snapshot(&runner.organization, snapshot);
        let record = found.await.map_err(|error| match error {
            GetError::NotFound => Status::not_found("the snapshot was deleted"),
            GetError::Fault(fault) => away(&fault),
        })?;
        let blobs = self.blobs_of(&record).await;
        let blobs = blobs.map_err(|error| unusable(error.refusal))?;
        let name = BlobName {
            organization: runner.organization.clone(),
            digest: restore.content.digest,
        };
        let download = blobs.get(&name).await.map_err(|error| {
            warn!(sandbox.id = %id, snapshot.id = %snapshot, %error, "a snapshot cannot be read");
            told(&error)
        })?;
        if download.bytes != restore.content.bytes {
            return Err(Status::data_loss(
                "the snapshot does not have the size that it had when it was taken",
            ));
        }
        let (sender, chunks) = mpsc::channel(EXEC_QUEUE_MAX);
        self.tools.tasks.spawn(pass_on(download, sender));
        Ok(ReceiverStream::new(chunks))
    }

    /// What the runner may have for this sandbox.
    async fn wanted(
        &self,
        runner: &RunnerIdentity,
        sandbox_id: &str,
    ) -> Result<(SandboxId, Restore), Status> {
        // The same answer for all that it should not know of.
        let nothing = || Status::not_found("the runner holds no sandbox that restores a snapshot");
        let id: SandboxId = sandbox_id.parse().map_err(|_| nothing())?;
        let found = self.tools.store.get_sandbox(&runner.organization, id).await;
        let sandbox = found.map_err(|error| match error {
            GetError::NotFound => nothing(),
            GetError::Fault(fault) => away(&fault),
        })?;
        let is_here = self.hub.is_of(runner, sandbox.placement.runner_uid);
        if !is_here || sandbox.status.state.is_terminal() {
            return Err(nothing());
        }
        let restore = sandbox.launch.file_system.and_then(|wanted| wanted.restore);
        Ok((id, restore.ok_or_else(nothing)?))
    }
}

async fn pass_on(mut download: Download, to: mpsc::Sender<Result<pb::FetchChunk, Status>>) {
    loop {
        let chunk = tokio::select! {
            biased;
            () = to.closed() => return,
            chunk = download.chunks.next() => chunk,
        };
        let Some(chunk) = chunk else { return };
        let piece = chunk.map(|data| pb::FetchChunk { data });
        let piece = piece.map_err(|error| told(&error));
        let is_last = piece.is_err();
        if to.send(piece).await.is_err() || is_last {
            return;
        }
    }
}

/// A runner asks again for what passes by itself.
fn unusable(refusal: Refusal) -> Status {
    let is_passing = matches!(
        refusal.reason,
        Reason::FssBackendThrottled | Reason::FssTransportFailed
    );
    if is_passing {
        Status::unavailable(refusal.message)
    } else {
        Status::failed_precondition(refusal.message)
    }
}

fn told(error: &BlobError) -> Status {
    match error {
        BlobError::NotFound | BlobError::Length { .. } => Status::data_loss(error.to_string()),
        BlobError::Denied(_) | BlobError::KeyRefused(_) => {
            Status::failed_precondition("the bucket refuses this server")
        }
        BlobError::Full
        | BlobError::Throttled
        | BlobError::Unreachable(_)
        | BlobError::Failed(_) => Status::unavailable(error.to_string()),
    }
}

fn away(fault: &palisade_store::Fault) -> Status {
    Status::unavailable(fault.to_string())
}
