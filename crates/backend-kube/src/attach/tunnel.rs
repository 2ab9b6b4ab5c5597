//! Connections to ports of a sandbox, through the API server.
//!
//! Who listens is looked up first, as the server tells of a port where nobody
//! does only after the connection counts as made. Its protocol has no end of one
//! direction: the end of input ends the connection once the port falls silent.

use std::num::NonZeroU16;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use palisade_backend::{AttachError, EXEC_QUEUE_MAX, Tunnel, TunnelEvent};
use palisade_model::sandbox::Exit;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};
use tokio::time;

use super::{Target, outcome, script, signal};

/// The most that is read at once.
const CHUNK_MAX: usize = 32 * 1024;
/// The longest list of sockets that is looked at.
const LISTENERS_MAX: u64 = 4 * 1024 * 1024;
/// How long a port may go on after the end of input before it counts as silent.
const SILENCE: Duration = Duration::from_secs(5);

/// Connects to a port of the sandbox's loopback.
pub(super) async fn connect(target: Target, port: NonZeroU16) -> Result<Tunnel, AttachError> {
    let port = port.get();
    if !listens(&target, port).await? {
        return Err(AttachError::PortClosed { port });
    }
    let opened = target.pods.portforward(&target.name, &[port]).await;
    let mut forwarder = opened.map_err(|error| outcome::refused(&error))?;
    let stream = forwarder.take_stream(port).ok_or(AttachError::Lost)?;
    let failure = forwarder.take_error(port).ok_or(AttachError::Lost)?;
    let (input, inputs) = mpsc::channel(EXEC_QUEUE_MAX);
    let (events, outputs) = mpsc::channel(EXEC_QUEUE_MAX);
    let closing = target.shared.closing.clone();
    target.shared.attached.spawn(async move {
        let (reader, writer) = tokio::io::split(stream);
        tokio::select! {
            biased;
            () = closing.cancelled() => {}
            () = events.closed() => {}
            Some(message) = failure => {
                let failed = AttachError::TunnelFailed { message };
                let _ = events.send(TunnelEvent::Failed(failed)).await;
            }
            () = carry(reader, writer, inputs, &events) => {}
        }
        forwarder.abort();
    });
    Ok(Tunnel {
        input,
        events: outputs,
    })
}

async fn carry(
    reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    mut inputs: mpsc::Receiver<Bytes>,
    events: &mpsc::Sender<TunnelEvent>,
) {
    let heard = watch::Sender::new(time::Instant::now());
    let feed = async {
        while let Some(data) = inputs.recv().await {
            if writer.write_all(&data).await.is_err() {
                break;
            }
        }
        heard.send_replace(time::Instant::now());
        silent(&heard).await;
    };
    tokio::select! {
        () = copy(reader, events, &heard) => {}
        () = feed => {}
    }
    let _ = events.send(TunnelEvent::End).await;
}

/// Waits until nothing has been heard for a while.
async fn silent(heard: &watch::Sender<time::Instant>) {
    loop {
        let last = *heard.borrow();
        time::sleep_until(last + SILENCE).await;
        if *heard.borrow() == last {
            return;
        }
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    events: &mpsc::Sender<TunnelEvent>,
    heard: &watch::Sender<time::Instant>,
) {
    let mut buffer = BytesMut::with_capacity(CHUNK_MAX);
    while let Ok(1..) = from.read_buf(&mut buffer).await {
        let data = TunnelEvent::Data(buffer.split().freeze());
        if events.send(data).await.is_err() {
            return;
        }
        // A reader who takes his time does not make the port a silent one.
        heard.send_replace(time::Instant::now());
        buffer.reserve(CHUNK_MAX);
    }
}

/// Whether anybody listens at a port of the loopback.
async fn listens(target: &Target, port: u16) -> Result<bool, AttachError> {
    let run = signal::run(target, script::LISTENERS, &[], Bytes::new(), LISTENERS_MAX);
    let ran = run.await?;
    match ran.exit {
        Exit(0) => Ok(is_listed(&String::from_utf8_lossy(&ran.stdout), port)),
        Exit(_) => Err(AttachError::Lost),
    }
}

/// Whether a list of sockets of the kernel has one that listens at this port.
fn is_listed(sockets: &str, port: u16) -> bool {
    const LISTENS: &str = "0A";
    let suffix = format!(":{port:04X}");
    sockets.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next();
        let state = fields.nth(1);
        state == Some(LISTENS) && local.is_some_and(|local| local.ends_with(&suffix))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOCKETS: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
   0: 0100007F:1267 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0
   1: 0100007F:1268 0100007F:1267 01 00000000:00000000 00:00000000 00000000     0
   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 0";

    /// Says something now and then, and then stays open in silence.
    async fn answer(mut port: tokio::io::DuplexStream) {
        for _ in 0..5 {
            time::sleep(SILENCE * 2 / 3).await;
            port.write_all(b"x").await.unwrap();
        }
        std::future::pending::<()>().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_that_goes_on_answering_after_the_end_of_input_is_heard_out() {
        let (near, far) = tokio::io::duplex(64);
        let (reader, writer) = tokio::io::split(near);
        let (input, inputs) = mpsc::channel(1);
        let (events, mut outputs) = mpsc::channel(16);
        drop(input);
        tokio::select! {
            () = carry(reader, writer, inputs, &events) => {}
            () = answer(far) => {}
        }
        drop(events);
        let mut heard = Vec::new();
        outputs.recv_many(&mut heard, 16).await;
        assert_eq!(heard.len(), 6, "{heard:?}");
        assert_eq!(heard.last(), Some(&TunnelEvent::End));
    }

    #[test]
    fn a_port_is_open_if_a_socket_listens_there() {
        assert!(is_listed(SOCKETS, 0x1267) && is_listed(SOCKETS, 8080));
        assert!(!is_listed(SOCKETS, 0x1268) && !is_listed(SOCKETS, 80));
        assert!(!is_listed("", 80));
    }
}
