//! Commands without a terminal.
//!
//! A task for each one: it carries input in and output out, and ends with the
//! command or with whoever asked for it. Dropping the connection makes the script
//! kill the command.

use bytes::{Bytes, BytesMut};
use kube::api::{AttachParams, AttachedProcess};
use palisade_backend::{AttachError, EXEC_QUEUE_MAX, Exec, ExecEvent, ExecInput, ExecSpec};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::{Target, frames, outcome, script};
use crate::naming;

/// The most that is read or waits at once.
const CHUNK_MAX: usize = 32 * 1024;

/// Starts a command.
pub(super) async fn start(target: Target, spec: ExecSpec) -> Result<Exec, AttachError> {
    let words = shell(script::COMMAND, &with_environment(&spec));
    let process = open(&target, words, false).await?;
    Ok(attend(&target, |inputs, events| async move {
        carry(process, inputs, &events).await;
    }))
}

/// Has `work` carry what a command is given and what it says, until it ends,
/// nobody listens any more or the backend closes.
pub(super) fn attend<W>(
    target: &Target,
    work: impl FnOnce(mpsc::Receiver<ExecInput>, mpsc::Sender<ExecEvent>) -> W,
) -> Exec
where
    W: Future<Output = ()> + Send + 'static,
{
    let (input, inputs) = mpsc::channel(EXEC_QUEUE_MAX);
    let (events, outputs) = mpsc::channel(EXEC_QUEUE_MAX);
    let closing = target.shared.closing.clone();
    let work = work(inputs, events.clone());
    target.shared.attached.spawn(async move {
        tokio::select! {
            biased;
            () = closing.cancelled() => {}
            () = events.closed() => {}
            () = work => {}
        }
    });
    Exec {
        input,
        events: outputs,
    }
}

/// A script of the shell with its arguments.
pub(super) fn shell(script: &str, arguments: &[String]) -> Vec<String> {
    let start = [script::SHELL, "-c", script, "palisade"].map(str::to_owned);
    start.into_iter().chain(arguments.iter().cloned()).collect()
}

/// The command behind its variables; names that a shell would refuse pass.
pub(super) fn with_environment(spec: &ExecSpec) -> Vec<String> {
    let pairs = spec.environment.iter();
    let pairs = pairs.map(|(name, value)| format!("{name}={value}"));
    let mut words: Vec<String> = std::iter::once("env".to_owned()).chain(pairs).collect();
    words.extend(spec.command.iter().cloned());
    words
}

/// Opens the streams of a program in the main container.
pub(crate) async fn open(
    target: &Target,
    words: Vec<String>,
    has_terminal: bool,
) -> Result<AttachedProcess, AttachError> {
    let parameters = AttachParams::default()
        .container(naming::MAIN_CONTAINER)
        .stdin(true)
        .stdout(true)
        .stderr(!has_terminal)
        .tty(has_terminal)
        .max_stdin_buf_size(CHUNK_MAX)
        .max_stdout_buf_size(CHUNK_MAX)
        .max_stderr_buf_size(CHUNK_MAX);
    let opened = target.pods.exec(&target.name, words, &parameters).await;
    opened.map_err(|error| outcome::refused(&error))
}

async fn carry(
    mut process: AttachedProcess,
    inputs: mpsc::Receiver<ExecInput>,
    events: &mpsc::Sender<ExecEvent>,
) {
    let streams = (
        process.stdin(),
        process.stdout(),
        process.stderr(),
        process.take_status(),
    );
    let (Some(stdin), Some(stdout), Some(stderr), Some(status)) = streams else {
        let _ = events.send(ExecEvent::Failed(AttachError::Lost)).await;
        return;
    };
    if events.send(ExecEvent::Started).await.is_err() {
        return;
    }
    let output = async {
        tokio::join!(
            copy(stdout, events, ExecEvent::Stdout),
            copy(stderr, events, ExecEvent::Stderr),
        );
        status.await
    };
    let ended = tokio::select! {
        ended = output => ended,
        // Input never ends before the output does: it goes on waiting.
        () = feed(stdin, inputs) => None,
    };
    let last = match outcome::read(ended) {
        Ok(exit) => ExecEvent::Exit(exit),
        Err(error) => ExecEvent::Failed(error),
    };
    // Whoever asked may be gone.
    let _ = events.send(last).await;
}

/// Passes output on as it comes, until it ends.
pub(super) async fn copy(
    mut from: impl AsyncRead + Unpin,
    events: &mpsc::Sender<ExecEvent>,
    event: fn(Bytes) -> ExecEvent,
) {
    let mut buffer = BytesMut::with_capacity(CHUNK_MAX);
    while let Ok(1..) = from.read_buf(&mut buffer).await {
        if events.send(event(buffer.split().freeze())).await.is_err() {
            return;
        }
        buffer.reserve(CHUNK_MAX);
    }
}

/// Passes input on in frames. The stream stays open: its end is a kill.
async fn feed(mut into: impl AsyncWrite + Unpin, mut inputs: mpsc::Receiver<ExecInput>) {
    let mut is_open = true;
    while let Some(input) = inputs.recv().await {
        let is_stale = !is_open && matches!(input, ExecInput::Stdin(_) | ExecInput::Close);
        if is_stale {
            continue;
        }
        is_open &= input != ExecInput::Close;
        let frames = frames::encode(&input);
        if into.write_all(&frames).await.is_err() {
            break;
        }
    }
    if is_open {
        let _ = into.write_all(frames::END).await;
    }
    std::future::pending::<()>().await;
}
