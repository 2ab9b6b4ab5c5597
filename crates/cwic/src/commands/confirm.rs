//! Asking before what cannot be undone.

use crate::cli::ConfirmArgs;
use crate::error::{CliError, Exit};
use crate::out::Out;

/// Asks, unless that is not wanted. Without a terminal nobody can be asked, and
/// silence is no consent.
pub(super) fn confirm(args: ConfirmArgs, question: &str, out: &mut Out) -> Result<(), CliError> {
    if args.yes {
        return Ok(());
    }
    match out.confirm(question) {
        Some(true) => Ok(()),
        Some(false) => {
            Err(CliError::new(Exit::Failure, "nothing was deleted").because("you did not say yes"))
        }
        None => Err(CliError::new(Exit::Usage, "nothing was deleted")
            .because("nobody can be asked: standard input is no terminal")
            .next("say --yes")),
    }
}
