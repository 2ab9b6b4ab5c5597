//! Connections to ports of a sandbox.

use std::fmt;
use std::num::NonZeroU16;

use bytes::Bytes;
use palisade_wire::proto::tunnel_v1 as pb;
use palisade_wire::proto::tunnel_v1::connect_request::Frame as Sent;
use palisade_wire::proto::tunnel_v1::connect_response::Frame as Received;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::exec::ClosedInput;
use super::failure::{call_error, cut};
use super::{FRAME_BYTES_MAX, FRAMES_MAX, Sandboxes};
use crate::error::CallError;

/// A connection to a port. Dropping its output ends it.
#[derive(Debug)]
pub struct Tunnel {
    /// What goes to the port.
    pub input: TunnelInput,
    /// What comes from the port.
    pub output: TunnelOutput,
}

/// What goes to a port. Dropping it is the end of this direction alone.
#[derive(Debug)]
pub struct TunnelInput(mpsc::Sender<pb::ConnectRequest>);

/// What comes from a port.
#[derive(Debug)]
pub struct TunnelOutput {
    answers: Streaming<pb::ConnectResponse>,
    server: String,
}

/// What comes from a port.
#[derive(Clone, PartialEq, Eq)]
pub enum TunnelEvent {
    /// Bytes.
    Data(Bytes),
    /// Nothing more comes; the port may still take what it is sent.
    End,
    /// Both directions have ended. Nothing follows.
    Closed,
}

impl fmt::Debug for TunnelEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(data) => write!(f, "Data({} bytes)", data.len()),
            Self::End => f.write_str("End"),
            Self::Closed => f.write_str("Closed"),
        }
    }
}

impl Sandboxes {
    /// Connects to a port of the sandbox's loopback; returns once somebody there
    /// took the connection.
    pub async fn connect(&self, id: &str, port: NonZeroU16) -> Result<Tunnel, CallError> {
        let (frames, waiting) = mpsc::channel(FRAMES_MAX);
        let input = TunnelInput(frames);
        let open = Sent::Open(pb::Open {
            sandbox_id: id.to_owned(),
            port: port.get().into(),
        });
        // The channel is new and empty, so that the first frame always fits.
        let _ = input.0.try_send(frame(open));
        let mut tunnels = self.tunnels();
        let answers = self
            .opened(tunnels.connect(ReceiverStream::new(waiting)))
            .await?;
        let mut output = TunnelOutput {
            answers,
            server: self.server.clone(),
        };
        match output.frame().await? {
            Received::Opened(pb::Opened {}) => Ok(Tunnel { input, output }),
            Received::Data(_) | Received::End(_) | Received::Closed(_) => {
                Err(CallError::NotUnderstood {
                    server: self.server.clone(),
                    what: "it sends bytes of a connection that it did not open".to_owned(),
                })
            }
        }
    }
}

impl TunnelInput {
    /// Sends bytes; waits while the port takes none.
    pub async fn write(&self, mut data: Bytes) -> Result<(), ClosedInput> {
        while !data.is_empty() {
            let data = data.split_to(data.len().min(FRAME_BYTES_MAX));
            let sent = self.0.send(frame(Sent::Data(data))).await;
            sent.map_err(|_| ClosedInput)?;
        }
        Ok(())
    }
}

impl TunnelOutput {
    /// What comes next. Nothing is lost if this is dropped before it is ready.
    pub async fn next(&mut self) -> Result<TunnelEvent, CallError> {
        loop {
            match self.frame().await? {
                Received::Data(data) => return Ok(TunnelEvent::Data(data)),
                Received::End(pb::End {}) => return Ok(TunnelEvent::End),
                Received::Closed(pb::Closed {}) => return Ok(TunnelEvent::Closed),
                Received::Opened(pb::Opened {}) => {}
            }
        }
    }

    async fn frame(&mut self) -> Result<Received, CallError> {
        loop {
            let answer = self.answers.message().await;
            let answer = answer.map_err(|status| call_error(&self.server, status))?;
            let answer = answer.ok_or_else(|| cut(&self.server))?;
            // What only a later version says is passed over.
            if let Some(frame) = answer.frame {
                return Ok(frame);
            }
        }
    }
}

fn frame(frame: Sent) -> pb::ConnectRequest {
    pb::ConnectRequest { frame: Some(frame) }
}
