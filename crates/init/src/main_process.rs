//! The main process: what it writes goes to the log, and when it ends, so does
//! the sandbox.

use std::io;
use std::process::Stdio;

use palisade_init_protocol::answer::{Ended, Outcome, Started};
use palisade_init_protocol::log::RECORD_DATA_MAX;
use palisade_init_protocol::text::Stream;
use rustix::event::epoll::EventFlags;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::clock::unix_micros;
use crate::command::{NOT_EXECUTABLE, Setup, setup};
use crate::launch::{Launched, Manner, Stdio3, launch};
use crate::log::Log;
use crate::pipes::{Output, Read, do_not_wait, pipe};
use crate::poller::{Poller, Source, Token};
use crate::settings::{Program, Settings};

/// The main process.
#[derive(Debug)]
pub(crate) struct MainProcess {
    /// What it is.
    pub(crate) pid: Pid,
    /// Until it is known whether it runs.
    setup: Option<Source>,
    /// Why it does not.
    failure: Option<Outcome>,
    started: Option<Started>,
    stdout: Option<Output>,
    stderr: Option<Output>,
}

impl MainProcess {
    /// Starts it.
    pub(crate) fn launch(
        program: &Program,
        settings: &Settings,
        poller: &Poller,
    ) -> io::Result<Self> {
        let (stdout, stdout_theirs) = pipe()?;
        let (stderr, stderr_theirs) = pipe()?;
        do_not_wait(&stdout)?;
        do_not_wait(&stderr)?;
        let manner = Manner {
            mark: None,
            has_terminal: false,
        };
        let stdio = Stdio3 {
            stdin: Stdio::null(),
            stdout: stdout_theirs,
            stderr: stderr_theirs,
        };
        let Launched { pid, setup } = launch(program, manner, settings.descriptors, stdio)?;
        let mut setup = poller.source(setup, Token::MainSetup);
        setup.want(EventFlags::IN)?;
        let output = |descriptor, stream| {
            let source = poller.source(descriptor, Token::MainOutput(stream));
            let mut output = Output::new(source, false);
            output.listen(true)?;
            io::Result::Ok(Some(output))
        };
        Ok(Self {
            pid,
            setup: Some(setup),
            failure: None,
            started: None,
            stdout: output(stdout, Stream::Stdout)?,
            stderr: output(stderr, Stream::Stderr)?,
        })
    }

    /// Since when it runs, if it does or did.
    pub(crate) fn started(&self) -> Option<Started> {
        self.started
    }

    /// Asks how the preparation went; the answer is given once.
    pub(crate) fn check_setup(&mut self) -> Option<Started> {
        let pipe = self.setup.as_ref()?;
        let outcome = match setup(pipe) {
            Setup::NotYet => return None,
            Setup::Runs => None,
            Setup::NotPrepared(reason) => Some((NOT_EXECUTABLE, reason)),
            Setup::NotExecuted(code, reason) => Some((code, reason)),
        };
        self.setup = None;
        match outcome {
            None => {
                self.started = Some(Started {
                    pid: self.pid.as_raw_nonzero().get().unsigned_abs(),
                    at: unix_micros(),
                });
                self.started
            }
            Some((code, reason)) => {
                self.failure = Some(Outcome::NotStarted { code, reason });
                None
            }
        }
    }

    /// Moves what was written to the log, one read at a time.
    pub(crate) fn log_output(&mut self, stream: Stream, log: &mut Log, buffer: &mut [u8]) {
        let output = self.output(stream);
        let len = buffer.len().min(RECORD_DATA_MAX as usize);
        match output
            .as_mut()
            .map(|output| output.read(&mut buffer[..len]))
        {
            Some(Read::Some(read)) => log.append(stream, &buffer[..read]),
            Some(Read::NotYet) | None => {}
            Some(Read::Over | Read::Rest) => *output = None,
        }
    }

    /// It has ended: moves the rest to the log, and tells how it went.
    pub(crate) fn finish(&mut self, ended: Ended, log: &mut Log, buffer: &mut [u8]) -> Outcome {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if let Some(output) = self.output(stream) {
                output.writer_ended();
            }
            while self.output(stream).is_some() {
                self.log_output(stream, log, buffer);
            }
        }
        self.failure.take().unwrap_or(Outcome::Ran(ended))
    }

    /// Sends a signal to it and its process group.
    pub(crate) fn signal(&self, signal: Signal) {
        // As long as it prepares itself it may not have a group yet.
        if kill_process_group(self.pid, signal).is_err() {
            let _ = kill_process(self.pid, signal);
        }
    }

    fn output(&mut self, stream: Stream) -> &mut Option<Output> {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}
