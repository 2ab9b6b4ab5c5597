//! Archiving the file system of a sandbox that runs.
//!
//! Nothing in the sandbox runs while its file system is read, so that the archive
//! is of one moment. It is written to a file without a name first: a slow reader
//! holds up the sending, and not the sandbox. If the runner is killed meanwhile
//! the kernel frees the file, and the next run lets the sandbox go on.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, Write};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use palisade_backend::{Archive, AttachError, EXEC_QUEUE_MAX, View};
use palisade_image::directory::{self, PackError, Packed};
use palisade_model::id::SandboxId;
use palisade_model::snapshot::{Content, ContentDigest, FileSystem};
use rustix::fs::{CWD, Mode, OFlags};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::limits;
use super::made::mount_beside;
use crate::backend::LinuxBackend;
use crate::driver::chain;
use crate::sandbox::Sandbox;
use crate::shared::Shared;

/// An archive is sent in pieces of this size.
const CHUNK_BYTES: usize = 256 << 10;
/// What is written at once.
const BUFFER_BYTES: usize = 1 << 20;

impl LinuxBackend {
    pub(crate) async fn capture(&self, id: SandboxId) -> Result<Archive, AttachError> {
        let sandbox = self.shared.sandbox(id).ok_or(AttachError::NotFound)?;
        let Some(file_system) = sandbox.launch.file_system.clone() else {
            return Err(failed("the sandbox has no file system of its own"));
        };
        let cancel = CancellationToken::new();
        let abandoned = cancel.clone().drop_guard();
        // Whoever holds this decides whether the sandbox is frozen.
        let still = Arc::clone(&sandbox.stillness).lock_owned().await;
        match sandbox.view() {
            View::Running { .. } | View::Paused { .. } => {}
            View::Starting(_)
            | View::Stopping { .. }
            | View::Ended { .. }
            | View::Failed { .. } => return Err(AttachError::NotRunning),
        }
        let attempt = Attempt {
            shared: Arc::clone(&self.shared),
            sandbox: Arc::clone(&sandbox),
            file_system,
            cancel,
        };
        let mut wishes = sandbox.wishes();
        let done = self.shared.tasks.spawn_blocking(move || {
            let done = attempt.run();
            drop(still);
            done
        });
        let (file, content) = tokio::select! {
            biased;
            done = done => done.map_err(|_| AttachError::Lost)??,
            _ = wishes.wait_for(|wish| wish.stop_by.is_some() || wish.removals > 0) => {
                return Err(failed("the sandbox was asked to end"));
            }
        };
        drop(abandoned.disarm());
        let (sender, chunks) = mpsc::channel(EXEC_QUEUE_MAX);
        let sending = self.shared.attached.clone();
        sending.spawn_blocking(move || send(file, &sender));
        Ok(Archive { content, chunks })
    }
}

/// One archiving, on a thread that may block.
struct Attempt {
    shared: Arc<Shared>,
    sandbox: Arc<Sandbox>,
    file_system: FileSystem,
    cancel: CancellationToken,
}

impl Attempt {
    fn run(&self) -> Result<(File, Content), AttachError> {
        let id = self.sandbox.id();
        let was_frozen = self.shared.cgroups.is_frozen(id);
        if !was_frozen {
            self.freeze().map_err(|error| failed(&chain(&error)))?;
        }
        let outcome = self.archive();
        if !was_frozen {
            self.thaw();
        }
        let (file, content, packed) = outcome.map_err(|error| failed(&chain(&*error)))?;
        info!(
            sandbox.id = %id,
            bytes = content.bytes,
            files = packed.entries,
            left_out = packed.left_out,
            "file system archived"
        );
        Ok((file, content))
    }

    /// The next run has to know that nobody wished it frozen.
    fn freeze(&self) -> io::Result<()> {
        self.sandbox.state.mark_capture()?;
        let frozen = self.shared.cgroups.freeze(self.sandbox.id());
        if frozen.is_err() {
            self.thaw();
        }
        frozen
    }

    fn thaw(&self) {
        let id = self.sandbox.id();
        let thawed = self.shared.cgroups.thaw(id);
        if let Err(error) = thawed.and_then(|()| self.sandbox.state.unmark_capture()) {
            warn!(sandbox.id = %id, %error, "a sandbox could not go on after its file system was archived");
        }
    }

    fn archive(&self) -> Result<(File, Content, Packed), Box<dyn std::error::Error>> {
        let mount = mount_beside(&self.sandbox.state.file_system())?;
        let file = nameless(&self.shared.state.sandboxes())?;
        let mut to = Hashing {
            inner: BufWriter::with_capacity(BUFFER_BYTES, file),
            hasher: Sha256::new(),
            bytes: 0,
        };
        let limits = limits(self.file_system.bytes);
        let packed = directory::pack(mount.as_fd(), &mut to, &limits, &self.cancel);
        let packed = packed.map_err(|error: PackError| Box::new(error))?;
        let Hashing {
            inner,
            hasher,
            bytes,
        } = to;
        let mut file = inner.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        let content = Content {
            digest: ContentDigest::new(hasher.finalize().into()),
            bytes,
            file_bytes: packed.file_bytes,
        };
        Ok((file, content, packed))
    }
}

/// A file that goes when nobody has it open.
fn nameless(directory: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, directory, flags, Mode::RUSR | Mode::WUSR)?;
    Ok(file.into())
}

fn send(mut file: File, to: &mpsc::Sender<Result<Bytes, AttachError>>) {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let read = (&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut chunk);
        let (piece, is_last) = match read {
            Ok(0) => return,
            Ok(_) => (Ok(Bytes::from(chunk)), false),
            Err(error) => (Err(failed(&error.to_string())), true),
        };
        // Nobody wants it any more.
        if to.blocking_send(piece).is_err() || is_last {
            return;
        }
    }
}

fn failed(message: &str) -> AttachError {
    AttachError::FileSystem {
        message: message.to_owned(),
    }
}

/// Remembers the digest and the number of the bytes that go through.
struct Hashing<W> {
    inner: W,
    hasher: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
