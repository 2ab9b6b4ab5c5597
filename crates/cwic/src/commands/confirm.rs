//! Asking before what cannot be undone.

use crate::cli::ConfirmArgs;
use crate::error::{CliError, Exit};
use crate::out::Out;
use crate::present::plain;
use crate::terminal::{Terminal, Undone};

const UNDONE: Undone = Undone {
    what: "nothing was deleted",
    instead: "say --yes",
};

/// Asks, unless that is not wanted. Without a terminal nobody can be asked, and
/// silence is no consent.
pub(super) async fn confirm(
    args: ConfirmArgs,
    question: &str,
    out: &mut Out,
) -> Result<(), CliError> {
    if args.yes {
        return Ok(());
    }
    let mut terminal = Terminal::open(UNDONE, out.has_color())?;
    if terminal.agrees(plain(question)).await? {
        Ok(())
    } else {
        Err(CliError::new(Exit::Failure, UNDONE.what).because("you did not say yes"))
    }
}
