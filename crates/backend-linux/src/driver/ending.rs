//! How a sandbox ended, from what it left behind.

use palisade_init_protocol::answer::{Ended, ExitRecord, Outcome};
use palisade_init_protocol::status::Status;
use palisade_model::clock::Timestamp;
use palisade_model::sandbox::Exit;

use crate::state::{End, SandboxState};

/// The exit of a process that was killed.
const KILLED: Exit = Exit(137);
const OUT_OF_MEMORY: &str = "out of memory: it used more than its limit";

/// What is known of a sandbox in which nothing runs any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remains {
    /// What process 1 told.
    pub(super) status: Status,
    /// How many processes were killed for want of memory.
    pub(super) oom_kills: u64,
    /// Whether somebody asked for it to end.
    pub(super) is_stopped: bool,
    /// Why its end was forced from here, if it was.
    pub(super) forced: Option<&'static str>,
    /// The time now.
    pub(super) now: Timestamp,
}

/// What process 1 told; nothing if it did not come to that.
pub(crate) fn status(state: &SandboxState) -> Status {
    state.paths().read_status().unwrap_or_default()
}

/// Decides how it ended.
pub(super) fn end(remains: &Remains) -> End {
    let since = remains.status.started.map(|started| instant(started.at.0));
    match remains.status.exit.clone() {
        Some(record) => told(since, record, remains.oom_kills),
        None => End::Ended {
            since,
            at: remains.now,
            exit: (remains.oom_kills > 0).then_some(KILLED),
            reason: untold(remains).to_owned(),
            stopped: remains.is_stopped,
        },
    }
}

fn told(since: Option<Timestamp>, record: ExitRecord, oom_kills: u64) -> End {
    let ExitRecord { outcome, at, asked } = record;
    let (exit, reason) = match outcome {
        Outcome::Ran(ended) => {
            let exit = exit(ended);
            let is_oom = exit == KILLED && oom_kills > 0 && !asked;
            (exit, if is_oom { OUT_OF_MEMORY } else { "" }.to_owned())
        }
        Outcome::NotStarted { code, reason } => (Exit(code.into()), reason.into_string()),
    };
    End::Ended {
        since,
        at: instant(at.0),
        exit: Some(exit),
        reason,
        stopped: asked,
    }
}

fn untold(remains: &Remains) -> &'static str {
    if remains.oom_kills > 0 {
        OUT_OF_MEMORY
    } else if let Some(forced) = remains.forced {
        forced
    } else if remains.is_stopped {
        "it was killed"
    } else {
        "it was killed from outside, or the host restarted"
    }
}

fn exit(ended: Ended) -> Exit {
    match ended {
        Ended::Code(code) => Exit(code.into()),
        Ended::Signal(signal) => Exit(128 + i32::from(signal)),
    }
}

/// An instant as process 1 tells it.
pub(crate) fn instant(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use palisade_init_protocol::answer::Started;
    use palisade_init_protocol::text::{Reason, UnixMicros};

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(100);

    fn remains(outcome: Option<Outcome>) -> Remains {
        let started = Started {
            pid: 2,
            at: UnixMicros(1),
        };
        let record = |outcome| ExitRecord {
            outcome,
            at: UnixMicros(9),
            asked: false,
        };
        Remains {
            status: Status {
                started: Some(started),
                exit: outcome.map(record),
            },
            oom_kills: 0,
            is_stopped: false,
            forced: None,
            now: NOW,
        }
    }

    fn facts(end: End) -> (Option<i32>, String) {
        match end {
            End::Ended { exit, reason, .. } => (exit.map(|exit| exit.0), reason),
            End::Failed { reason, .. } => (None, reason),
        }
    }

    #[test]
    fn what_process_1_told_counts() {
        let (exit, reason) = facts(end(&remains(Some(Outcome::Ran(Ended::Code(3))))));
        assert_eq!((exit, reason.as_str()), (Some(3), ""));
        let reason = Reason::new("no such command");
        let not_started = Outcome::NotStarted { code: 127, reason };
        let (exit, reason) = facts(end(&remains(Some(not_started))));
        assert_eq!((exit, reason.as_str()), (Some(127), "no such command"));
    }

    #[test]
    fn a_kill_for_want_of_memory_is_told_as_one() {
        let mut killed = remains(Some(Outcome::Ran(Ended::Signal(9))));
        assert_eq!(facts(end(&killed)), (Some(137), String::new()));
        killed.oom_kills = 1;
        assert_eq!(facts(end(&killed)), (Some(137), OUT_OF_MEMORY.to_owned()));
        let mut silent = remains(None);
        silent.oom_kills = 1;
        assert_eq!(facts(end(&silent)), (Some(137), OUT_OF_MEMORY.to_owned()));
    }

    #[test]
    fn without_a_word_of_process_1_the_exit_is_unknown() {
        let (exit, reason) = facts(end(&remains(None)));
        assert_eq!(exit, None);
        assert!(reason.contains("killed"), "{reason}");
    }
}
