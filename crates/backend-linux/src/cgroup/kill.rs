//! Ending everything in a control group.
//!
//! Version 2 has a switch for it. In version 1 every process is killed by a
//! descriptor that was checked to be of the group, so that no stranger that got
//! the same number is hit. Process 1 is among them, and with it the kernel ends
//! everything else, so that no process can fork away from this.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};
use rustix::time::Timespec;

/// How often it is looked whether all have ended: for ten seconds.
const LOOKS_MAX: u32 = 5_000;
const LOOK_NANOS: i64 = 2_000_000;

/// The processes in a group; none if there is no group.
pub(super) fn pids(group: &Path) -> io::Result<Vec<i32>> {
    match fs::read_to_string(group.join("cgroup.procs")) {
        Ok(list) => Ok(list.lines().filter_map(|line| line.parse().ok()).collect()),
        Err(error) if is_gone(&error) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Whether a process is the first of a pid namespace below this one.
pub(super) fn is_process_1(pid: i32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else {
        return false;
    };
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    line.is_some_and(|ids| {
        let mut ids = ids.split_whitespace().rev();
        ids.next() == Some("1") && ids.next().is_some()
    })
}

/// Kills everything in a group, and waits until it has ended.
///
/// What was killed and is frozen dies once it is let go on.
pub(super) fn all(group: &Path, thaw: impl Fn() -> io::Result<()>) -> io::Result<()> {
    let mut killed = HashMap::new();
    for _ in 0..LOOKS_MAX {
        let pids = pids(group)?;
        if pids.is_empty() {
            killed.values().for_each(reap);
            return Ok(());
        }
        for pid in pids {
            if let Entry::Vacant(entry) = killed.entry(pid)
                && let Some(descriptor) = open(pid, group)?
            {
                entry.insert(descriptor);
            }
        }
        // Version 2 kills the group as a whole.
        if fs::write(group.join("cgroup.kill"), "1").is_err() {
            for descriptor in killed.values() {
                kill(descriptor)?;
            }
        }
        thaw()?;
        pause();
    }
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        "processes do not end although they were killed",
    ))
}

/// Removes a group in which nothing runs; succeeds if there is none.
pub(super) fn remove(group: &Path) -> io::Result<()> {
    for _ in 0..LOOKS_MAX {
        match fs::remove_dir(group) {
            Ok(()) => return Ok(()),
            Err(error) if is_gone(&error) => return Ok(()),
            // A process that has ended may still count for a moment.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => pause(),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from(io::ErrorKind::ResourceBusy))
}

/// Holds a process of a group by a descriptor; `None` if it has ended.
fn open(pid: i32, group: &Path) -> io::Result<Option<OwnedFd>> {
    let Some(number) = Pid::from_raw(pid) else {
        return Ok(None);
    };
    let descriptor = match pidfd_open(number, PidfdFlags::empty()) {
        Ok(descriptor) => descriptor,
        Err(Errno::SRCH) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // Now that the descriptor holds the number, look whether it is still ours.
    Ok(pids(group)?.contains(&pid).then_some(descriptor))
}

fn kill(descriptor: &OwnedFd) -> io::Result<()> {
    match pidfd_send_signal(descriptor, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Takes note of the end of a process, in case it has become a child of the
/// runner's: that is so where the runner is the first process of a container.
pub(crate) fn reap(descriptor: &OwnedFd) {
    // Anybody else's child is not ours to wait for, which is as good.
    let _ = waitid(
        WaitId::PidFd(descriptor.as_fd()),
        WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
    );
}

fn is_gone(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::NOENT | Errno::NODEV))
}

pub(super) fn pause() {
    // To be woken early does no harm.
    let _ = rustix::thread::nanosleep(&Timespec {
        tv_sec: 0,
        tv_nsec: LOOK_NANOS,
    });
}
