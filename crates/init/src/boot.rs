//! From the first instruction to the loop: descriptors, configuration.
//!
//! Nothing of the sandbox runs yet, so that all of this may block. Whatever goes
//! wrong from the moment on that the status file is there is written to it.

use std::fs::File;
use std::io;
use std::io::{Read as _, Write as _};
use std::os::fd::{OwnedFd, RawFd};
use std::process::ExitCode;

use bytes::Bytes;
use palisade_init_protocol::answer::{ExitRecord, Outcome};
use palisade_init_protocol::config::{CONFIG_BYTES_MAX, Config};
use palisade_init_protocol::status;
use palisade_init_protocol::text::Reason;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getpid, getrlimit, set_dumpable_behavior, setrlimit,
};

use crate::clock::unix_micros;
use crate::command::NOT_EXECUTABLE;
use crate::handover;
use crate::log::Log;
use crate::poller::Poller;
use crate::server::{Door, Server};
use crate::settings::Settings;

const LISTENER: RawFd = 3;
const LOG_DATA: RawFd = 4;
const LOG_INDEX: RawFd = 5;
const STATUS: RawFd = 6;
const CONFIG: RawFd = 7;

/// How process 1 ends if it could not do what it is for, as `docker run`.
const BROKEN: u8 = 125;

/// The status file, which only ever grows.
#[derive(Debug)]
pub(crate) struct StatusFile(File);

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
enum BootError {
    #[error("palisade-init is process 1 of a sandbox, and nothing else")]
    NotProcessOne,
    #[error("what is described in palisade-init-protocol was not handed over")]
    Handover(#[source] io::Error),
    #[error("{0}")]
    NotStarted(Reason),
}

/// What was handed over.
struct Handover {
    listener: OwnedFd,
    data: OwnedFd,
    index: OwnedFd,
    status: StatusFile,
    config: File,
}

impl StatusFile {
    /// Adds a record that outlives the machine.
    pub(crate) fn append(&mut self, record: &Bytes) {
        // A host that cannot be told here sees that process 1 has ended.
        let _ = self.0.write_all(record);
        let _ = self.0.sync_data();
    }
}

/// Is process 1, until the main process has ended.
pub(crate) fn run() -> ExitCode {
    match boot() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(BROKEN)
        }
    }
}

fn boot() -> Result<u8, BootError> {
    if !getpid().is_init() {
        return Err(BootError::NotProcessOne);
    }
    let mut handover = take().map_err(BootError::Handover)?;
    match serve(
        &mut handover.status,
        (handover.listener, handover.data, handover.index),
        handover.config,
    ) {
        Ok(code) => Ok(code),
        Err(reason) => {
            let outcome = Outcome::NotStarted {
                code: NOT_EXECUTABLE,
                reason: reason.clone(),
            };
            let at = unix_micros();
            let record = ExitRecord {
                outcome,
                at,
                asked: false,
            };
            handover.status.append(&status::exited(record));
            Err(BootError::NotStarted(reason))
        }
    }
}

fn take() -> io::Result<Handover> {
    // Before anything else: nobody is to look at, or to stop, process 1.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    handover::close_above(CONFIG)?;
    let [listener, data, index, status, config] =
        handover::take([LISTENER, LOG_DATA, LOG_INDEX, STATUS, CONFIG])?;
    if !rustix::net::sockopt::socket_acceptconn(&listener)? {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    rustix::io::ioctl_fionbio(&listener, true)?;
    Ok(Handover {
        listener,
        data,
        index,
        status: StatusFile(status.into()),
        config: config.into(),
    })
}

fn serve(
    status: &mut StatusFile,
    (listener, data, index): (OwnedFd, OwnedFd, OwnedFd),
    config: File,
) -> Result<u8, Reason> {
    let config = read_config(config)?;
    let log = Log::new(data, index, &config.limits)
        .map_err(|error| Reason::new(format!("the log cannot be written: {error}")))?;
    forbid_cores();
    let (settings, main) = Settings::new(config, raise_descriptor_limit());
    let server = server(settings, listener)
        .map_err(|error| Reason::new(format!("process 1 cannot start: {error}")))?;
    server
        .run(&main, log, status)
        .map_err(|error| Reason::new(format!("process 1 cannot go on: {error}")))
}

fn server(settings: Settings, listener: OwnedFd) -> io::Result<Server> {
    let poller = Poller::new()?;
    let door = Door::local(listener, &poller)?;
    Server::new(settings, poller, door, 0)
}

fn read_config(file: File) -> Result<Config, Reason> {
    let mut bytes = Vec::new();
    file.take(CONFIG_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Reason::new(format!("the configuration cannot be read: {error}")))?;
    if bytes.len() > CONFIG_BYTES_MAX {
        return Err(Reason::new("the configuration is too long"));
    }
    Config::decode(Bytes::from(bytes)).map_err(|error| Reason::new(error.to_string()))
}

/// Nothing in the sandbox leaves a core behind, and none is fed to a program of
/// the host. Not every OCI runtime may set this in a user namespace of others.
fn forbid_cores() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // Lowering one's own limit is always allowed.
    let _ = setrlimit(Resource::Core, none);
}

/// Takes as many descriptors as are allowed, and returns how many there were.
pub(crate) fn raise_descriptor_limit() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    // If it stays as it is, fewer connections fit, and the rest wait.
    let _ = setrlimit(Resource::Nofile, limit);
    before
}
