//! Commands, logs, files and ports of simulated sandboxes.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use palisade_model::id::SandboxId;
use palisade_model::sandbox::Exit;
use palisade_model::secret::SecretValues;
use palisade_model::snapshot::{Content, ContentDigest};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::job::{self, Act};
use super::{Entry, Fake, World};
use crate::{
    Archive, Attach, AttachError, EXEC_QUEUE_MAX, Exec, ExecEvent, ExecInput, ExecSpec, FileError,
    LogChunk, LogQuery, Logs, Tunnel, TunnelEvent, Upload, View,
};

/// Output is handed on in pieces of this size, as a pipe would.
const CHUNK_BYTES: usize = 64 * 1024;

#[async_trait]
impl Attach for Fake {
    async fn exec(&self, id: SandboxId, spec: ExecSpec) -> Result<Exec, AttachError> {
        let mut environment = self.world.with(id, running_environment)??;
        environment.extend(spec.environment);
        self.world.update(id, |entry| entry.execs += 1);
        let (input, inputs) = mpsc::channel(EXEC_QUEUE_MAX);
        let (outputs, events) = mpsc::channel(EXEC_QUEUE_MAX);
        let process = Process {
            world: self.world.clone(),
            id,
            environment,
            inputs,
            outputs,
        };
        let acts = job::acts(&spec.command);
        self.world.tasks.spawn(process.run(acts));
        Ok(Exec { input, events })
    }

    async fn logs(&self, id: SandboxId, query: LogQuery) -> Result<Logs, AttachError> {
        let start = self.world.with(id, |entry| start_offset(entry, &query))??;
        let (sender, chunks) = mpsc::channel(EXEC_QUEUE_MAX);
        let world = self.world.clone();
        self.world
            .tasks
            .spawn(follow(world, id, start, query, sender));
        Ok(Logs { chunks })
    }

    async fn write_file(
        &self,
        id: SandboxId,
        path: &str,
        content: Upload,
    ) -> Result<(), AttachError> {
        self.world.with(id, running_environment)??;
        check_path(path)?;
        let is_directory = self.world.with(id, |entry| is_directory(entry, path))?;
        if is_directory {
            return Err(file_error(path, FileError::IsDirectory));
        }
        let content = content.collect().await?;
        self.world.uploads.pass(path).await;
        self.world.update(id, |entry| {
            entry.files.insert(path.to_owned(), content);
        });
        Ok(())
    }

    async fn read_file(
        &self,
        id: SandboxId,
        path: &str,
        bytes_max: u64,
    ) -> Result<Bytes, AttachError> {
        self.world.with(id, running_environment)??;
        check_path(path)?;
        self.world
            .with(id, |entry| match entry.files.get(path) {
                Some(content) if content.len() as u64 > bytes_max => Err(FileError::TooLarge {
                    size_bytes: content.len() as u64,
                    bytes_max,
                }),
                Some(content) => Ok(content.clone()),
                None if is_directory(entry, path) => Err(FileError::IsDirectory),
                None => Err(FileError::NotFound),
            })?
            .map_err(|error| file_error(path, error))
    }

    async fn connect(&self, id: SandboxId, port: NonZeroU16) -> Result<Tunnel, AttachError> {
        self.world.with(id, running_environment)??;
        let port = port.get();
        let listens = self.world.with(id, |entry| {
            job::acts(&entry.launch.workload.command).contains(&Act::Echo(port))
        })?;
        if !listens {
            return Err(AttachError::PortClosed { port });
        }
        let kill = self.world.with(id, |entry| entry.kill.clone())?;
        let (input, inputs) = mpsc::channel(EXEC_QUEUE_MAX);
        let (outputs, events) = mpsc::channel(EXEC_QUEUE_MAX);
        self.world.tasks.spawn(async move {
            tokio::select! {
                () = echo(inputs, &outputs) => {}
                () = outputs.closed() => {}
                () = kill.cancelled() => {
                    let _ = outputs.send(TunnelEvent::Failed(AttachError::Lost)).await;
                }
            }
        });
        Ok(Tunnel { input, events })
    }

