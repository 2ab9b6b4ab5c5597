//! Running the OCI runtime.
//!
//! The runtime is started by the calling thread and inherits its namespaces. It
//! sees standard streams that go nowhere, the descriptors of process 1 from 3
//! on, and one more that tells others that it still runs. It has a time limit.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal};
use palisade_model::id::SandboxId;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};

use super::words::Places;
use super::{Passed, Runtime, StartError};
use crate::config::HandlerKind;

/// Where copies of descriptors are safe from those that are moved into place.
const ASIDE: i32 = 64;
/// How long a runtime may take, even on a machine that is very busy.
const LIMIT_SECS: i64 = 60;
/// How much of what a runtime says is passed on.
const MESSAGE_BYTES_MAX: usize = 512;

/// One run of a runtime.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) runtime: Runtime<'a>,
    pub(super) id: SandboxId,
    pub(super) bundle: &'a Path,
    /// Where it tells what went wrong.
    pub(super) log: &'a Path,
    /// What of that is not for everybody.
    pub(super) places: &'a Places,
    pub(super) passed: &'a Passed<'a>,
    /// One more descriptor that it keeps open.
    pub(super) held: BorrowedFd<'a>,
}

/// Runs the runtime until it has started the container.
pub(super) fn run(plan: &Plan<'_>) -> Result<(), StartError> {
    let failed = |source| StartError::Spawn {
        class: plan.runtime.class.to_owned(),
        source,
    };
    let child = spawn(plan).map_err(failed)?;
    if wait(child).map_err(failed)? {
        return Ok(());
    }
    Err(StartError::Runtime {
        class: plan.runtime.class.to_owned(),
        message: message(plan.log, plan.places),
    })
}

fn spawn(plan: &Plan<'_>) -> io::Result<Pid> {
    let mut actions = PosixSpawnFileActions::init()?;
    let nowhere = fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    let mut aside = Vec::<OwnedFd>::new();
    let standard = [nowhere.as_fd(); 3].into_iter();
    let all = standard
        .chain(plan.passed.iter().copied())
        .chain([plan.held]);
    for (place, descriptor) in (0..).zip(all) {
        let copy = rustix::io::fcntl_dupfd_cloexec(descriptor, ASIDE)?;
        actions.add_dup2(copy.as_raw_fd(), place)?;
        aside.push(copy);
    }
    let mut attributes = PosixSpawnAttr::init()?;
    let flags = PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK;
    attributes.set_flags(flags)?;
    let mut ignored_here = SigSet::empty();
    ignored_here.add(Signal::SIGPIPE);
    attributes.set_sigdefault(&ignored_here)?;
    attributes.set_sigmask(&SigSet::empty())?;
    let environment = [c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];
    let program = plan.runtime.handler.path.as_path();
    let pid = posix_spawn(
        program,
        &actions,
        &attributes,
        &arguments(plan)?,
        &environment,
    )?;
    Pid::from_raw(pid.as_raw()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

fn arguments(plan: &Plan<'_>) -> io::Result<Vec<CString>> {
    let Runtime { handler, root, .. } = plan.runtime;
    let mut arguments = vec![text(&handler.path)?];
    for argument in &handler.arguments {
        arguments.push(CString::new(argument.as_str())?);
    }
    arguments.extend([
        c"--root".to_owned(),
        text(root)?,
        c"--log".to_owned(),
        text(plan.log)?,
    ]);
    match handler.kind {
        HandlerKind::Crun => arguments.push(c"--cgroup-manager=cgroupfs".to_owned()),
        HandlerKind::Runc => {}
    }
    let preserved = format!("--preserve-fds={}", plan.passed.len());
    arguments.extend([
        c"run".to_owned(),
        c"--detach".to_owned(),
        CString::new(preserved)?,
    ]);
    arguments.extend([c"--bundle".to_owned(), text(plan.bundle)?]);
    arguments.push(CString::new(plan.id.to_string())?);
    Ok(arguments)
}

fn text(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

/// Waits until it has ended; tells whether it succeeded.
fn wait(child: Pid) -> io::Result<bool> {
    let descriptor = pidfd_open(child, PidfdFlags::empty())?;
    let limit = Timespec {
        tv_sec: LIMIT_SECS,
        tv_nsec: 0,
    };
    let mut polled = [PollFd::new(&descriptor, PollFlags::IN)];
    let ended = loop {
        match poll(&mut polled, Some(&limit)) {
            Ok(count) => break count > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    if !ended {
        rustix::process::kill_process(child, rustix::process::Signal::KILL)?;
    }
    let status = waitid(WaitId::Pid(child), WaitIdOptions::EXITED)?;
    if !ended {
        return Err(io::Error::from(io::ErrorKind::TimedOut));
    }
    Ok(status.is_some_and(|status| status.exit_status() == Some(0)))
}

/// The last line that a runtime wrote, in plain text, not too long, and without
/// paths of the host.
fn message(log: &Path, places: &Places) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    let last = places.leave_out(last.unwrap_or("it does not say why"));
    let mut message: String = last
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_told_without_paths_of_the_host() {
        let place = tempfile::tempdir().unwrap();
        let (log, root) = (place.path().join("log"), place.path().join("root"));
        let shown = root.display();
        fs::write(&log, format!("first\nopen `{shown}/x/a`: no\u{7}\n\n")).unwrap();
        let places = Places::new(&root, &[place.path()]);
        assert_eq!(message(&log, &places), "open `/x/a`: no ");
    }
}
