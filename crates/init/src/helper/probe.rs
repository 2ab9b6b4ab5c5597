//! The program that asks the network something, and says what it heard.
//!
//! All probes are under way at once, for one limit. Nothing is judged: what is
//! printed is what the kernel was told. Standard output has one line for each
//! probe, in the order in which they were given.

mod attempt;
mod dns;
mod heard;

use std::io;
use std::io::Write as _;
use std::process::ExitCode;

use palisade_init_protocol::probe::{PROBE_LIMIT, PROBES_MAX, Probe, Reading};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::time::Timespec;

use super::refuse;
use crate::clock::Instant;

use attempt::Attempt;
use heard::Heard;

/// A probe, and how far it has come.
enum State {
    Waiting(Attempt),
    Done(Heard),
}

/// Asks everything, and prints what was heard.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let probes: Result<Vec<Probe>, _> = arguments.iter().map(|text| text.parse()).collect();
    let probes = match probes {
        Ok(probes) if (1..=PROBES_MAX).contains(&probes.len()) => probes,
        Ok(probes) => {
            let count = probes.len();
            return refuse(&format!("{count} probes, say from 1 to {PROBES_MAX}"));
        }
        Err(error) => return refuse(&error),
    };
    let heard = ask(&probes);
    match print(probes.into_iter().zip(heard)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn print(readings: impl Iterator<Item = (Probe, Heard)>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (probe, heard) in readings {
        writeln!(out, "{}", Reading::new(probe, heard.outcome, &heard.detail))?;
    }
    out.flush()
}

/// What was heard of each of them within the limit.
fn ask(probes: &[Probe]) -> Vec<Heard> {
    let by = Instant::now().after(PROBE_LIMIT);
    let mut states: Vec<State> = probes.iter().map(begin).collect();
    while wait(&mut states, by) {}
    let heard = states.into_iter().map(|state| match state {
        State::Waiting(_) => Heard::silence(),
        State::Done(heard) => heard,
    });
    heard.collect()
}

fn begin(probe: &Probe) -> State {
    match Attempt::begin(probe) {
        Ok(attempt) => State::Waiting(attempt),
        Err(heard) => State::Done(heard),
    }
}

/// Waits for the next thing to be heard. Whether there is anything left to wait
/// for, and time to do so.
fn wait(states: &mut [State], by: Instant) -> bool {
    let left = by.left(Instant::now());
    let mut waiting: Vec<(&Attempt, usize)> = Vec::with_capacity(states.len());
    for (place, state) in states.iter().enumerate() {
        if let State::Waiting(attempt) = state {
            waiting.push((attempt, place));
        }
    }
    if left.is_zero() || waiting.is_empty() {
        return false;
    }
    let limit = Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(0),
        tv_nsec: left.subsec_nanos().into(),
    };
    let mut polled: Vec<PollFd<'_>> = waiting
        .iter()
        .map(|(attempt, _)| PollFd::from_borrowed_fd(attempt.socket(), attempt.waits_for()))
        .collect();
    match poll(&mut polled, Some(&limit)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(_) => return false,
    }
    let heard: Vec<(usize, Heard)> = waiting
        .iter()
        .zip(&polled)
        .filter(|(_, polled)| polled.revents() != PollFlags::empty())
        .filter_map(|((attempt, place), _)| Some((*place, attempt.hear()?)))
        .collect();
    for (place, heard) in heard {
        states[place] = State::Done(heard);
    }
    true
}