    /// The contents of the files, one behind the other: as large as they are, which is
    /// all that those who keep it can tell.
    async fn save_file_system(&self, id: SandboxId) -> Result<Archive, AttachError> {
        self.world.with(id, running_environment)??;
        let content = self.world.with(id, |entry| {
            let file_system = entry.launch.file_system.as_ref()?;
            let below = format!("{}/", file_system.mount_path.as_str());
            let files = entry
                .files
                .iter()
                .filter(|(path, _)| path.starts_with(&below));
            Some(
                files
                    .flat_map(|(_, content)| content.to_vec())
                    .collect::<Vec<u8>>(),
            )
        })?;
        let content = content.ok_or_else(|| AttachError::FileSystem {
            message: "the sandbox has no file system of its own".to_owned(),
        })?;
        let bytes = content.len() as u64;
        let digest = ContentDigest::new(Sha256::digest(&content).into());
        let (sender, chunks) = mpsc::channel(EXEC_QUEUE_MAX);
        // The channel is new and empty, so that the one chunk always fits.
        let _ = sender.try_send(Ok(content.into()));
        let content = Content {
            digest,
            bytes,
            file_bytes: bytes,
        };
        Ok(Archive { content, chunks })
    }
}

async fn echo(mut inputs: mpsc::Receiver<Bytes>, outputs: &mpsc::Sender<TunnelEvent>) {
    while let Some(data) = inputs.recv().await {
        if outputs.send(TunnelEvent::Data(data)).await.is_err() {
            return;
        }
    }
    let _ = outputs.send(TunnelEvent::End).await;
}

impl World {
    fn with<T>(&self, id: SandboxId, look: impl FnOnce(&Entry) -> T) -> Result<T, AttachError> {
        self.lock().get(&id).map(look).ok_or(AttachError::NotFound)
    }
}

fn running_environment(entry: &Entry) -> Result<BTreeMap<String, String>, AttachError> {
    if entry.view.is_over() || matches!(entry.view, View::Paused { .. }) {
        return Err(AttachError::NotRunning);
    }
    let mut environment = entry.launch.workload.environment.clone();
    let secrets = entry.secrets.iter().flat_map(SecretValues::iter);
    environment.extend(
        secrets
            .filter_map(|(name, value)| Some((name.to_owned(), value.as_variable()?.to_owned()))),
    );
    Ok(environment)
}

fn is_directory(entry: &Entry, path: &str) -> bool {
    let inside = format!("{}/", path.trim_end_matches('/'));
    path == "/tmp" || entry.files.keys().any(|file| file.starts_with(&inside))
}

fn check_path(path: &str) -> Result<(), AttachError> {
    if path.starts_with('/') {
        Ok(())
    } else {
        Err(file_error(path, FileError::BadPath))
    }
}

fn file_error(path: &str, error: FileError) -> AttachError {
    AttachError::File {
        path: path.to_owned(),
        error,
    }
}

/// A simulated command in a sandbox.
struct Process {
    world: Arc<World>,
    id: SandboxId,
    environment: BTreeMap<String, String>,
    inputs: mpsc::Receiver<ExecInput>,
    outputs: mpsc::Sender<ExecEvent>,
}

impl Process {
    /// Ends when the acts are done, when nobody listens any more, or with the
    /// sandbox.
    async fn run(mut self, acts: Vec<Act>) {
        let (world, id) = (self.world.clone(), self.id);
        let Ok(kill) = world.with(id, |entry| entry.kill.clone()) else {
            return;
        };
        let outputs = self.outputs.clone();
        tokio::select! {
            exit = self.act(acts) => {
                if let Some(exit) = exit {
                    let _ = outputs.send(ExecEvent::Exit(exit)).await;
                }
            }
            () = outputs.closed() => {}
            () = kill.cancelled() => {
                let _ = outputs.send(ExecEvent::Exit(Exit(137))).await;
            }
        }
        world.update(id, |entry| entry.execs -= 1);
    }

