//! What travels on the stream of one piece of work, passed on.
//!
//! Each direction is bounded by the channel of its reader, so that a slow end
//! slows the other one down, over the network too. When whoever asked for the
//! work is gone, the stream is dropped, and the runner drops the work. When the
//! runner is gone, whoever asked is told that the connection was lost.

use bytes::{Bytes, BytesMut};
use palisade_backend::{AttachError, ExecEvent, ExecInput, LogChunk, TunnelEvent, Upload};
use palisade_model::sandbox::Exit;
use palisade_model::snapshot::Content;
use palisade_wire::proto::runner_v1 as pb;
use palisade_wire::proto::runner_v1::attach_down::Input;
use palisade_wire::proto::runner_v1::attach_up::Event;
use palisade_wire::runner::{archive_head, attach_error, log_chunk, terminal_message};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::pending::Link;

/// Files travel in pieces of this size: each is written while the next one comes.
const FILE_CHUNK_BYTES: usize = 256 * 1024;

type Down = mpsc::Sender<Result<pb::AttachDown, Status>>;

/// The next thing that the runner says about the work.
pub(super) async fn event(up: &mut Streaming<pb::AttachUp>) -> Result<Event, AttachError> {
    match up.message().await {
        Ok(Some(pb::AttachUp { event: Some(event) })) => Ok(event),
        Ok(_) | Err(_) => Err(AttachError::Lost),
    }
}

/// What is left to be said when nothing else is: that it is done, or why it is not.
fn end(event: Event) -> Result<(), AttachError> {
    match event {
        Event::Done(pb::Done {}) => Ok(()),
        Event::Failure(failure) => Err(attach_error(failure)),
        Event::AttachId(_)
        | Event::ArchiveHead(_)
        | Event::Started(_)
        | Event::Stdout(_)
        | Event::Stderr(_)
        | Event::ExitCode(_)
        | Event::Log(_)
        | Event::TunnelData(_)
        | Event::TunnelEnd(_)
        | Event::FileData(_) => Err(AttachError::Lost),
    }
}

/// How the passing on of a command came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The runner told the end, or is gone.
    Told,
    /// Its caller left; the command still runs.
    Left,
}

/// Passes a command on until it ended, its caller left or the runner is gone.
pub(super) async fn exec(
    link: Link,
    inputs: mpsc::Receiver<ExecInput>,
    outputs: mpsc::Sender<ExecEvent>,
    ended: impl Future<Output = ()>,
) -> Outcome {
    let Link { mut up, down } = link;
    // Input that is lost here was meant for a command that has ended, or whose
    // caller has left.
    let outcome = tokio::select! {
        biased;
        outcome = pass_output(&mut up, &outputs) => outcome,
        () = outputs.closed() => Ok(Outcome::Left),
        outcome = pass_input(inputs, &down) => Ok(outcome),
        () = ended => Err(AttachError::Lost),
    };
    settle(outcome, &outputs, ExecEvent::Failed).await
}

/// Tells a failure to whoever still hears it.
async fn settle<T>(
    outcome: Result<Outcome, AttachError>,
    outputs: &mpsc::Sender<T>,
    failed: fn(AttachError) -> T,
) -> Outcome {
    match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            let _ = outputs.send(failed(error)).await;
            Outcome::Told
        }
    }
}

/// Up to and including the end of the command.
async fn pass_output(
    up: &mut Streaming<pb::AttachUp>,
    outputs: &mpsc::Sender<ExecEvent>,
) -> Result<Outcome, AttachError> {
    loop {
        let output = output(event(up).await?)?;
        let is_last = is_end(&output);
        let sent = outputs.send(output).await;
        if is_last {
            return Ok(Outcome::Told);
        }
        if sent.is_err() {
            return Ok(Outcome::Left);
        }
    }
}

