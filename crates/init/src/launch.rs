//! Starts processes: itself once more, in a mode that prepares and then becomes
//! what is wanted.
//!
//! Between fork and exec there is only what the standard library does; all the
//! rest happens in the child after exec ([`crate::helper`]), in safe code. A pipe
//! that is closed by the second exec tells that it succeeded, or else why not.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::{Command, Stdio};

use palisade_init_protocol::text::UserName;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::Pid;

use crate::family::Mark;
use crate::pipes::{do_not_wait, pipe};
use crate::settings::{Program, Settings};

/// The program that runs now, whatever became of its file.
const SELF: &str = "/proc/self/exe";

/// The first argument of the child that becomes a command.
pub(crate) const RUN: &str = "run";
/// The first argument of the child that writes a file.
pub(crate) const WRITE_FILE: &str = "write-file";
/// The first argument of the child that reads a file.
pub(crate) const READ_FILE: &str = "read-file";
/// The first argument of the child between a network and an agent.
pub(crate) const RELAY: &str = "relay";

/// The input, the output and the errors of a process.
#[derive(Debug)]
pub(crate) struct Stdio3 {
    /// What it reads.
    pub(crate) stdin: Stdio,
    /// What it writes.
    pub(crate) stdout: OwnedFd,
    /// What it complains on.
    pub(crate) stderr: OwnedFd,
}

/// What a command is besides its program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// What all that it starts is known by; the main process has none.
    pub(crate) mark: Option<Mark>,
    /// Whether its input is a terminal that it is to control.
    pub(crate) has_terminal: bool,
}

/// A child that prepares itself.
#[derive(Debug)]
pub(crate) struct Launched {
    /// What it is, and will be.
    pub(crate) pid: Pid,
    /// Ends without a word if the program runs, and says why if not.
    pub(crate) setup: OwnedFd,
}

/// Starts a child that becomes a program.
pub(crate) fn launch(
    program: &Program,
    manner: Manner,
    descriptors: Option<u64>,
    stdio: Stdio3,
) -> io::Result<Launched> {
    let (setup, theirs) = pipe()?;
    do_not_wait(&setup)?;
    // Nothing else is started in between: only this child inherits it.
    fcntl_setfd(&theirs, FdFlags::empty())?;
    let mark = manner.mark.map(Mark::to_argument).unwrap_or_default();
    let terminal = if manner.has_terminal { "terminal" } else { "" };
    let makes = if program.makes_directory { "make" } else { "" };
    let directory = program.directory.as_ref();
    let directory = directory.map_or("", |directory| directory.as_str());
    let user = user_argument(program.user.as_ref());
    let mut command = Command::new(SELF);
    if !program.inherits {
        command.env_clear();
    }
    let child = command
        .arg(RUN)
        .arg(theirs.as_raw_fd().to_string())
        .args([&mark, terminal])
        .arg(
            descriptors
                .map(|limit| limit.to_string())
                .unwrap_or_default(),
        )
        .args([makes, directory, &user])
        .args(program.command.words())
        .envs(&program.environment)
        .stdin(stdio.stdin)
        .stdout(stdio.stdout)
        .stderr(stdio.stderr)
        .spawn()?;
    Ok(Launched {
        pid: pid_of(&child)?,
        setup,
    })
}

/// Starts a child that does a job on a file, and talks to the host about it.
pub(crate) fn file_job(
    settings: &Settings,
    mode: &str,
    arguments: &[String],
    socket: OwnedFd,
) -> io::Result<Pid> {
    let child = Command::new(SELF)
        .arg(mode)
        .arg(user_argument(settings.user.as_ref()))
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(socket)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    pid_of(&child)
}

/// Starts a child between a connection of the network and one to here.
///
/// Whoever connects has to know what can be read from `key`; that goes neither
/// through arguments nor through variables, as others in the sandbox see these.
pub(crate) fn relay(network: OwnedFd, here: OwnedFd, key: OwnedFd) -> io::Result<Pid> {
    let child = Command::new(SELF)
        .arg(RELAY)
        .env_clear()
        .current_dir("/")
        .stdin(network)
        .stdout(here)
        .stderr(key)
        .spawn()?;
    pid_of(&child)
}

/// A user as one argument: nothing stays who this is, and an empty name is root.
fn user_argument(user: Option<&UserName>) -> String {
    user.map_or_else(String::new, |user| format!("={}", user.as_str()))
}

fn pid_of(child: &std::process::Child) -> io::Result<Pid> {
    let raw = i32::try_from(child.id()).ok();
    raw.and_then(Pid::from_raw)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}