    /// `None` when nobody listens any more.
    async fn act(&mut self, acts: Vec<Act>) -> Option<Exit> {
        self.outputs.send(ExecEvent::Started).await.ok()?;
        for act in acts {
            match act {
                Act::Out(text) => self.send(ExecEvent::Stdout(text.into())).await?,
                Act::Err(text) => self.send(ExecEvent::Stderr(text.into())).await?,
                Act::Bytes(count) => self.bytes(job::bounded(count)).await?,
                Act::Cat => self.cat().await?,
                Act::Environment => {
                    let lines = self.environment.iter();
                    let text: String = lines
                        .map(|(key, value)| format!("{key}={value}\n"))
                        .collect();
                    self.send(ExecEvent::Stdout(text.into())).await?;
                }
                Act::Echo(_) => {}
                Act::UntilStopped | Act::IgnoreStop => std::future::pending().await,
                Act::Exit(code) => return Some(Exit(code)),
            }
        }
        Some(Exit(0))
    }

    async fn send(&self, event: ExecEvent) -> Option<()> {
        self.world.thawed(self.id).await;
        self.outputs.send(event).await.ok()
    }

    async fn bytes(&self, count: usize) -> Option<()> {
        let chunk = Bytes::from(vec![b'x'; CHUNK_BYTES]);
        let mut left = count;
        while left > 0 {
            let size = left.min(CHUNK_BYTES);
            self.send(ExecEvent::Stdout(chunk.slice(..size))).await?;
            left -= size;
        }
        Some(())
    }

    async fn cat(&mut self) -> Option<()> {
        while let Some(input) = self.inputs.recv().await {
            match input {
                ExecInput::Stdin(data) => self.send(ExecEvent::Stdout(data)).await?,
                ExecInput::Close => break,
                ExecInput::Resize(_) | ExecInput::Signal(_) => {}
            }
        }
        Some(())
    }
}

fn start_offset(entry: &Entry, query: &LogQuery) -> Result<u64, AttachError> {
    let LogQuery {
        from_offset,
        tail_lines,
        since: _,
        follow: _,
    } = query;
    if let Some(offset) = from_offset
        && *offset > entry.log_len
    {
        return Err(AttachError::LogOffset { end: entry.log_len });
    }
    let by_lines = tail_lines.map_or(0, |count| tail_offset(entry, count));
    Ok(from_offset.unwrap_or(0).max(by_lines))
}

fn tail_offset(entry: &Entry, count: u32) -> u64 {
    let text: Vec<u8> = entry
        .log
        .iter()
        .flat_map(|chunk| chunk.data.to_vec())
        .collect();
    let mut starts: Vec<usize> = vec![0];
    starts.extend(
        text.iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
            .map(|(at, _)| at + 1),
    );
    if starts.last() == Some(&text.len()) {
        starts.pop();
    }
    let skipped = starts.len().saturating_sub(count as usize);
    starts
        .get(skipped)
        .map_or(entry.log_len, |start| *start as u64)
}

async fn follow(
    world: Arc<World>,
    id: SandboxId,
    start: u64,
    query: LogQuery,
    sender: mpsc::Sender<Result<LogChunk, AttachError>>,
) {
    let mut hints = world.hint(id).subscribe();
    let mut offset = start;
    loop {
        hints.mark_unchanged();
        let Ok((chunks, over)) =
            world.with(id, |entry| (behind(entry, offset), entry.view.is_over()))
        else {
            return;
        };
        for chunk in chunks {
            offset = chunk.offset + chunk.data.len() as u64;
            if query.since.is_some_and(|since| chunk.at < since) {
                continue;
            }
            if sender.send(Ok(chunk)).await.is_err() {
                return;
            }
        }
        if over || !query.follow {
            return;
        }
        tokio::select! {
            changed = hints.changed() => if changed.is_err() { return },
            () = sender.closed() => return,
        }
    }
}

/// The chunks from an offset on; the first may be cut.
fn behind(entry: &Entry, offset: u64) -> Vec<LogChunk> {
    let later = |chunk: &&LogChunk| chunk.offset + chunk.data.len() as u64 > offset;
    let cut = |chunk: &LogChunk| {
        let skip = offset.saturating_sub(chunk.offset);
        LogChunk {
            offset: chunk.offset + skip,
            at: chunk.at,
            data: chunk.data.slice(usize::try_from(skip).unwrap_or(0)..),
        }
    };
    entry.log.iter().filter(later).map(cut).collect()
}
