//! Commands on a terminal.
//!
//! The terminal is the server's; what is typed goes in as it is. A signal is what
//! its key would send, where there is one; every other one ends the connection,
//! and the terminal hangs up.

use futures_util::{Sink, SinkExt as _};
use kube::api::{AttachedProcess, TerminalSize};
use palisade_backend::{AttachError, Exec, ExecEvent, ExecInput, ExecSpec, Terminal};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::{Target, exec, outcome};

/// Sets what programs on a terminal expect, and becomes the command.
const COMMAND: &str = r#"TERM=${TERM:-xterm} exec "$@""#;

/// What is typed for the end of input.
const END_OF_INPUT: &[u8] = b"\x04";

/// Starts a command on a terminal of this size.
pub(super) async fn start(
    target: Target,
    spec: ExecSpec,
    size: Terminal,
) -> Result<Exec, AttachError> {
    let words = exec::shell(COMMAND, &exec::with_environment(&spec));
    let process = exec::open(&target, words, true).await?;
    Ok(exec::attend(&target, |inputs, events| async move {
        carry(process, size, inputs, &events).await;
    }))
}

async fn carry(
    mut process: AttachedProcess,
    size: Terminal,
    inputs: mpsc::Receiver<ExecInput>,
    events: &mpsc::Sender<ExecEvent>,
) {
    let streams = (
        process.stdin(),
        process.stdout(),
        process.terminal_size(),
        process.take_status(),
    );
    let (Some(stdin), Some(stdout), Some(mut sizes), Some(status)) = streams else {
        let _ = events.send(ExecEvent::Failed(AttachError::Lost)).await;
        return;
    };
    resize(&mut sizes, size).await;
    if events.send(ExecEvent::Started).await.is_err() {
        return;
    }
    let output = async {
        exec::copy(stdout, events, ExecEvent::Stdout).await;
        status.await
    };
    let ended = tokio::select! {
        ended = output => ended,
        () = feed(stdin, &mut sizes, inputs) => None,
    };
    let last = match outcome::read(ended) {
        Ok(exit) => ExecEvent::Exit(exit),
        Err(error) => ExecEvent::Failed(error),
    };
    let _ = events.send(last).await;
}

async fn resize(sizes: &mut (impl Sink<TerminalSize> + Unpin), size: Terminal) {
    let Terminal { width, height } = size;
    // The other end goes only with the command.
    let _ = sizes.send(TerminalSize { width, height }).await;
}

/// Passes on what is typed. Returns only to have the terminal hang up.
async fn feed(
    mut into: impl AsyncWrite + Unpin,
    sizes: &mut (impl Sink<TerminalSize> + Unpin),
    mut inputs: mpsc::Receiver<ExecInput>,
) {
    let mut is_open = true;
    while let Some(input) = inputs.recv().await {
        let typed = match input {
            ExecInput::Stdin(data) => data.to_vec(),
            ExecInput::Close if is_open => {
                is_open = false;
                END_OF_INPUT.to_vec()
            }
            ExecInput::Close => Vec::new(),
            ExecInput::Resize(size) => {
                resize(sizes, size).await;
                Vec::new()
            }
            ExecInput::Signal(number) => match key(number) {
                Some(key) => vec![key],
                None => return,
            },
        };
        if into.write_all(&typed).await.is_err() {
            break;
        }
    }
    if is_open {
        let _ = into.write_all(END_OF_INPUT).await;
    }
    std::future::pending::<()>().await;
}

/// The key that sends a signal.
fn key(signal: i32) -> Option<u8> {
    match signal {
        2 => Some(0x03),
        3 => Some(0x1c),
        20 => Some(0x1a),
        _ => None,
    }
}
