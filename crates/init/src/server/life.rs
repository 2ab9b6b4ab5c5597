//! The life of the main process, and of the sandbox with it.
//!
//! What only process 1 has. Invariant: what is killed here is everybody else in
//! the sandbox, so that nothing of this happens anywhere but in process 1.

use std::io;
use std::time::Duration;

use palisade_init_protocol::answer::{Ended, ExitRecord, Outcome, Started};
use palisade_init_protocol::request;
use palisade_init_protocol::status;
use palisade_init_protocol::text::{SignalNumber, Stream};
use rustix::process::{Pid, Signal, kill_process_group};

use super::ENDING_LIMIT;
use crate::boot::StatusFile;
use crate::clock::{Instant, unix_micros};
use crate::log::Log;
use crate::main_process::MainProcess;
use crate::poller::Poller;
use crate::settings::{Program, Settings};

/// The life of the main process.
#[derive(Debug)]
pub(super) struct Life<'a> {
    main: MainProcess,
    log: Log,
    status: &'a mut StatusFile,
    stop_signal: SignalNumber,
    stop: Option<Stopping>,
    ending: Option<Ending>,
}

/// The main process was asked to end.
#[derive(Clone, Copy, Debug)]
struct Stopping {
    /// When everything is killed; `None` once that is done.
    kill_at: Option<Instant>,
}

/// The main process has ended.
#[derive(Debug)]
pub(super) struct Ending {
    /// How it went.
    pub(super) record: ExitRecord,
    /// When the end waits for nobody any more.
    pub(super) limit: Instant,
}

impl<'a> Life<'a> {
    /// Starts the main process.
    pub(super) fn begin(
        main: &Program,
        log: Log,
        status: &'a mut StatusFile,
        settings: &Settings,
        poller: &Poller,
    ) -> io::Result<Self> {
        Ok(Self {
            main: MainProcess::launch(main, settings, poller)?,
            log,
            status,
            stop_signal: settings.stop_signal,
            stop: None,
            ending: None,
        })
    }

    /// What the main process is.
    pub(super) fn pid(&self) -> Pid {
        self.main.pid
    }

    /// Since when it runs, if it does or did.
    pub(super) fn started(&self) -> Option<Started> {
        self.main.started()
    }

    /// The offset behind the last byte of the log.
    pub(super) fn log_end(&self) -> u64 {
        self.log.end()
    }

    /// How it ended, if it has.
    pub(super) fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Asks how the preparation went, and records that it runs.
    pub(super) fn check_setup(&mut self) {
        if let Some(started) = self.main.check_setup() {
            self.status.append(&status::started(started));
        }
    }

    /// Moves what it wrote to the log.
    pub(super) fn log_output(&mut self, stream: Stream, buffer: &mut [u8]) {
        self.main.log_output(stream, &mut self.log, buffer);
    }

    /// It has ended: that is recorded, and everybody has to go.
    pub(super) fn end(&mut self, ended: Ended, buffer: &mut [u8]) {
        self.check_setup();
        let outcome: Outcome = self.main.finish(ended, &mut self.log, buffer);
        let record = ExitRecord {
            outcome,
            at: unix_micros(),
            asked: self.stop.is_some(),
        };
        self.status.append(&status::exited(record.clone()));
        kill_everybody();
        self.ending.get_or_insert(Ending {
            record,
            limit: Instant::now().after(ENDING_LIMIT),
        });
    }

    /// Asks it to end, and has everybody killed after a grace.
    pub(super) fn stop(&mut self, stop: request::Stop) {
        let request::Stop { grace_ms, signal } = stop;
        let kill_at = Instant::now().after(Duration::from_millis(grace_ms));
        let earlier = self.stop.and_then(|stop| stop.kill_at);
        let was_killed = self.stop.is_some_and(|stop| stop.kill_at.is_none());
        if !was_killed {
            let kill_at = earlier.map_or(kill_at, |earlier| earlier.min(kill_at));
            self.stop = Some(Stopping {
                kill_at: Some(kill_at),
            });
        }
        let number = signal.unwrap_or(self.stop_signal);
        if let Some(signal) = Signal::from_named_raw(number.get().into()) {
            self.main.signal(signal);
            // What is stopped would only notice later.
            self.main.signal(Signal::CONT);
            if signal == Signal::KILL {
                kill_everybody();
            }
        }
    }

    /// Does what has become due.
    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        if let Some(stop) = &mut self.stop
            && stop.kill_at.is_some_and(|at| at.left(now).is_zero())
        {
            stop.kill_at = None;
            self.main.signal(Signal::KILL);
            kill_everybody();
        }
    }

    /// When something becomes due.
    pub(super) fn limits(&self) -> impl Iterator<Item = Instant> + use<> {
        let kill_at = self.stop.and_then(|stop| stop.kill_at);
        let end = self.ending.as_ref().map(|ending| ending.limit);
        kill_at.into_iter().chain(end)
    }
}

/// Kills all processes but this one, in one go: none can start another one
/// meanwhile.
fn kill_everybody() {
    // The group of 1, negated, stands for «everybody».
    let _ = kill_process_group(Pid::INIT, Signal::KILL);
}
