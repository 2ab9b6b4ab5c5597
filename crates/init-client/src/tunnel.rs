//! Connections to ports of a sandbox, as [`palisade_backend::Attach`] promises
//! them.

use std::num::NonZeroU16;

use bytes::Bytes;
use palisade_backend::{AttachError, EXEC_QUEUE_MAX, Tunnel, TunnelEvent};
use palisade_init_protocol::answer::{Answer, ConnectFailure};
use palisade_init_protocol::request::Input;
use palisade_init_protocol::text::Data;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::connection::{Answers, Asks, Connection};
use crate::error::ClientError;

/// How much goes into one frame.
const INPUT_BYTES_MAX: usize = 64 * 1024;

/// Connects to a port, and moves what goes in and comes out on a task of `tasks`.
pub async fn connect<R, W>(
    connection: Connection<R, W>,
    port: NonZeroU16,
    tasks: &TaskTracker,
) -> Result<Tunnel, AttachError>
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let connected = connection.connect(port).await;
    let (asks, answers) = connected.map_err(|error| tunnel_error(port, error))?;
    let (input, inputs) = mpsc::channel(EXEC_QUEUE_MAX);
    let (sender, events) = mpsc::channel(EXEC_QUEUE_MAX);
    tasks.spawn(async move {
        tokio::select! {
            () = move_output(port, answers, &sender) => {}
            // Nobody wants it any more: dropping the connection ends it.
            () = sender.closed() => {}
            () = move_input(inputs, asks) => {}
        }
    });
    Ok(Tunnel { input, events })
}

/// Tells everything until both directions have ended.
async fn move_output<R: AsyncRead + Unpin>(
    port: NonZeroU16,
    mut answers: Answers<R>,
    events: &mpsc::Sender<TunnelEvent>,
) {
    loop {
        let event = match answers.next().await {
            Ok(Answer::Received(data)) => TunnelEvent::Data(data.into_bytes()),
            Ok(Answer::ReceivedAll) => TunnelEvent::End,
            Ok(Answer::Done) => return,
            Ok(other) => failed(port, ClientError::from_answer(other)),
            Err(error) => failed(port, error),
        };
        let is_last = matches!(event, TunnelEvent::Failed(_));
        if events.send(event).await.is_err() || is_last {
            return;
        }
    }
}

/// Passes on what goes in; never ends, as the end of it is not that of the
/// connection.
async fn move_input<W: AsyncWrite + Unpin>(mut inputs: mpsc::Receiver<Bytes>, mut asks: Asks<W>) {
    while let Some(mut bytes) = inputs.recv().await {
        while !bytes.is_empty() {
            let mut part = bytes.split_to(bytes.len().min(INPUT_BYTES_MAX));
            let Some(data) = Data::split_from(&mut part) else {
                break;
            };
            if asks.send(Input::Data(data).encode()).await.is_err() {
                // What comes out tells how it ended.
                return std::future::pending().await;
            }
        }
    }
    let _ = asks.send(Input::Close.encode()).await;
    std::future::pending::<()>().await;
}

fn failed(port: NonZeroU16, error: ClientError) -> TunnelEvent {
    TunnelEvent::Failed(tunnel_error(port, error))
}

fn tunnel_error(port: NonZeroU16, error: ClientError) -> AttachError {
    match error {
        ClientError::Connect(ConnectFailure::Refused) => {
            AttachError::PortClosed { port: port.get() }
        }
        ClientError::Connect(ConnectFailure::Other(reason)) => AttachError::TunnelFailed {
            message: format!("port {port} of the sandbox: {reason}"),
        },
        // A sandbox keeps its process 1 while the runner is upgraded.
        ClientError::Refused(_) => AttachError::TunnelFailed {
            message: "the sandbox was started before there were tunnels; start another one"
                .to_owned(),
        },
        ClientError::NotRunning
        | ClientError::Ending
        | ClientError::Busy { .. }
        | ClientError::Failed(_)
        | ClientError::File(_)
        | ClientError::TooLong
        | ClientError::Nonsense
        | ClientError::Silent
        | ClientError::Incomplete
        | ClientError::Lost(_) => crate::attach::attach_error(error),
    }
}
