//! Work on running sandboxes: commands, logs, files and tunnels.
//!
//! The gateway opens a piece of work over the life line; the runner starts it
//! and dials a stream for it at the same time. Each direction is bounded, so
//! that a slow end slows the other down and nothing is lost. When either side
//! of the stream is gone, the work is dropped, which kills a command. A runner
//! that ends tells so on every stream before it goes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use palisade_backend::{
    Archive, Attach, AttachError, EXEC_QUEUE_MAX, Exec, ExecEvent, ExecInput, FileError, Logs,
    Tunnel, Upload,
};
use palisade_model::id::SandboxId;
use palisade_model::sandbox::Exit;
use palisade_wire::proto::runner_v1 as pb;
use palisade_wire::proto::runner_v1::attach_down::Input;
use palisade_wire::proto::runner_v1::attach_up::Event;
use palisade_wire::proto::runner_v1::open::Work;
use palisade_wire::runner::{
    archive_head_message, connect_port, exec_spec, failure, log_chunk_message, log_query, terminal,
};
use tokio::sync::{Semaphore, mpsc};
use tokio::time;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Streaming;
use tracing::debug;

use crate::connection::Client;

mod tunnel;

/// Pieces of work at once; more wait for none and are refused.
const WORK_MAX: usize = 20_000;
/// The largest file that one call may carry.
const FILE_BYTES_MAX: u64 = 99 * 1024 * 1024;
/// Files travel in pieces of this size.
const FILE_CHUNK_BYTES: usize = 1024 * 1024;
/// How long the gateway may take to take a last word when the runner ends.
const FAREWELL_LIMIT: Duration = Duration::from_secs(1);
/// How long the gateway may take to end a stream that is done.
const FINISH_LIMIT: Duration = Duration::from_secs(30);

/// Does pieces of work, each in a task of its own.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    attach: Arc<dyn Attach>,
    tasks: TaskTracker,
    stop: CancellationToken,
    room: Arc<Semaphore>,
    open: Arc<Mutex<HashMap<String, CancellationToken>>>,
}

/// Work that can be abandoned by its name; forgotten when dropped.
struct Abandonable {
    worker: Worker,
    name: String,
    abandoned: CancellationToken,
}

/// The gateway's end of a stream is gone.
struct Gone;

/// What the gateway sends and receives of one piece of work.
struct Stream {
    up: mpsc::Sender<pb::AttachUp>,
    down: Streaming<pb::AttachDown>,
}

impl Worker {
    pub(crate) fn new(
        attach: Arc<dyn Attach>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self {
            attach,
            tasks,
            stop,
            room: Arc::new(Semaphore::new(WORK_MAX)),
            open: Arc::default(),
        }
    }

    /// Starts a piece of work; its outcome goes over its own stream.
    pub(crate) fn open(&self, open: pb::Open, client: Client) {
        let named = Abandonable::new(self, &open.attach_id);
        self.tasks.spawn(async move {
            let worker = &named.worker;
            tokio::select! {
                biased;
                () = named.abandoned.cancelled() => {}
                () = worker.work(open, client) => {}
            }
        });
    }

