//! Archives for restored file systems, from the gateway.
//!
//! A call of its own on the connection of the life line, with flow control of its
//! own. Whoever needs an archive while there is no connection waits for one, for
//! a time. What breaks half way is told as such and not taken up again here.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use palisade_backend::{EXEC_QUEUE_MAX, FetchError, SnapshotSource};
use palisade_model::id::SandboxId;
use palisade_wire::proto::runner_v1 as pb;
use tokio::sync::{mpsc, watch};
use tokio::time;
use tokio_util::task::TaskTracker;
use tonic::{Code, Streaming};
use tracing::debug;

use crate::connection::Client;

/// How long a connection is waited for.
const CONNECT_LIMIT: Duration = Duration::from_mins(1);
/// How long the gateway may take to begin.
const BEGIN_LIMIT: Duration = Duration::from_secs(30);
/// A gateway that sends nothing for so long is given up.
const SILENCE_LIMIT: Duration = Duration::from_mins(1);

/// How long what comes may take to end with its connection.
const END_LIMIT: Duration = Duration::from_secs(2);

/// Brings archives over the present connection to the gateway. Cheap to clone.
#[derive(Clone, Default)]
pub struct GatewaySnapshots {
    client: Arc<watch::Sender<Option<Client>>>,
    tasks: TaskTracker,
}

impl std::fmt::Debug for GatewaySnapshots {
    /// Leaves the connection out: it holds the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatewaySnapshots").finish_non_exhaustive()
    }
}

/// The connection is in use; dropping it says that there is none any more.
pub(crate) struct Connected(GatewaySnapshots);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.client.send_replace(None);
    }
}

impl GatewaySnapshots {
    /// Uses a connection for as long as what is returned lives.
    pub(crate) fn over(&self, client: &Client) -> Connected {
        self.client.send_replace(Some(client.clone()));
        Connected(self.clone())
    }

    /// Waits until nothing comes any more; the connection is gone, so it is soon.
    pub(crate) async fn closed(&self) {
        self.tasks.close();
        if time::timeout(END_LIMIT, self.tasks.wait()).await.is_err() {
            debug!(left = self.tasks.len(), "snapshots are still on their way");
        }
    }

    async fn client(&self) -> Result<Client, FetchError> {
        let mut clients = self.client.subscribe();
        let connected = clients.wait_for(Option::is_some);
        let connected = time::timeout(CONNECT_LIMIT, connected).await;
        let connected = connected.map_err(|_| FetchError::Lost)?;
        let client = connected.map_err(|_| FetchError::Lost)?;
        client.clone().ok_or(FetchError::Lost)
    }
}

#[async_trait]
impl SnapshotSource for GatewaySnapshots {
    async fn fetch(
        &self,
        id: SandboxId,
    ) -> Result<mpsc::Receiver<Result<Bytes, FetchError>>, FetchError> {
        let mut client = self.client().await?;
        let request = pb::FetchRequest {
            sandbox_id: id.to_string(),
        };
        let begun = time::timeout(BEGIN_LIMIT, client.fetch(request)).await;
        let begun = begun.map_err(|_| FetchError::Lost)?;
        let incoming = begun.map_err(|status| told(&status))?.into_inner();
        let (chunks, receiver) = mpsc::channel(EXEC_QUEUE_MAX);
        self.tasks.spawn(pass_on(incoming, chunks));
        Ok(receiver)
    }
}

async fn pass_on(
    mut incoming: Streaming<pb::FetchChunk>,
    chunks: mpsc::Sender<Result<Bytes, FetchError>>,
) {
    loop {
        let next = time::timeout(SILENCE_LIMIT, incoming.message());
        let piece = tokio::select! {
            biased;
            () = chunks.closed() => return,
            next = next => match next {
                Ok(Ok(Some(pb::FetchChunk { data }))) => Ok(data),
                Ok(Ok(None)) => return,
                Ok(Err(status)) => Err(told(&status)),
                Err(_) => Err(FetchError::Lost),
            },
        };
        let is_last = piece.is_err();
        if chunks.send(piece).await.is_err() || is_last {
            debug!("a snapshot did not come to its end");
            return;
        }
    }
}

/// What the gateway decided stays so; all else may pass.
fn told(status: &tonic::Status) -> FetchError {
    match status.code() {
        Code::NotFound | Code::FailedPrecondition | Code::DataLoss | Code::PermissionDenied => {
            FetchError::Refused {
                message: status.message().to_owned(),
            }
        }
        // An older gateway, which cannot have made the launch.
        Code::Unimplemented => FetchError::Refused {
            message: "the gateway does not serve snapshots to runners".to_owned(),
        },
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Internal
        | Code::Unavailable
        | Code::Unauthenticated => FetchError::Lost,
    }
}
