//! The terminal of this program, lent to a command elsewhere.
//!
//! Invariant: however the program leaves, by a return or by a signal that it
//! listens to, dropping [`Raw`] puts the terminal back as it was.

use std::env;
use std::io::{self, IsTerminal as _};

use palisade_client::Terminal;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// A size for terminals that do not know their own.
const SIZE: Terminal = Terminal {
    width: 80,
    height: 24,
};

/// A terminal that passes every key on, for as long as this lives.
#[derive(Debug)]
pub(super) struct Raw {
    saved: Termios,
}

impl Raw {
    /// Has the terminal at standard input pass every key on.
    pub(super) fn enter() -> io::Result<Self> {
        let saved = tcgetattr(io::stdin())?;
        let mut raw = saved.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { saved })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.saved);
    }
}

/// Whether standard input is a terminal.
pub(super) fn is_input() -> bool {
    io::stdin().is_terminal()
}

/// The size of the terminal that is looked at.
pub(super) fn size() -> Terminal {
    let sizes = [tcgetwinsize(io::stdout()), tcgetwinsize(io::stdin())];
    let known = sizes
        .into_iter()
        .flatten()
        .find(|size| size.ws_col > 0 && size.ws_row > 0);
    known.map_or(SIZE, |size| Terminal {
        width: size.ws_col,
        height: size.ws_row,
    })
}

/// What kind of terminal it is, for the variable `TERM` of the command.
pub(super) fn kind() -> String {
    let kind = env::var_os("TERM").and_then(|kind| kind.into_string().ok());
    kind.filter(|kind| !kind.is_empty())
        .unwrap_or_else(|| "xterm".to_owned())
}
