//! The children of process 1, before they become what they are for.
//!
//! Each runs alone in a process of its own, so it may block: what it reads comes
//! from the sandbox, and the sandbox may make it wait. What is given in arguments
//! was parsed by process 1. Anybody in the sandbox may run these modes as well;
//! they do nothing that he could not do himself. Three of them are meant to be run
//! so: they tell what the network around the sandbox is like
//! ([`palisade_init_protocol::probe`]).

use std::fmt::Display;
use std::io;
use std::io::Write as _;
use std::process::ExitCode;

use palisade_init_protocol::probe::{AROUND, LISTEN, PROBE};

use crate::launch::{READ_FILE, RELAY, RUN, WRITE_FILE};

mod around;
mod become_user;
mod file;
mod listen;
mod probe;
mod program;
mod relay;
mod user;

/// How a child ends that was called in a way that it is not called.
const USAGE: u8 = 64;

/// Runs one of the modes.
pub(crate) fn run(mode: &str, arguments: &[String]) -> ExitCode {
    let done = match mode {
        RUN => program::run(arguments),
        WRITE_FILE => file::write(arguments),
        READ_FILE => file::read(arguments),
        RELAY => Some(relay::run()),
        PROBE => Some(probe::run(arguments)),
        LISTEN => Some(listen::run(arguments)),
        AROUND => Some(around::run()),
        _ => None,
    };
    done.unwrap_or(ExitCode::from(USAGE))
}

/// Says what is wrong with the arguments of a mode that people may run.
fn refuse(what: &dyn Display) -> ExitCode {
    // Whoever called it reads that, or nobody does.
    let _ = writeln!(io::stderr(), "{what}");
    ExitCode::from(USAGE)
}
