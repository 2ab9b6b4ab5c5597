//! A command that the host runs in the sandbox.
//!
//! ```text
//!     preparing ──► running ──► ended: the rest of its output is read ──► told
//!         └──► not started
//! ```
//!
//! Output goes to the host as it is read, and the next read waits until all of it
//! has gone: a slow host slows the command down. Input is taken while
//! little of it waits. The end is told when the command itself has ended and all
//! that it wrote was read, whoever else still holds its pipes.

use std::io;
use std::os::fd::AsFd;

use bytes::Bytes;
use palisade_init_protocol::answer::{Answer, Ended, Started};
use palisade_init_protocol::request::Input;
use palisade_init_protocol::text::{Data, Reason, SignalNumber, Stream};
use rustix::event::epoll::EventFlags;
use rustix::process::{Pid, Signal};

use crate::clock::unix_micros;
use crate::command::{Setup, setup};
use crate::family::Family;
use crate::outbox::Outbox;
use crate::pipes::{Output, Read};
use crate::poller::Source;

mod input;
mod start;

use input::Stdin;
pub(crate) use start::start;

/// How often a stream is read before others are looked at.
const READS_MAX: usize = 4;

/// A command that the host runs.
#[derive(Debug)]
pub(crate) struct Exec {
    pid: Pid,
    family: Family,
    /// Until it is known whether it runs.
    setup: Option<Source>,
    stdin: Stdin,
    stdout: Option<Output>,
    stderr: Option<Output>,
    has_terminal: bool,
    ended: Option<Ended>,
    is_over: bool,
    /// What others may still write to after the end.
    leftovers: Vec<(Stream, Output)>,
}

impl Exec {
    /// What it is.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// It and all that it started.
    pub(crate) fn family(&self) -> Family {
        self.family
    }

    /// Whether the host was told all there is to tell.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Pipes that what it left running may still write to.
    pub(crate) fn into_leftovers(self) -> Vec<(Stream, Output)> {
        self.leftovers
    }

    /// Whether more input can be taken.
    pub(crate) fn takes_input(&self) -> bool {
        !self.is_over && self.stdin.takes_more()
    }

    /// Takes what the host says.
    pub(crate) fn input(&mut self, input: Input) {
        match input {
            Input::Data(data) => self.stdin.push(data.into_bytes()),
            Input::Close => self.stdin.close(),
            Input::Resize(size) => self.stdin.resize(size),
            Input::Signal(number) => self.signal(number),
        }
    }

    /// Writes as much input as the command takes.
    pub(crate) fn write_input(&mut self) -> io::Result<()> {
        self.stdin.write()
    }

    /// The command has ended.
    pub(crate) fn ended(&mut self, ended: Ended) {
        self.ended.get_or_insert(ended);
        self.stdin.give_up();
        for output in [&mut self.stdout, &mut self.stderr].into_iter().flatten() {
            output.writer_ended();
        }
    }

    /// Reads from a stream that has something, for as long as there is much of it and the
    /// host takes it, and a few times at most: others have something, too.
    pub(crate) fn read(
        &mut self,
        stream: Stream,
        socket: impl AsFd,
        outbox: &mut Outbox,
        buffer: &mut [u8],
    ) {
        for _ in 0..READS_MAX {
            let has_more = self.read_once(stream, &socket, outbox, buffer);
            if !has_more {
                break;
            }
        }
    }

    /// Returns whether as much was read as could be.
    fn read_once(
        &mut self,
        stream: Stream,
        socket: impl AsFd,
        outbox: &mut Outbox,
        buffer: &mut [u8],
    ) -> bool {
        // Before it is known that it runs, nothing of its output can be told.
        if self.setup.is_some() || !outbox.is_empty() {
            return false;
        }
        let output = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let Some(reader) = output else {
            return false;
        };
        match reader.read(buffer) {
            Read::Some(read) => {
                let head = Answer::output_head(stream, read);
                outbox.send(socket, head, &buffer[..read]);
                return read == buffer.len();
            }
            Read::NotYet => {}
            Read::Over => *output = None,
            Read::Rest => {
                let rest = output.take().map(|output| (stream, output));
                // A terminal hangs up instead.
                self.leftovers.extend(rest.filter(|_| !self.has_terminal));
            }
        }
        false
    }

    /// Does all that can be done without waiting, and sees to what is waited for.
    ///
    /// An error means that the host is not there any more.
    pub(crate) fn advance(
        &mut self,
        socket: impl AsFd,
        outbox: &mut Outbox,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        self.check_setup(outbox);
        outbox.flush(&socket)?;
        while self.ended.is_some() && outbox.is_empty() && !self.is_over {
            match (&self.stdout, &self.stderr, self.ended) {
                (Some(_), _, _) => self.read(Stream::Stdout, &socket, outbox, buffer),
                (None, Some(_), _) => self.read(Stream::Stderr, &socket, outbox, buffer),
                (None, None, Some(ended)) => self.conclude(outbox, Answer::Exit(ended)),
                (None, None, None) => break,
            }
            outbox.flush(&socket)?;
        }
        let listen = outbox.is_empty() && self.setup.is_none() && !self.is_over;
        for output in [&mut self.stdout, &mut self.stderr].into_iter().flatten() {
            output.listen(listen)?;
        }
        Ok(())
    }

    fn check_setup(&mut self, outbox: &mut Outbox) {
        let Some(pipe) = &self.setup else {
            return;
        };
        let outcome = setup(pipe);
        if outcome == Setup::NotYet {
            return;
        }
        self.setup = None;
        match outcome {
            Setup::NotYet | Setup::Runs => self.tell_start(outbox),
            Setup::NotPrepared(reason) => self.conclude(outbox, Answer::Failed(reason)),
            Setup::NotExecuted(code, reason) => {
                // As a shell would: the command is one that says so and ends.
                self.tell_start(outbox);
                self.tell_reason(outbox, &reason);
                self.conclude(outbox, Answer::Exit(Ended::Code(code)));
            }
        }
    }

    fn tell_start(&self, outbox: &mut Outbox) {
        outbox.push(Answer::Started(Started {
            pid: self.pid.as_raw_nonzero().get().unsigned_abs(),
            at: unix_micros(),
        }));
    }

    fn tell_reason(&self, outbox: &mut Outbox, reason: &Reason) {
        let (stream, end) = if self.has_terminal {
            (Stream::Stdout, "\r\n")
        } else {
            (Stream::Stderr, "\n")
        };
        let mut bytes = Bytes::from(format!("{reason}{end}"));
        while let Some(data) = Data::split_from(&mut bytes) {
            outbox.push(Answer::Output { stream, data });
        }
    }

    fn conclude(&mut self, outbox: &mut Outbox, answer: Answer) {
        outbox.push(answer);
        self.is_over = true;
        self.stdin.give_up();
        (self.stdout, self.stderr) = (None, None);
    }

    fn signal(&self, number: SignalNumber) {
        if let Some(signal) = Signal::from_named_raw(number.get().into())
            && self.ended.is_none()
        {
            self.family.signal(signal);
        }
    }
}

/// Waits for the end of a pipe of preparation.
fn wait_for(source: &mut Source) -> io::Result<()> {
    source.want(EventFlags::IN)
}
