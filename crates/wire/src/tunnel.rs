//! Connections to ports of a sandbox, translated from and to the domain.

use std::num::NonZeroU16;

use palisade_model::refusal::Refusal;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use prost::bytes::Bytes;

use crate::proto::tunnel_v1 as pb;
use crate::proto::tunnel_v1::connect_request::Frame as Sent;
use crate::proto::tunnel_v1::connect_response::Frame as Received;

/// What a stream is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelStart {
    /// The sandbox, as the client named it.
    pub sandbox: String,
    /// The port in there.
    pub port: NonZeroU16,
}

/// What a client says later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TunnelInput {
    /// Bytes for the port.
    Data(Bytes),
    /// Nothing more comes.
    End,
}

/// Reads the first frame of a stream.
pub fn tunnel_start(frame: pb::ConnectRequest) -> Result<TunnelStart, Refusal> {
    let Some(Sent::Open(pb::Open { sandbox_id, port })) = frame.frame else {
        return Err(open_missing());
    };
    let port = u16::try_from(port).ok().and_then(NonZeroU16::new);
    let port = port.ok_or_else(|| wrong("port", ViolationKind::Invalid, "is from 1 to 65535"))?;
    Ok(TunnelStart {
        sandbox: sandbox_id,
        port,
    })
}

/// Reads a later frame of a stream.
pub fn tunnel_input(frame: pb::ConnectRequest) -> Result<TunnelInput, Refusal> {
    match frame.frame {
        Some(Sent::Data(data)) => Ok(TunnelInput::Data(data)),
        Some(Sent::End(pb::End {})) => Ok(TunnelInput::End),
        Some(Sent::Open(_)) => {
            let text = "was sent twice; a stream is one connection";
            Err(wrong("open", ViolationKind::Duplicate, text))
        }
        None => {
            let text = "is of a kind that this server does not know";
            Err(wrong("frame", ViolationKind::UnknownField, text))
        }
    }
}

/// The refusal of a stream that does not say what it is for.
pub fn open_missing() -> Refusal {
    let text = "must be the first frame of a stream";
    wrong("open", ViolationKind::Required, text)
}

/// The frame that says that somebody took the connection.
pub fn tunnel_opened() -> pb::ConnectResponse {
    answer(Received::Opened(pb::Opened {}))
}

/// A frame of bytes from the port.
pub fn tunnel_data(data: Bytes) -> pb::ConnectResponse {
    answer(Received::Data(data))
}

/// The frame that says that nothing more comes from the port.
pub fn tunnel_end() -> pb::ConnectResponse {
    answer(Received::End(pb::End {}))
}

/// The last frame of a connection that has ended in both directions.
pub fn tunnel_closed() -> pb::ConnectResponse {
    answer(Received::Closed(pb::Closed {}))
}

fn answer(frame: Received) -> pb::ConnectResponse {
    pb::ConnectResponse { frame: Some(frame) }
}

fn wrong(field: &str, kind: ViolationKind, text: &str) -> Refusal {
    let path = FieldPath::root().key(field);
    Refusal::invalid(vec![Violation::new(path, kind, text)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(frame: Sent) -> pb::ConnectRequest {
        pb::ConnectRequest { frame: Some(frame) }
    }

    fn open(port: u32) -> pb::ConnectRequest {
        let sandbox_id = "s".to_owned();
        sent(Sent::Open(pb::Open { sandbox_id, port }))
    }

    #[test]
    fn the_first_frame_says_what_the_stream_is_for() {
        let start = TunnelStart {
            sandbox: "s".to_owned(),
            port: NonZeroU16::new(65_535).unwrap(),
        };
        assert_eq!(tunnel_start(open(65_535)), Ok(start));
        for (frame, text) in [
            (open(0), "port is from 1 to 65535"),
            (open(65_536), "port is from 1 to 65535"),
            (
                sent(Sent::End(pb::End {})),
                "open must be the first frame of a stream",
            ),
        ] {
            assert_eq!(tunnel_start(frame).unwrap_err().message, text);
        }
    }

    #[test]
    fn later_frames_are_bytes_and_their_end() {
        let data = Bytes::from_static(b"x");
        let read = tunnel_input(sent(Sent::Data(data.clone())));
        assert_eq!(read, Ok(TunnelInput::Data(data)));
        assert_eq!(
            tunnel_input(sent(Sent::End(pb::End {}))),
            Ok(TunnelInput::End)
        );
        assert!(tunnel_input(open(1)).is_err());
        assert!(tunnel_input(pb::ConnectRequest::default()).is_err());
    }
}
