//! Streams that runners open for pieces of work.

use std::time::Duration;

use palisade_backend::EXEC_QUEUE_MAX;
use palisade_model::token::RunnerIdentity;
use palisade_wire::proto::runner_v1 as pb;
use palisade_wire::proto::runner_v1::attach_up::Event;
use tokio::sync::mpsc;
use tokio::time;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::join::RunnerGate;
use super::pending::Link;

/// A stream that does not say what it is for is given up.
const NAMING_LIMIT: Duration = Duration::from_secs(10);

impl RunnerGate {
    /// Hands the stream to whoever asked for the work.
    pub(super) async fn deliver(
        &self,
        runner: &RunnerIdentity,
        mut up: Streaming<pb::AttachUp>,
    ) -> Result<ReceiverStream<Result<pb::AttachDown, Status>>, Status> {
        let first = time::timeout(NAMING_LIMIT, up.message())
            .await
            .map_err(|_| Status::deadline_exceeded("the stream did not say what it is for"))??;
        let Some(Event::AttachId(name)) = first.and_then(|first| first.event) else {
            let message = "the first message must say what the stream is for";
            return Err(Status::invalid_argument(message));
        };
        let (down, messages) = mpsc::channel(EXEC_QUEUE_MAX);
        let link = Link { up, down };
        if self.hub.inner.pending.deliver(&name, runner, link) {
            Ok(ReceiverStream::new(messages))
        } else {
            Err(Status::not_found("nobody waits for this work"))
        }
    }
}
