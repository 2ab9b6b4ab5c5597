//! Signals that ask this program to end.
//!
//! Once they are listened to, none of them ends the program by itself: whoever
//! listens puts things in order first.

use std::io;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{CliError, Exit};

/// The signals that ask a program to end.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    quit: Signal,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Ctrl-C.
    Interrupt,
    /// What `kill` sends.
    Terminate,
    /// The terminal was closed.
    Hangup,
    /// Ctrl-\.
    Quit,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> Result<Self, CliError> {
        Self::try_listen().map_err(|error| {
            CliError::new(Exit::Failure, "signals cannot be listened to").because(error.to_string())
        })
    }

    fn try_listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// The next one. None is lost if this is dropped before it is ready.
    pub(super) async fn next(&mut self) -> Ending {
        tokio::select! {
            _ = self.interrupt.recv() => Ending::Interrupt,
            _ = self.terminate.recv() => Ending::Terminate,
            _ = self.hangup.recv() => Ending::Hangup,
            _ = self.quit.recv() => Ending::Quit,
        }
    }

    /// The next one of somebody who does not want to wait for the end. A terminal that
    /// goes away says so to its leader and to its group, one after the other: that is
    /// nobody's haste.
    pub(super) async fn haste(&mut self) -> Ending {
        loop {
            let ending = self.next().await;
            if ending != Ending::Hangup {
                return ending;
            }
        }
    }
}

impl Ending {
    /// What a shell would say of a program that it ended.
    pub(super) fn exit_code(self) -> ExitCode {
        let number = match self {
            Self::Hangup => 1,
            Self::Interrupt => 2,
            Self::Quit => 3,
            Self::Terminate => 15,
        };
        ExitCode::from(128 + number)
    }
}