    /// Ends a piece of work that nobody wants any more; one that has ended
    /// already is not known here.
    pub(crate) fn abandon(&self, name: &str) {
        if let Some(abandoned) = self.lock().get(name) {
            abandoned.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(&self, open: pb::Open, mut client: Client) {
        let pb::Open {
            attach_id,
            sandbox_id,
            work,
        } = open;
        let (up, messages) = mpsc::channel(EXEC_QUEUE_MAX);
        let first = event(Event::AttachId(attach_id));
        // The channel is new and empty, so that the first message always fits.
        let _ = up.try_send(first);
        let room = self.room.try_acquire();
        let started = async {
            match &room {
                Ok(_) => self.start(&sandbox_id, work).await,
                Err(_) => Err(AttachError::Busy { limit: WORK_MAX }),
            }
        };
        let dialled = client.attach(ReceiverStream::new(messages));
        let begun = async { tokio::join!(started, dialled) };
        let Some((started, dialled)) = self.stop.run_until_cancelled(begun).await else {
            return;
        };
        let down = match dialled {
            Ok(response) => response.into_inner(),
            Err(status) => {
                debug!(code = %status.code(), "the gateway did not take the work's stream");
                return;
            }
        };
        let mut stream = Stream { up, down };
        // What is dropped half way ends here with the runner; its client is told.
        let followed = match started {
            Ok(started) => {
                let follow = self.follow(started, &mut stream);
                self.stop.run_until_cancelled(follow).await
            }
            Err(error) => Some(stream.fail(&error).await),
        };
        let done = match followed {
            Some(done) => done,
            None => stream.fail_soon(&AttachError::Draining).await,
        };
        if done.is_ok() {
            stream.finish().await;
        } else {
            debug!("the gateway left before the work was done");
        }
    }

    async fn start(&self, id: &str, work: Option<Work>) -> Result<Started, AttachError> {
        let id: SandboxId = id.parse().map_err(|_| AttachError::NotFound)?;
        let broken = |_| AttachError::ExecFailed {
            message: "the command is empty".to_owned(),
        };
        match work.ok_or(AttachError::Lost)? {
            Work::Exec(exec) => {
                let spec = exec_spec(exec).map_err(broken)?;
                Ok(Started::Exec(self.attach.exec(id, spec).await?))
            }
            Work::ReadLogs(query) => {
                Ok(Started::Logs(self.attach.logs(id, log_query(query)).await?))
            }
            Work::ReadFile(read) => {
                let bytes_max = read.bytes_max.min(FILE_BYTES_MAX);
                let content = self.attach.read_file(id, &read.path, bytes_max).await?;
                Ok(Started::Read(content))
            }
            Work::WriteFile(write) => Ok(Started::Write(id, write)),
            Work::SaveFileSystem(pb::SaveFileSystem {}) => {
                Ok(Started::Save(self.attach.save_file_system(id).await?))
            }
            Work::Connect(connect) => {
                let port = connect_port(connect).map_err(|_| AttachError::Lost)?;
                Ok(Started::Tunnel(self.attach.connect(id, port).await?))
            }
        }
    }

    async fn follow(&self, started: Started, stream: &mut Stream) -> Result<(), Gone> {
        match started {
            Started::Exec(exec) => stream.exec(exec).await,
            Started::Logs(logs) => stream.logs(logs).await,
            Started::Read(content) => stream.read(content).await,
            Started::Write(id, write) => self.write(id, write, stream).await,
            Started::Tunnel(tunnel) => stream.tunnel(tunnel).await,
            Started::Save(archive) => stream.archive(archive).await,
        }
    }

    async fn write(
        &self,
        id: SandboxId,
        write: pb::WriteFile,
        stream: &mut Stream,
    ) -> Result<(), Gone> {
        let pb::WriteFile { path, size_bytes } = write;
        if size_bytes > FILE_BYTES_MAX {
            let bytes_max = FILE_BYTES_MAX;
            let error = FileError::TooLarge {
                size_bytes,
                bytes_max,
            };
            return stream.fail(&AttachError::File { path, error }).await;
        }
        let (pieces, content) = Upload::coming(size_bytes);
        let outcome = tokio::select! {
            biased;
            outcome = self.attach.write_file(id, &path, content) => outcome,
            gone = feed_file(&mut stream.down, pieces) => return Err(gone),
        };
        match outcome {
            Ok(()) => stream.send(Event::Done(pb::Done {})).await,
            Err(error) => stream.fail(&error).await,
        }
    }
}

impl Abandonable {
    fn new(worker: &Worker, name: &str) -> Self {
        let (worker, name) = (worker.clone(), name.to_owned());
        let abandoned = CancellationToken::new();
        worker.lock().insert(name.clone(), abandoned.clone());
        Self {
            worker,
            name,
            abandoned,
        }
    }
}

impl Drop for Abandonable {
    fn drop(&mut self) {
        self.worker.lock().remove(&self.name);
    }
}

/// Work that has begun.
enum Started {
    Exec(Exec),
    Logs(Logs),
    Read(Bytes),
    Write(SandboxId, pb::WriteFile),
    Tunnel(Tunnel),
    Save(Archive),
}

impl Stream {
    async fn send(&self, sent: Event) -> Result<(), Gone> {
        self.up.send(event(sent)).await.map_err(|_| Gone)
    }

    async fn fail(&self, error: &AttachError) -> Result<(), Gone> {
        self.send(Event::Failure(failure(error))).await
    }

    /// Tells a failure to a gateway that may not be reading.
    async fn fail_soon(&self, error: &AttachError) -> Result<(), Gone> {
        let told = time::timeout(FAREWELL_LIMIT, self.fail(error)).await;
        told.unwrap_or(Err(Gone))
    }

    /// Ends the stream once everything that was sent has arrived.
    ///
    /// Dropping it earlier would reset it, and the last messages with it.
    async fn finish(self) {
        let Self { up, mut down } = self;
        drop(up);
        let ended = time::timeout(FINISH_LIMIT, async {
            while let Ok(Some(_)) = down.message().await {}
        });
        if ended.await.is_err() {
            debug!("the gateway did not end the stream of the work in time");
        }
    }

    /// Both directions at once: the output is sent while input is awaited.
    async fn exec(&mut self, exec: Exec) -> Result<(), Gone> {
        let Self { up, down } = self;
        let Exec { input, events } = exec;
        // Input that is lost here was meant for a command that has ended. Input
        // that waits for the command hides what the gateway says next; that it
        // is gone is then told by the transport, or by an abandonment.
        tokio::select! {
            done = pass_on(events, up) => done,
            gone = feed(down, input) => Err(gone),
            () = up.closed() => Err(Gone),
        }
    }

    /// Both directions at once, until both have ended.
    async fn tunnel(&mut self, tunnel: Tunnel) -> Result<(), Gone> {
        self.send(Event::Started(pb::Started {})).await?;
        let Self { up, down } = self;
        let Tunnel { input, events } = tunnel;
        tokio::select! {
            done = tunnel::from_port(events, up) => done,
            gone = tunnel::to_port(down, input) => Err(gone),
            () = up.closed() => Err(Gone),
        }
    }

    async fn logs(&mut self, mut logs: Logs) -> Result<(), Gone> {
        // A reader learns at once that there is a log, even an empty one.
        self.send(Event::Started(pb::Started {})).await?;
        loop {
            tokio::select! {
                chunk = logs.chunks.recv() => match chunk {
                    Some(Ok(chunk)) => self.send(Event::Log(log_chunk_message(chunk))).await?,
                    Some(Err(error)) => return self.fail(&error).await,
                    None => return self.send(Event::Done(pb::Done {})).await,
                },
                // A gateway has nothing to say here but that it is enough.
                _ = self.down.message() => return Err(Gone),
            }
        }
    }

    async fn archive(&mut self, archive: Archive) -> Result<(), Gone> {
        let Archive {
            content,
            mut chunks,
        } = archive;
        self.send(Event::ArchiveHead(archive_head_message(&content)))
            .await?;
        loop {
            tokio::select! {
                chunk = chunks.recv() => match chunk {
                    Some(Ok(chunk)) => self.send(Event::FileData(chunk)).await?,
                    Some(Err(error)) => return self.fail(&error).await,
                    None => return self.send(Event::Done(pb::Done {})).await,
                },
                // A gateway has nothing to say here but that it is enough.
                _ = self.down.message() => return Err(Gone),
            }
        }
    }

    async fn read(&self, content: Bytes) -> Result<(), Gone> {
        let mut rest = content;
        while !rest.is_empty() {
            let chunk = rest.split_to(rest.len().min(FILE_CHUNK_BYTES));
            self.send(Event::FileData(chunk)).await?;
        }
        self.send(Event::Done(pb::Done {})).await
    }
}

/// Passes output on, up to and including the end of the command.
async fn pass_on(
    mut events: mpsc::Receiver<ExecEvent>,
    up: &mpsc::Sender<pb::AttachUp>,
) -> Result<(), Gone> {
    while let Some(event) = events.recv().await {
        let (sent, is_last) = exec_event(event);
        up.send(sent).await.map_err(|_| Gone)?;
        if is_last {
            break;
        }
    }
    Ok(())
}

/// Passes input on until the gateway is gone; pending for ever once the end of
/// input was passed on and the gateway stays.
async fn feed(down: &mut Streaming<pb::AttachDown>, input: mpsc::Sender<ExecInput>) -> Gone {
    loop {
        let Ok(Some(message)) = down.message().await else {
            return Gone;
        };
        let passed = match message.input {
            Some(Input::Stdin(data)) => ExecInput::Stdin(data),
            Some(Input::StdinEnd(pb::StdinEnd {})) => ExecInput::Close,
            Some(Input::Resize(size)) => ExecInput::Resize(terminal(size)),
            Some(Input::Signal(number)) => ExecInput::Signal(number),
            Some(
                Input::Cancel(pb::Cancel {})
                | Input::FileData(_)
                | Input::TunnelData(_)
                | Input::TunnelEnd(_),
            )
            | None => return Gone,
        };
        // A command that has ended takes no input; its exit is on the way.
        let _ = input.send(passed).await;
    }
}

/// Passes the pieces of a file on as they come; ends only when the gateway is gone.
async fn feed_file(down: &mut Streaming<pb::AttachDown>, pieces: mpsc::Sender<Bytes>) -> Gone {
    loop {
        let Ok(Some(pb::AttachDown {
            input: Some(Input::FileData(piece)),
        })) = down.message().await
        else {
            return Gone;
        };
        // Nobody takes the rest of what has failed; why is told next.
        let _ = pieces.send(piece).await;
    }
}

fn exec_event(happened: ExecEvent) -> (pb::AttachUp, bool) {
    match happened {
        ExecEvent::Started => (event(Event::Started(pb::Started {})), false),
        ExecEvent::Stdout(data) => (event(Event::Stdout(data)), false),
        ExecEvent::Stderr(data) => (event(Event::Stderr(data)), false),
        ExecEvent::Exit(Exit(code)) => (event(Event::ExitCode(code)), true),
        ExecEvent::Failed(error) => (event(Event::Failure(failure(&error))), true),
    }
}

fn event(event: Event) -> pb::AttachUp {
    pb::AttachUp { event: Some(event) }
}
