//! What process 1 is given when it is started.
//!
//! Five descriptors with fixed numbers, as `palisade-init-protocol` says. The
//! files stay when the sandbox is gone: that is how the host learns what
//! happened while it was not there.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::io::{Seek as _, Write as _};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use palisade_init_protocol::config::Config;
use palisade_init_protocol::log::Reader;
use palisade_init_protocol::status::Status;
use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, open};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};

/// The number of the first descriptor.
const FIRST: i32 = 3;

/// How many connections wait to be taken.
const BACKLOG: i32 = 4096;

/// Where the files of one sandbox are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The socket of process 1.
    pub socket: PathBuf,
    /// What the main process wrote.
    pub log_data: PathBuf,
    /// Where each part of that is.
    pub log_index: PathBuf,
    /// How it went.
    pub status: PathBuf,
}

/// The descriptors of process 1, in the order of their numbers.
#[derive(Debug)]
pub struct Handover {
    descriptors: [OwnedFd; 5],
}

impl Paths {
    /// All files in one directory that the sandbox does not see.
    pub fn in_directory(directory: &Path) -> Self {
        Self {
            socket: directory.join("init.sock"),
            log_data: directory.join("log"),
            log_index: directory.join("log.index"),
            status: directory.join("status"),
        }
    }

    /// Reads the log, whether the sandbox runs or not. Blocks on the disk.
    pub fn open_log(&self) -> io::Result<Reader> {
        Ok(Reader::new(
            File::open(&self.log_data)?,
            File::open(&self.log_index)?,
        ))
    }

    /// Reads how it went; nothing is known of what was never started. Blocks on
    /// the disk.
    pub fn read_status(&self) -> io::Result<Status> {
        match File::open(&self.status) {
            Ok(file) => Status::read(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Status::default()),
            Err(error) => Err(error),
        }
    }
}

impl Handover {
    /// How many descriptors there are, from the third on; what an OCI runtime is
    /// told to pass on.
    pub const COUNT: u32 = 5;

    /// Makes everything anew: what an earlier attempt left is done away with.
    pub fn open(paths: &Paths, config: Config) -> io::Result<Self> {
        for path in [
            &paths.socket,
            &paths.log_data,
            &paths.log_index,
            &paths.status,
        ] {
            remove(path)?;
        }
        let listener = listen_at(&paths.socket)?;
        let mut memory = File::from(memfd_create("palisade-config", MemfdFlags::CLOEXEC)?);
        memory.write_all(&config.encode())?;
        memory.rewind()?;
        Ok(Self {
            descriptors: [
                listener,
                append(&paths.log_data)?,
                append(&paths.log_index)?,
                append(&paths.status)?,
                memory.into(),
            ],
        })
    }

    /// The descriptors, in the order of their numbers.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 5] {
        self.descriptors.each_ref().map(OwnedFd::as_fd)
    }

    /// Has a program, or what it starts, inherit the descriptors.
    #[expect(
        unsafe_code,
        reason = "descriptors get their numbers between fork and exec"
    )]
    pub fn give_to(self, command: &mut Command) -> io::Result<()> {
        // Out of the way of the numbers that they are to have.
        let above = |descriptor: &OwnedFd| {
            rustix::io::fcntl_dupfd_cloexec(descriptor, FIRST + 16).map_err(io::Error::from)
        };
        let descriptors: Vec<OwnedFd> = self
            .descriptors
            .iter()
            .map(above)
            .collect::<io::Result<_>>()?;
        let give = move || {
            for (number, descriptor) in (FIRST..).zip(&descriptors) {
                debug_assert!(descriptor.as_raw_fd() > number, "it was moved above");
                // SAFETY: after the fork nothing else owns this number, or it is
                // replaced for this process only; it is never closed from here.
                let target = unsafe { OwnedFd::from_raw_fd(number) };
                let mut target = ManuallyDrop::new(target);
                rustix::io::dup2(descriptor, &mut target)?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec only `dup2` is called, which is
        // async-signal-safe, and nothing is allocated.
        unsafe { command.pre_exec(give) };
        Ok(())
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn append(path: &Path) -> io::Result<OwnedFd> {
    let file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    Ok(file.into())
}

fn listen_at(path: &Path) -> io::Result<OwnedFd> {
    let (directory, name) = directory_and_name(path)?;
    let address = SocketAddrUnix::new(short_path(&directory, name))?;
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    bind(&socket, &address)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// A directory and a name in it. An address of a socket is short; a path is not.
pub(super) fn directory_and_name(path: &Path) -> io::Result<(OwnedFd, &OsStr)> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok((open(directory, flags, Mode::empty())?, name))
}

/// A short path of a name in a directory, good for as long as that is open.
pub(super) fn short_path(directory: &OwnedFd, name: &OsStr) -> PathBuf {
    Path::new("/proc/self/fd")
        .join(directory.as_raw_fd().to_string())
        .join(name)
}
