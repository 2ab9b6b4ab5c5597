//! Files of the sandbox: written for the host, read for the host.
//!
//! The child that serves the host has the connection for its input, and speaks
//! on it itself. Nobody waits for it: if the host says nothing for a while, it
//! gives up. Invariant: a file is replaced as a whole or not at all.

use std::fs::File;
use std::io;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use palisade_init_protocol::answer::{Answer, FileFailure};
use palisade_init_protocol::frame::{Assembler, whole};
use palisade_init_protocol::request::Input;
use palisade_init_protocol::text::{Data, Reason};
use rustix::io::Errno;

use super::become_user::become_user;
use super::user::{User, user_in};

mod content;
mod replacement;

use content::Content;
use replacement::Replacement;

/// How long the host may say nothing, or not listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much of a file is sent, or taken, at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// Takes a file from the host: user, path, size, and the mode or nothing.
pub(crate) fn write(arguments: &[String]) -> Option<ExitCode> {
    let [user, path, size, mode] = arguments else {
        return None;
    };
    let size = size.parse().ok()?;
    let mode = mode.parse().ok();
    serve(user, |host| match take(host, path, size, mode) {
        Ok(()) => Some(Answer::Done),
        Err(Trouble::File(failure)) => Some(Answer::FileFailed(failure)),
        Err(Trouble::Refused(reason)) => Some(Answer::Refused(reason)),
        Err(Trouble::Gone) => None,
    })
}

/// Gives a file to the host: user, path, and how many bytes it may have.
pub(crate) fn read(arguments: &[String]) -> Option<ExitCode> {
    let [user, path, bytes_max] = arguments else {
        return None;
    };
    let bytes_max = bytes_max.parse().ok()?;
    serve(user, |host| match give(host, path, bytes_max) {
        Ok(()) => Some(Answer::Done),
        Err(Trouble::File(failure)) => Some(Answer::FileFailed(failure)),
        Err(Trouble::Refused(reason)) => Some(Answer::Refused(reason)),
        Err(Trouble::Gone) => None,
    })
}

/// What a job ends with, if not well.
enum Trouble {
    /// The file is not as it would have to be.
    File(FileFailure),
    /// The host talks nonsense.
    Refused(Reason),
    /// Nobody is there, or nobody listens.
    Gone,
}

impl From<FileFailure> for Trouble {
    fn from(failure: FileFailure) -> Self {
        Self::File(failure)
    }
}

/// Becomes the user, does a job, and tells how it went.
fn serve(user: &str, job: impl FnOnce(&mut UnixStream) -> Option<Answer>) -> Option<ExitCode> {
    // The others in the sandbox are not to talk on this connection.
    let hidden = rustix::process::DumpableBehavior::NotDumpable;
    rustix::process::set_dumpable_behavior(hidden).ok()?;
    let input: OwnedFd = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 0).ok()?;
    let mut host = UnixStream::from(input);
    host.set_nonblocking(false).ok()?;
    host.set_read_timeout(Some(PATIENCE)).ok()?;
    host.set_write_timeout(Some(PATIENCE)).ok()?;
    let answer = match prepare(user) {
        Ok(()) => job(&mut host),
        Err(reason) => Some(Answer::FileFailed(FileFailure::Io(reason))),
    };
    if let Some(answer) = answer {
        host.write_all(&whole(answer.encode())).ok()?;
    }
    Some(ExitCode::SUCCESS)
}

fn prepare(user: &str) -> Result<(), Reason> {
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let Some(user) = user_in(user) else {
        return Ok(());
    };
    let user = User::find(user).map_err(|error| Reason::new(error.to_string()))?;
    become_user(&user)
        .map_err(|error| Reason::new(format!("cannot become user {}: {error}", user.uid)))
}

fn take(host: &mut UnixStream, path: &str, size: u64, mode: Option<u32>) -> Result<(), Trouble> {
    let mut file = Replacement::begin(path, mode)?;
    let mut frames = Assembler::default();
    let mut left = size;
    while left > 0 {
        let data = next_data(host, &mut frames)?;
        left = left
            .checked_sub(data.len() as u64)
            .ok_or_else(|| Trouble::Refused(Reason::new("more content than was announced")))?;
        file.write(&data)?;
    }
    Ok(file.finish()?)
}

fn next_data(host: &mut UnixStream, frames: &mut Assembler) -> Result<Bytes, Trouble> {
    match Input::decode(next_frame(host, frames)?) {
        Ok(Input::Data(data)) => Ok(data.into_bytes()),
        Ok(Input::Close | Input::Resize(_) | Input::Signal(_)) => {
            Err(Trouble::Refused(Reason::new("content was expected")))
        }
        Err(error) => Err(Trouble::Refused(Reason::new(error.to_string()))),
    }
}

fn next_frame(host: &mut UnixStream, frames: &mut Assembler) -> Result<Bytes, Trouble> {
    loop {
        let mut buffer = Vec::new();
        let (into, missing) = match frames.rest() {
            Some(rest) => rest,
            None => (&mut buffer, frames.missing()),
        };
        let read = host.take(missing as u64).read_to_end(into);
        if read.map_err(|_| Trouble::Gone)? < missing {
            return Err(Trouble::Gone);
        }
        let body = frames.push(&mut buffer.as_slice());
        let body = body.map_err(|error| Trouble::Refused(Reason::new(error.to_string())))?;
        if let Some(body) = body {
            return Ok(body);
        }
    }
}

fn give(host: &mut UnixStream, path: &str, bytes_max: u64) -> Result<(), Trouble> {
    let mut content = Content::open(path, bytes_max)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = content.read(&mut buffer)?;
        let mut bytes = Bytes::copy_from_slice(&buffer[..read]);
        let Some(data) = Data::split_from(&mut bytes) else {
            return Ok(());
        };
        let (head, content) = Answer::FileContent(data).encode().into_inner();
        let sent = host
            .write_all(&head)
            .and_then(|()| host.write_all(&content));
        sent.map_err(|_| Trouble::Gone)?;
    }
}

/// What the kernel said, as the host is told.
fn failure(error: &io::Error) -> FileFailure {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) => FileFailure::NotFound,
        Some(Errno::ISDIR) => FileFailure::IsDirectory,
        // The last two are said of files that are mounted read-only.
        Some(Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::BUSY) => {
            FileFailure::PermissionDenied
        }
        Some(Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::INVAL) => {
            FileFailure::BadPath
        }
        Some(_) | None => FileFailure::Io(Reason::new(error.to_string())),
    }
}

/// A file that is one, and nothing that acts when it is opened.
fn only_regular(file: &File) -> Result<u64, FileFailure> {
    let metadata = file.metadata().map_err(|error| failure(&error))?;
    if metadata.is_dir() {
        return Err(FileFailure::IsDirectory);
    }
    if !metadata.is_file() {
        return Err(FileFailure::BadPath);
    }
    Ok(metadata.len())
}