/// What the runner says of a command.
pub(super) fn output(event: Event) -> Result<ExecEvent, AttachError> {
    match event {
        Event::Started(pb::Started {}) => Ok(ExecEvent::Started),
        Event::Stdout(data) => Ok(ExecEvent::Stdout(data)),
        Event::Stderr(data) => Ok(ExecEvent::Stderr(data)),
        Event::ExitCode(code) => Ok(ExecEvent::Exit(Exit(code))),
        Event::Failure(failure) => Ok(ExecEvent::Failed(attach_error(failure))),
        Event::AttachId(_)
        | Event::ArchiveHead(_)
        | Event::Log(_)
        | Event::FileData(_)
        | Event::TunnelData(_)
        | Event::TunnelEnd(_)
        | Event::Done(_) => Err(AttachError::Lost),
    }
}

/// Whether nothing follows.
pub(super) fn is_end(output: &ExecEvent) -> bool {
    match output {
        ExecEvent::Exit(_) | ExecEvent::Failed(_) => true,
        ExecEvent::Started | ExecEvent::Stdout(_) | ExecEvent::Stderr(_) => false,
    }
}

/// Pending for ever once the input has ended: the end of input is no
/// cancellation, and ending the stream would be one.
async fn pass_input(mut inputs: mpsc::Receiver<ExecInput>, down: &Down) -> Outcome {
    loop {
        let (input, is_last) = match inputs.recv().await {
            Some(ExecInput::Stdin(data)) => (Input::Stdin(data), false),
            Some(ExecInput::Resize(size)) => (Input::Resize(terminal_message(size)), false),
            Some(ExecInput::Signal(number)) => (Input::Signal(number), false),
            // After the end of input a terminal can still change its size.
            Some(ExecInput::Close) => (Input::StdinEnd(pb::StdinEnd {}), false),
            None => (Input::StdinEnd(pb::StdinEnd {}), true),
        };
        if down.send(Ok(message(input))).await.is_err() || is_last {
            return std::future::pending().await;
        }
    }
}

/// Passes a connection on until it ended, its caller left or the runner is gone.
pub(super) async fn tunnel(
    link: Link,
    inputs: mpsc::Receiver<Bytes>,
    outputs: mpsc::Sender<TunnelEvent>,
    ended: impl Future<Output = ()>,
) -> Outcome {
    let Link { mut up, down } = link;
    let outcome = tokio::select! {
        biased;
        outcome = pass_from_port(&mut up, &outputs) => outcome,
        () = outputs.closed() => Ok(Outcome::Left),
        () = pass_to_port(inputs, &down) => Ok(Outcome::Left),
        () = ended => Err(AttachError::Lost),
    };
    settle(outcome, &outputs, TunnelEvent::Failed).await
}

/// Up to the end of both directions.
async fn pass_from_port(
    up: &mut Streaming<pb::AttachUp>,
    outputs: &mpsc::Sender<TunnelEvent>,
) -> Result<Outcome, AttachError> {
    loop {
        let event = event(up).await?;
        let output = if let Event::TunnelData(data) = event {
            TunnelEvent::Data(data)
        } else if let Event::TunnelEnd(pb::TunnelEnd {}) = event {
            TunnelEvent::End
        } else {
            return end(event).map(|()| Outcome::Told);
        };
        if outputs.send(output).await.is_err() {
            return Ok(Outcome::Left);
        }
    }
}

/// Never ends: the end of one direction is not that of the other, and what
/// comes from the port tells of a runner that is gone.
async fn pass_to_port(mut inputs: mpsc::Receiver<Bytes>, down: &Down) {
    while let Some(data) = inputs.recv().await {
        if down
            .send(Ok(message(Input::TunnelData(data))))
            .await
            .is_err()
        {
            return std::future::pending().await;
        }
    }
    let end = Input::TunnelEnd(pb::TunnelEnd {});
    let _ = down.send(Ok(message(end))).await;
    std::future::pending::<()>().await;
}

