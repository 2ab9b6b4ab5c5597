//! The two directions of a connection to a port.

use bytes::Bytes;
use palisade_backend::TunnelEvent;
use palisade_wire::proto::runner_v1 as pb;
use palisade_wire::proto::runner_v1::attach_down::Input;
use palisade_wire::proto::runner_v1::attach_up::Event;
use palisade_wire::runner::failure;
use tokio::sync::mpsc;
use tonic::Streaming;

use super::{Gone, event};

/// Passes on what comes from the port, up to the end of both directions.
pub(super) async fn from_port(
    mut events: mpsc::Receiver<TunnelEvent>,
    up: &mpsc::Sender<pb::AttachUp>,
) -> Result<(), Gone> {
    let mut last = Event::Done(pb::Done {});
    while let Some(happened) = events.recv().await {
        let sent = match happened {
            TunnelEvent::Data(data) => Event::TunnelData(data),
            TunnelEvent::End => Event::TunnelEnd(pb::TunnelEnd {}),
            TunnelEvent::Failed(error) => {
                last = Event::Failure(failure(&error));
                break;
            }
        };
        up.send(event(sent)).await.map_err(|_| Gone)?;
    }
    up.send(event(last)).await.map_err(|_| Gone)
}

/// Passes on what goes to the port until the gateway is gone.
pub(super) async fn to_port(
    down: &mut Streaming<pb::AttachDown>,
    input: mpsc::Sender<Bytes>,
) -> Gone {
    let mut input = Some(input);
    loop {
        let Ok(Some(message)) = down.message().await else {
            return Gone;
        };
        match (message.input, &input) {
            // A port that takes nothing more has told so, or will.
            (Some(Input::TunnelData(data)), Some(input)) => {
                let _ = input.send(data).await;
            }
            (Some(Input::TunnelData(_)), None) => {}
            (Some(Input::TunnelEnd(pb::TunnelEnd {})), _) => input = None,
            (
                Some(
                    Input::Cancel(_)
                    | Input::FileData(_)
                    | Input::Stdin(_)
                    | Input::StdinEnd(_)
                    | Input::Resize(_)
                    | Input::Signal(_),
                )
                | None,
                _,
            ) => return Gone,
        }
    }
}
