//! A connection to a port of a sandbox.
//!
//! ```text
//! open ─► (port reached) ─► opened ─► data …, end ─► closed
//!           └─► status                   └─► status
//! ```
//!
//! Inputs: the client's frames, what comes from the port. It ends once both
//! directions have ended, with the first frame that has no place where it came,
//! when the connection breaks, or when the client leaves; then the connection
//! is ended, because its [`Tunnel`] is dropped. The end of the client's frames
//! is the end of one direction and never a cancellation.

use std::pin::pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use palisade_backend::{AttachError, Tunnel, TunnelEvent};
use palisade_wire::proto::tunnel_v1 as pb;
use palisade_wire::tunnel::{
    TunnelInput, TunnelStart, open_missing, tunnel_closed, tunnel_data, tunnel_end, tunnel_input,
    tunnel_opened, tunnel_start,
};
use tokio::sync::mpsc;
use tokio::time;
use tonic::Status;
use tracing::debug;

use super::answers::{End, Sink, frames};
use super::exec::{INIT_LIMIT, START_LIMIT};
use super::ways::{Way, Ways};
use crate::access::Whereabouts;
use crate::context::Context;

/// Bytes are handed on in pieces of this size at most, so that the queues on
/// the way hold a bounded number of them.
const INPUT_BYTES_MAX: usize = 256 * 1024;

/// The frames of a client.
type Frame = Result<pb::ConnectRequest, Status>;

/// What one stream works with.
#[derive(Debug)]
pub(super) struct TunnelStream<'a> {
    pub(super) ways: &'a dyn Ways,
    pub(super) context: &'a Context,
    pub(super) sink: &'a Sink<pb::ConnectResponse>,
}

impl TunnelStream<'_> {
    /// Serves the stream to its end.
    pub(super) async fn serve(
        &self,
        frames: impl Stream<Item = Frame>,
    ) -> End<pb::ConnectResponse> {
        let mut frames = pin!(frames);
        let first = match time::timeout(INIT_LIMIT, frames.next()).await {
            Ok(Some(frame)) => frame?,
            Ok(None) | Err(_) => return Err(self.context.status(&open_missing().into())),
        };
        let start = tunnel_start(first).map_err(|refusal| self.context.status(&refusal.into()))?;
        let TunnelStart { sandbox, port } = start;
        let way = self.ways.running(&self.context.caller, &sandbox).await;
        let Way { at, attach } = way.map_err(|error| self.context.status(&error))?;
        debug!(sandbox.id = %at.id, port, "connecting to a port");
        let connected = time::timeout(START_LIMIT, attach.connect(at.id, port)).await;
        let connected = connected.unwrap_or(Err(AttachError::Lost));
        let Tunnel { input, events } = connected.map_err(|error| self.failed(error, &at))?;
        self.sink.send(tunnel_opened()).await;
        // Whichever ends first ends the other: a connection that has ended in
        // both directions takes nothing more.
        tokio::select! {
            end = self.pass_on(events, &at) => end,
            end = self.feed(frames, input) => end,
        }
    }

    /// Hands on what comes from the port.
    async fn pass_on(
        &self,
        mut events: mpsc::Receiver<TunnelEvent>,
        at: &Whereabouts,
    ) -> End<pb::ConnectResponse> {
        while let Some(event) = events.recv().await {
            match event {
                TunnelEvent::Data(data) => self.pass_data(data).await,
                TunnelEvent::End => self.sink.send(tunnel_end()).await,
                TunnelEvent::Failed(error) => return Err(self.failed(error, at)),
            }
        }
        Ok(tunnel_closed())
    }

    async fn pass_data(&self, data: Bytes) {
        for frame in frames(data) {
            self.sink.send(tunnel_data(frame)).await;
        }
    }

    /// Hands on what the client sends; pending for ever once it has said all.
    async fn feed(
        &self,
        mut frames: impl Stream<Item = Frame> + Unpin,
        input: mpsc::Sender<Bytes>,
    ) -> End<pb::ConnectResponse> {
        let mut input = Some(input);
        while let Some(frame) = frames.next().await {
            let taken = tunnel_input(frame?);
            let taken = taken.map_err(|refusal| self.context.status(&refusal.into()))?;
            match (taken, &input) {
                (TunnelInput::Data(data), Some(input)) => hand_on(data, input).await,
                // What comes after the end has no way to go.
                (TunnelInput::Data(_), None) => {}
                (TunnelInput::End, _) => input = None,
            }
        }
        drop(input);
        std::future::pending().await
    }

    fn failed(&self, error: AttachError, at: &Whereabouts) -> Status {
        self.context.status(&at.refusal(error, "connect").into())
    }
}

/// A port that takes nothing more has told so, or will.
async fn hand_on(mut data: Bytes, input: &mpsc::Sender<Bytes>) {
    while !data.is_empty() {
        let piece = data.split_to(data.len().min(INPUT_BYTES_MAX));
        let _ = input.send(piece).await;
    }
}