/// Passes logs on until they end, their reader left or the runner is gone.
pub(super) async fn logs(
    link: Link,
    chunks: mpsc::Sender<Result<LogChunk, AttachError>>,
    ended: impl Future<Output = ()>,
) {
    let piece = |event| {
        if let Event::Log(chunk) = event {
            return Ok(log_chunk(chunk));
        }
        Err(event)
    };
    download(link, chunks, ended, piece).await;
}

/// What the archive of a file system is, which the runner tells first.
pub(super) fn head(event: Event) -> Result<Content, AttachError> {
    if let Event::ArchiveHead(head) = event {
        return archive_head(head).map_err(|_| AttachError::Lost);
    }
    end(event).and(Err(AttachError::Lost))
}

/// Passes an archive on until it ends, its reader left or the runner is gone.
pub(super) async fn archive(
    link: Link,
    chunks: mpsc::Sender<Result<Bytes, AttachError>>,
    ended: impl Future<Output = ()>,
) {
    let piece = |event| {
        if let Event::FileData(data) = event {
            return Ok(data);
        }
        Err(event)
    };
    download(link, chunks, ended, piece).await;
}

/// A piece of something that only comes up, or what is none.
type Piece<T> = fn(Event) -> Result<T, Event>;

/// Passes pieces on until they end, their reader left or the runner is gone; the
/// reader is told if they did not end well.
async fn download<T>(
    link: Link,
    chunks: mpsc::Sender<Result<T, AttachError>>,
    ended: impl Future<Output = ()>,
    piece: Piece<T>,
) {
    let Link {
        mut up,
        down: _down,
    } = link;
    let lost = tokio::select! {
        biased;
        outcome = pass_pieces(&mut up, &chunks, piece) => outcome.err(),
        () = chunks.closed() => None,
        () = ended => Some(AttachError::Lost),
    };
    if let Some(error) = lost {
        let _ = chunks.send(Err(error)).await;
    }
}

async fn pass_pieces<T>(
    up: &mut Streaming<pb::AttachUp>,
    chunks: &mpsc::Sender<Result<T, AttachError>>,
    piece: Piece<T>,
) -> Result<(), AttachError> {
    loop {
        match piece(event(up).await?) {
            Ok(piece) => {
                if chunks.send(Ok(piece)).await.is_err() {
                    return Ok(());
                }
            }
            Err(event) => return end(event),
        }
    }
}

/// Sends a file and waits for the word that it is in place.
pub(super) async fn write(link: Link, mut content: Upload) -> Result<(), AttachError> {
    let Link { mut up, down } = link;
    let send = async {
        while let Some(mut rest) = content.next().await? {
            while !rest.is_empty() {
                let chunk = rest.split_to(rest.len().min(FILE_CHUNK_BYTES));
                // Nobody takes the rest of what has failed: the answer tells why.
                let _ = down.send(Ok(message(Input::FileData(chunk)))).await;
            }
        }
        // The answer comes next.
        std::future::pending().await
    };
    let answer = tokio::select! {
        biased;
        answer = event(&mut up) => answer?,
        error = send => return error,
    };
    end(answer)
}

/// Receives a file; a runner that sends more than was asked for is not heard.
pub(super) async fn read(link: Link, bytes_max: u64) -> Result<Bytes, AttachError> {
    let Link {
        mut up,
        down: _down,
    } = link;
    let mut content = BytesMut::new();
    loop {
        let event = event(&mut up).await?;
        let Event::FileData(data) = event else {
            return end(event).map(|()| content.freeze());
        };
        let size = content.len().saturating_add(data.len());
        if u64::try_from(size).map_or(true, |size| size > bytes_max) {
            return Err(AttachError::Lost);
        }
        content.extend_from_slice(&data);
    }
}

fn message(input: Input) -> pb::AttachDown {
    pb::AttachDown { input: Some(input) }
}
