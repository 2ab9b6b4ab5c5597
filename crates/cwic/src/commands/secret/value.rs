//! Where the value of a secret is read from: never from an argument.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::Path;

use palisade_model::secret::{SECRET_BYTES_MAX, SecretValue};

use crate::error::{CliError, Exit};
use crate::out::Out;
use crate::terminal::{Terminal, Undone};

const UNDONE: Undone = Undone {
    what: "no value was given",
    instead: "write it to standard input, or name a file with --from-file",
};

/// Reads the value from the file, from standard input, or from a hidden prompt.
pub(super) async fn read(
    file: Option<&Path>,
    name: &str,
    out: &Out,
) -> Result<SecretValue, CliError> {
    let bytes = match file {
        Some(path) => File::open(path).and_then(bounded).map_err(|error| {
            let why = format!("{} cannot be read: {error}", path.display());
            CliError::new(Exit::Usage, UNDONE.what).because(why)
        })?,
        None if io::stdin().is_terminal() => {
            let mut terminal = Terminal::open(UNDONE, out.has_color())?;
            let typed = terminal.ask_secret(format!("Value of {name}")).await?;
            typed.0.into_bytes()
        }
        None => {
            let bytes = bounded(io::stdin().lock());
            without_line_break(bytes.map_err(|error| {
                let why = format!("standard input cannot be read: {error}");
                CliError::new(Exit::Usage, UNDONE.what).because(why)
            })?)
        }
    };
    if bytes.is_empty() {
        return Err(CliError::new(Exit::Usage, UNDONE.what)
            .because("it is empty")
            .next(UNDONE.instead));
    }
    SecretValue::new(bytes).map_err(|_| {
        let why = format!("it has more than {SECRET_BYTES_MAX} bytes");
        CliError::new(Exit::Usage, "the secret was not kept").because(why)
    })
}

/// Not more than is needed to see that it is too much.
fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(SECRET_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    from.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What `echo` adds is not part of a secret.
fn without_line_break(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_at_the_end_is_not_part_of_a_value() {
        for (read, expected) in [
            ("x\n", "x"),
            ("x\r\n", "x"),
            ("x\n\n", "x\n"),
            ("x", "x"),
            ("\n", ""),
        ] {
            let value = without_line_break(read.as_bytes().to_vec());
            assert_eq!(value, expected.as_bytes(), "{read:?}");
        }
    }
}
