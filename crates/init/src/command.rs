//! A process that was launched, until it is known whether it runs.
//!
//! ```text
//!     preparing ── the pipe ends ──► running
//!         └─────── the pipe says why ──► not started
//! ```

use std::os::fd::AsFd;

use palisade_init_protocol::text::Reason;
use rustix::io::Errno;

/// Said by the child if something before the program failed.
pub(crate) const NOT_PREPARED: u8 = 1;
/// Said by the child if there is no such program; what a shell exits with.
pub(crate) const NOT_FOUND: u8 = 127;
/// Said by the child if the program cannot be executed; likewise.
pub(crate) const NOT_EXECUTABLE: u8 = 126;

/// How the preparation went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    /// Nothing is known yet.
    NotYet,
    /// The program runs.
    Runs,
    /// Something before it failed.
    NotPrepared(Reason),
    /// The program could not be executed; a shell would exit with this.
    NotExecuted(u8, Reason),
}

/// Asks how the preparation went, without waiting.
pub(crate) fn setup(pipe: impl AsFd) -> Setup {
    // The child writes at most this at once, so that it comes as a whole.
    let mut words = [0; Reason::LEN_MAX];
    let read = loop {
        match rustix::io::read(&pipe, &mut words) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Setup::NotYet,
            Err(error) => return Setup::NotPrepared(Reason::new(error.to_string())),
            Ok(read) => break read,
        }
    };
    let Some((kind, reason)) = words[..read].split_first() else {
        return Setup::Runs;
    };
    let reason = Reason::new(String::from_utf8_lossy(reason));
    match *kind {
        code @ (NOT_FOUND | NOT_EXECUTABLE) => Setup::NotExecuted(code, reason),
        _ => Setup::NotPrepared(reason),
    }
}
