//! Waiting for what a sandbox comes to.
//!
//! A terminal is shown how it is going; a pipe hears nothing until it is over. A
//! server that is away for a while is waited for.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use palisade_client::Sandboxes;
use palisade_wire::proto::v1beta2::{GetSandboxResponse, SandboxStatus};
use tokio::time::{self, Instant};

use crate::commands::sandbox::failure::{failed, may_pass};
use crate::error::CliError;
use crate::present::printable;
use crate::present::sandbox::status_word;

/// How soon it is looked at again, at first and at last.
const LOOK_FIRST: Duration = Duration::from_millis(50);
const LOOK_LAST: Duration = Duration::from_secs(1);
/// How long the server may be away.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long nothing is shown.
const QUIET: Duration = Duration::from_secs(1);

/// Waits until a sandbox is in a state that `holds`.
pub(super) async fn until(
    sandboxes: &Sandboxes,
    id: &str,
    holds: impl Fn(SandboxStatus) -> bool,
) -> Result<GetSandboxResponse, CliError> {
    let mut look = LOOK_FIRST;
    let mut line = Line::new();
    let mut heard = Instant::now();
    loop {
        match sandboxes.get(id).await {
            Ok(seen) if holds(seen.sandbox_status()) => return Ok(seen),
            Ok(seen) => {
                line.show(&seen);
                heard = Instant::now();
            }
            Err(error) if may_pass(&error) && heard.elapsed() < PATIENCE => {}
            Err(error) => {
                let what = format!("sandbox {id} cannot be looked at");
                return Err(failed(&what, &error));
            }
        }
        time::sleep(look).await;
        look = (look * 3 / 2).min(LOOK_LAST);
    }
}

/// Whether nothing will come of it any more.
pub(super) fn is_over(status: SandboxStatus) -> bool {
    match status {
        SandboxStatus::Completed | SandboxStatus::Failed | SandboxStatus::Terminated => true,
        SandboxStatus::Unspecified
        | SandboxStatus::Creating
        | SandboxStatus::Pending
        | SandboxStatus::Running
        | SandboxStatus::Paused
        | SandboxStatus::Terminating => false,
    }
}

/// Whether the main process runs, or ran.
pub(super) fn has_begun(status: SandboxStatus) -> bool {
    is_over(status) || matches!(status, SandboxStatus::Running | SandboxStatus::Terminating)
}

/// A line of a terminal that is written again and again, and gone at the end.
#[derive(Debug)]
struct Line {
    is_terminal: bool,
    since: Instant,
    is_shown: bool,
}

impl Line {
    fn new() -> Self {
        Self {
            is_terminal: io::stderr().is_terminal(),
            since: Instant::now(),
            is_shown: false,
        }
    }

    fn show(&mut self, seen: &GetSandboxResponse) {
        if !self.is_terminal || self.since.elapsed() < QUIET {
            return;
        }
        self.is_shown = true;
        let (word, reason) = (status_word(seen.sandbox_status()), &seen.status_reason);
        let seconds = self.since.elapsed().as_secs();
        let reason = if reason.is_empty() {
            String::new()
        } else {
            format!(", {}", printable(reason))
        };
        let text: String = format!("sandbox is {word}{reason} ({seconds} s)");
        let width = usize::from(super::terminal::size().width).saturating_sub(1);
        let text: String = text.chars().take(width).collect();
        let _ = write!(io::stderr(), "\r\u{1b}[K{text}");
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}
