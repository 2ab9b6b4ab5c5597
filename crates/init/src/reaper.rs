//! Children that have ended, one's own and those that lost their parent.

use std::io;
use std::os::fd::OwnedFd;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use palisade_init_protocol::answer::Ended;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};

/// Tells when children may have ended.
///
/// Blocks the signal: what is started has to unblock it.
pub(crate) fn notifier() -> io::Result<OwnedFd> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    signals.thread_block()?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    let notifier = SignalFd::with_flags(&signals, flags)?;
    Ok(rustix::io::fcntl_dupfd_cloexec(&notifier, 0)?)
}

/// Takes the notice off, so that the next one can be seen.
pub(crate) fn acknowledge(notifier: impl std::os::fd::AsFd) {
    // As large as `signalfd_siginfo`; one is enough, as they are not counted.
    let mut notice = [0; 128];
    let _ = rustix::io::read(notifier, &mut notice);
}

/// A child that has ended, and how. `None` is that no other one has.
pub(crate) fn reap() -> Option<(Pid, Ended)> {
    loop {
        let (pid, status) = wait(WaitOptions::NOHANG).ok()??;
        if let Some(ended) = ended(status) {
            return Some((pid, ended));
        }
    }
}

/// Whether there is any child at all, ended or not.
pub(crate) fn has_children() -> bool {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::All, options).is_ok()
}

fn ended(status: WaitStatus) -> Option<Ended> {
    if let Some(code) = status.exit_status() {
        // The kernel keeps eight bits.
        return Some(Ended::Code(u8::try_from(code & 0xff).unwrap_or(u8::MAX)));
    }
    let signal = u8::try_from(status.terminating_signal()?).ok()?;
    (1..=Ended::SIGNAL_MAX)
        .contains(&signal)
        .then_some(Ended::Signal(signal))
}
