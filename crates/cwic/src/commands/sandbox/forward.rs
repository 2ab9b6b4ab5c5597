//! `cwic sandbox port-forward`: ports of a sandbox on the loopback of this
//! machine, or at another address of it.
//!
//! Inputs: connections of others, the state of the sandbox, signals. It ends when
//! the sandbox is over, or when it is asked to; then every connection ends. A
//! server that is away ends the connections through it, each with its reason;
//! new ones go through as soon as it is back. Each connection is a task, and
//! their number is bounded: more wait to be taken.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use palisade_client::{CallError, Sandboxes, Tunnel, TunnelEvent, TunnelInput, TunnelOutput};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::signals::Signals;
use super::waiting::is_over;
use crate::cli::{ForwardArgs, OutcomeFormat};
use crate::commands::Ended;
use crate::commands::sandbox::failure::failed;
use crate::error::{CliError, Exit};
use crate::out::Out;
use crate::present::sandbox::status_word;
use crate::words::Forward;

/// Connections at once, over all ports.
const CONNECTIONS_MAX: usize = 256;
/// How often the sandbox is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;
/// Failures of connections that wait to be told.
const FAILURES_MAX: usize = 16;
/// How long nobody is taken after there was no descriptor for it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every connection needs. Cheap to clone.
#[derive(Clone, Debug)]
struct Means {
    sandboxes: Sandboxes,
    id: Arc<str>,
    tasks: TaskTracker,
    stop: CancellationToken,
    room: Arc<Semaphore>,
    failures: mpsc::Sender<(NonZeroU16, CallError)>,
}

/// Forwards until the sandbox is over or this program is asked to end.
pub(super) async fn run(args: ForwardArgs, sandboxes: &Sandboxes, out: &mut Out) -> Ended {
    let mut signals = Signals::listen()?;
    let id = args.sandbox.id;
    check(sandboxes, &id).await?;
    let (failures, mut told) = mpsc::channel(FAILURES_MAX);
    let means = Means {
        sandboxes: sandboxes.clone(),
        id: id.as_str().into(),
        tasks: TaskTracker::new(),
        stop: CancellationToken::new(),
        room: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        failures,
    };
    let listeners = listen(args.address, &args.forwards).await?;
    for (listener, port) in listeners {
        let address = listener.local_addr().map_err(|error| not_opened(&error))?;
        match args.outcome.output {
            OutcomeFormat::Text => {
                out.line(format_args!("forwarding {address} to port {port} of {id}"));
            }
            // A line for each at once: this command only ends when it is told to.
            OutcomeFormat::Json => out.json_line(&json!({
                "sandbox": id,
                "port": port,
                "address": address.ip(),
                "localPort": address.port(),
            })),
        }
        let accepting = means.clone().accept(listener, port);
        means
            .tasks
            .spawn(means.stop.clone().run_until_cancelled_owned(accepting));
    }
    let ended = tokio::select! {
        over = until_over(sandboxes, &id) => Err(over),
        ending = signals.next() => Ok(ending.exit_code()),
        never = tell(&mut told, out) => never,
    };
    means.stop.cancel();
    means.tasks.close();
    means.tasks.wait().await;
    ended
}

/// Says at once what would else be said at the first connection.
async fn check(sandboxes: &Sandboxes, id: &str) -> Result<(), CliError> {
    let seen = sandboxes.get(id).await;
    let seen = seen.map_err(|error| failed("nothing is forwarded", &error))?;
    if is_over(seen.sandbox_status()) {
        let status = status_word(seen.sandbox_status());
        return Err(CliError::new(Exit::Refused, "nothing is forwarded")
            .because(format!("sandbox {id} is {status}"))
            .next("choose one that runs: cwic sandbox ls"));
    }
    Ok(())
}

