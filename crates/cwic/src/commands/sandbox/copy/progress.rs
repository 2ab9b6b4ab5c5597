//! How far a copy has come, shown on a terminal once it takes a while.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::time::Instant;

/// How long nothing is shown, and how often it is shown anew.
const QUIET: Duration = Duration::from_secs(1);
const PERIOD: Duration = Duration::from_millis(200);

/// How far a copy has come; gone from the terminal when dropped.
#[derive(Debug)]
pub(super) struct Progress {
    name: String,
    total: Option<u64>,
    done: u64,
    due: Instant,
    is_terminal: bool,
    is_shown: bool,
}

impl Progress {
    /// Begins, with the number of bytes if it is known.
    pub(super) fn new(name: &str, total: Option<u64>) -> Self {
        Self {
            name: crate::present::printable(name),
            total,
            done: 0,
            due: Instant::now() + QUIET,
            is_terminal: io::stderr().is_terminal(),
            is_shown: false,
        }
    }

    /// So many bytes more.
    pub(super) fn add(&mut self, bytes: usize) {
        self.done += bytes as u64;
        let now = Instant::now();
        if self.is_terminal && now >= self.due {
            self.due = now + PERIOD;
            self.is_shown = true;
            let _ = write!(io::stderr(), "\r\u{1b}[K{}", self.text());
        }
    }

    fn text(&self) -> String {
        let done = mebibytes(self.done);
        match self.total {
            Some(total) => format!("{}: {done} of {} MiB", self.name, mebibytes(total)),
            None => format!("{}: {done} MiB", self.name),
        }
    }
}

fn mebibytes(bytes: u64) -> String {
    let tenths = u128::from(bytes) * 10 / (1024 * 1024);
    format!("{}.{}", tenths / 10, tenths % 10)
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_told_in_mebibytes() {
        let mut progress = Progress::new("a\u{1b}b", Some(3 << 20));
        progress.add(1_600_000);
        assert_eq!(progress.text(), "a\\u{1b}b: 1.5 of 3.0 MiB");
    }
}
