//! The descriptors that process 1 is started with, as its protocol says.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use palisade_init_protocol::config::Config;
use rustix::fs::{MemfdFlags, SeekFrom, memfd_create};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::{Passed, StartError, step};
use crate::state::SandboxState;

/// How many connections may wait for process 1; the kernel has a bound as well.
const BACKLOG: i32 = 4_096;

/// The descriptors, in order.
#[derive(Debug)]
pub(super) struct Descriptors {
    socket: OwnedFd,
    log: File,
    index: File,
    status: File,
    config: File,
}

impl Descriptors {
    pub(super) fn as_fds(&self) -> Passed<'_> {
        [
            self.socket.as_fd(),
            self.log.as_fd(),
            self.index.as_fd(),
            self.status.as_fd(),
            self.config.as_fd(),
        ]
    }
}

/// Opens all of them.
pub(super) fn open(state: &SandboxState, config: &Config) -> Result<Descriptors, StartError> {
    let file = |path: &Path| append(path).map_err(step("open the log"));
    Ok(Descriptors {
        socket: listen(&state.socket()).map_err(step("listen for process 1"))?,
        log: file(&state.log())?,
        index: file(&state.log_index())?,
        status: file(&state.status())?,
        config: memory(&config.clone().encode()).map_err(step("pass the configuration"))?,
    })
}

fn append(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.append(true).create(true).mode(0o600).open(path)
}

fn listen(path: &Path) -> io::Result<OwnedFd> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// A file that is in no directory, to be read from its start.
fn memory(content: &[u8]) -> io::Result<File> {
    use std::io::Write as _;
    let mut file = File::from(memfd_create("config", MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    rustix::fs::seek(&file, SeekFrom::Start(0))?;
    Ok(file)
}