async fn listen(
    at: IpAddr,
    forwards: &[Forward],
) -> Result<Vec<(TcpListener, NonZeroU16)>, CliError> {
    let mut listeners = Vec::new();
    for Forward { local, port } in forwards {
        let listener = TcpListener::bind((at, *local)).await;
        let listener = listener.map_err(|error| {
            CliError::new(Exit::Failure, "nothing is forwarded")
                .because(format!("port {local} at {at}: {error}"))
                .next(format!("choose another port, or any that is free: :{port}"))
        })?;
        listeners.push((listener, *port));
    }
    Ok(listeners)
}

fn not_opened(error: &std::io::Error) -> CliError {
    CliError::new(Exit::Failure, "nothing is forwarded")
        .because(error.to_string())
        .next("choose another port, or another address: --address")
}

/// Waits until the sandbox is over; a server that is away for a while is not.
async fn until_over(sandboxes: &Sandboxes, id: &str) -> CliError {
    loop {
        time::sleep(LOOK).await;
        match sandboxes.get(id).await {
            Ok(seen) if is_over(seen.sandbox_status()) => {
                let status = status_word(seen.sandbox_status());
                return CliError::new(Exit::Failure, "nothing is forwarded any more")
                    .because(format!("sandbox {id} is {status}"))
                    .next(format!("look how it ended: cwic sandbox describe {id}"));
            }
            Err(error @ CallError::Refused(_)) if is_final(&error) => {
                return failed("nothing is forwarded any more", &error);
            }
            Ok(_) | Err(_) => {}
        }
    }
}

fn is_final(error: &CallError) -> bool {
    matches!(error, CallError::Refused(refused) if refused.retry_after().is_none())
}

async fn tell(told: &mut mpsc::Receiver<(NonZeroU16, CallError)>, out: &mut Out) -> Ended {
    while let Some((port, error)) = told.recv().await {
        out.error(&failed(
            &format!("a connection to port {port} came to nothing"),
            &error,
        ));
    }
    std::future::pending().await
}

impl Means {
    async fn accept(self, listener: TcpListener, port: NonZeroU16) {
        loop {
            // The semaphore is never closed.
            let Ok(place) = self.room.clone().acquire_owned().await else {
                return;
            };
            let Ok((stream, _)) = listener.accept().await else {
                time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let serving = self.clone().serve_and_tell(stream, port, place);
            let stop = self.stop.clone();
            self.tasks.spawn(stop.run_until_cancelled_owned(serving));
        }
    }

    async fn serve_and_tell(
        self,
        stream: TcpStream,
        port: NonZeroU16,
        place: OwnedSemaphorePermit,
    ) {
        if let Err(error) = self.serve(stream, port).await {
            // Too many at once are not all worth telling.
            let _ = self.failures.try_send((port, error));
        }
        drop(place);
    }

    async fn serve(&self, stream: TcpStream, port: NonZeroU16) -> Result<(), CallError> {
        let _ = stream.set_nodelay(true);
        // Without a connection in there, the one out here is reset or closed.
        let Tunnel { input, output } = self.sandboxes.connect(&self.id, port).await?;
        let (reader, writer) = stream.into_split();
        tokio::select! {
            ended = to_client(output, writer) => ended,
            () = to_port(reader, input) => Ok(()),
        }
    }
}

/// Passes on what comes from the port, up to the end of both directions.
async fn to_client(mut output: TunnelOutput, mut writer: OwnedWriteHalf) -> Result<(), CallError> {
    loop {
        let written = match output.next().await? {
            TunnelEvent::Data(data) => writer.write_all(&data).await,
            TunnelEvent::End => writer.shutdown().await,
            TunnelEvent::Closed => return Ok(()),
        };
        if written.is_err() {
            // The client is gone, and with it the wish for a connection.
            return Ok(());
        }
    }
}

/// Passes on what the client sends; ends only with a client that is gone, as the
/// end of one direction is not that of the other.
async fn to_port(mut reader: OwnedReadHalf, input: TunnelInput) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(READ_BYTES);
        match reader.read_buf(&mut buffer).await {
            Ok(0) => break,
            Ok(_) => {
                if input.write(buffer.split().freeze()).await.is_err() {
                    break;
                }
            }
            Err(_) => return,
        }
    }
    drop(input);
    std::future::pending::<()>().await;
}
