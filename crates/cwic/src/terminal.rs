//! The terminal of a person who is asked something.
//!
//! It says whether there is one at all, and puts it back as it was: when a
//! prompt is left, when an editor dies in the middle of drawing, and when the
//! process is told to end. What is asked is not known here; see [`crate::prompt`].

use std::future::Future;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::{Command, ExitStatus};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task;

use crate::error::{CliError, Exit};

/// Shows the cursor again, and ends the mode in which pasted text is marked.
const PLAIN_SCREEN: &[u8] = b"\x1b[?25h\x1b[?2004l";

/// What a command is about, for the case that it goes no further.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Undone {
    /// What did not happen then, as in `nothing was created`.
    pub(crate) what: &'static str,
    /// What does the same without a person.
    pub(crate) instead: &'static str,
}

/// A terminal with a person at it.
pub(crate) struct Terminal {
    modes: Termios,
    signals: Signals,
    undone: Undone,
    /// Whether colour is wanted.
    pub(crate) has_color: bool,
}

/// How an editor ended.
#[derive(Debug)]
pub(crate) enum ChildEnd {
    /// It ended by itself.
    Itself {
        /// What it said at its end.
        status: io::Result<ExitStatus>,
        /// Whether somebody pressed Ctrl-C while it ran.
        was_interrupted: bool,
    },
    /// This process was told to end while it ran.
    Told(CliError),
}

/// Whether somebody can be asked: the terminal is both read and written.
pub(crate) fn is_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Does something that takes its time in the middle of a prompt. Ctrl-C is the
/// signal meanwhile, as nobody reads keys.
pub(crate) fn interruptible<T>(work: impl FnOnce() -> T) -> T {
    let modes = tcgetattr(io::stdin()).ok();
    let set = |modes: &Termios| tcsetattr(io::stdin(), OptionalActions::Now, modes);
    if let Some(mut modes) = modes.clone() {
        modes.local_modes.insert(LocalModes::ISIG);
        let _ = set(&modes);
    }
    let done = work();
    if let Some(modes) = modes {
        let _ = set(&modes);
    }
    done
}

impl Terminal {
    /// The terminal of this process. Without one, nobody can be asked.
    pub(crate) fn open(undone: Undone, has_color: bool) -> Result<Self, CliError> {
        if !is_there() {
            return Err(CliError::new(Exit::Usage, undone.what)
                .because("nobody can be asked: standard input or standard error is no terminal")
                .next(undone.instead));
        }
        let opened = tcgetattr(io::stdin())
            .map_err(io::Error::from)
            .and_then(|modes| Ok((modes, Signals::listen()?)));
        let (modes, signals) = opened.map_err(|error| {
            CliError::new(Exit::Failure, undone.what)
                .because(format!("the terminal cannot be used: {error}"))
                .next(undone.instead)
        })?;
        Ok(Self {
            modes,
            signals,
            undone,
            has_color,
        })
    }

    /// Waits for work, unless the process is told to end before that.
    pub(crate) async fn wait<T>(&mut self, work: impl Future<Output = T>) -> Result<T, CliError> {
        tokio::select! {
            biased;
            told = self.signals.next() => {
                self.restore();
                let _ = io::stderr().write_all(PLAIN_SCREEN);
                Err(self.told(told))
            }
            done = work => Ok(done),
        }
    }

    /// Waits for work that keeps a thread busy, such as reading keys. When the
    /// process is told to end, that thread is left where it is.
    pub(crate) async fn wait_blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CliError> {
        let done = self.wait(task::spawn_blocking(work)).await?;
        done.map_err(|error| {
            CliError::new(Exit::Failure, self.undone.what).because(error.to_string())
        })
    }

    /// Gives the terminal to another program until that ends. Ctrl-C is its
    /// business meanwhile, and only noted here.
    pub(crate) async fn lend(&mut self, mut command: Command) -> ChildEnd {
        let mut child = task::spawn_blocking(move || command.status());
        let mut was_interrupted = false;
        let end = loop {
            tokio::select! {
                told = self.signals.next() => match told {
                    Told::Interrupt => was_interrupted = true,
                    Told::Terminate => break ChildEnd::Told(self.told(told)),
                },
                done = &mut child => break ChildEnd::Itself {
                    status: done.unwrap_or_else(|error| Err(io::Error::other(error))),
                    was_interrupted,
                },
            }
        };
        self.restore();
        end
    }

    /// The error of a person who left a prompt.
    pub(crate) fn left(&self) -> CliError {
        self.restore();
        // Prompts leave the cursor in the line that was left.
        let _ = writeln!(io::stderr());
        self.told(Told::Interrupt)
    }

    /// What did not happen, if this goes no further.
    pub(crate) fn undone(&self) -> Undone {
        self.undone
    }

    fn told(&self, told: Told) -> CliError {
        let (exit, why) = match told {
            Told::Interrupt => (Exit::Interrupted, "you left"),
            Told::Terminate => (Exit::Terminated, "the process was told to end"),
        };
        CliError::new(exit, self.undone.what).because(why)
    }

    fn restore(&self) {
        // A terminal that is gone needs no modes.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.modes);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.restore();
    }
}

/// By what a process is told to end.
#[derive(Clone, Copy, Debug)]
enum Told {
    /// A person, with Ctrl-C.
    Interrupt,
    /// The system, or a terminal that goes away.
    Terminate,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Safe to drop: a signal that was not returned is returned the next time.
    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.interrupt.recv() => Told::Interrupt,
            _ = self.terminate.recv() => Told::Terminate,
            _ = self.hangup.recv() => Told::Terminate,
        }
    }
}
