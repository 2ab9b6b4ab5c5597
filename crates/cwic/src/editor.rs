//! The editor of a person, and what was typed there.
//!
//! The text lies in a directory that only its owner can open, as long as the
//! editor runs and no longer; what other files the editor leaves beside it go
//! with it. When something fails, nothing that was typed is lost: it is kept,
//! and its path is told. Only a person who leaves with Ctrl-C leaves nothing.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use palisade_wire::document::BYTES_MAX;
use tempfile::TempDir;

use crate::error::{CliError, Exit};
use crate::terminal::{ChildEnd, Terminal};

pub(crate) mod notes;

/// What is started when nothing is said, as POSIX has it on every system.
const DEFAULT: &str = "vi";

/// What a shell ends with when it cannot find or cannot start a program.
const NOT_FOUND: i32 = 127;
const NOT_RUNNABLE: i32 = 126;

/// The number of the signal of Ctrl-C.
const SIGINT: i32 = 2;

/// An editor, and what is written in it.
#[derive(Debug)]
pub(crate) struct Editor {
    command: OsString,
    /// The name of the file, whose ending tells editors the language.
    file_name: &'static str,
    /// The command that takes up a file that was kept.
    go_on: String,
}

impl Editor {
    /// The editor that the environment names.
    pub(crate) fn from_environment(file_name: &'static str, go_on: impl Into<String>) -> Self {
        let named = |key| env::var_os(key).filter(|value| !value.is_empty());
        Self {
            command: named("VISUAL")
                .or_else(|| named("EDITOR"))
                .unwrap_or_else(|| DEFAULT.into()),
            file_name,
            go_on: go_on.into(),
        }
    }

    /// Opens a text, and returns it as it was left.
    pub(crate) async fn open(
        &self,
        text: &str,
        terminal: &mut Terminal,
    ) -> Result<String, CliError> {
        let what = terminal.undone().what;
        let scratch = match self.write(text) {
            Ok(scratch) => scratch,
            Err(error) => {
                let failure = CliError::new(Exit::Failure, what)
                    .because(format!("a file for the editor cannot be written: {error}"));
                return Err(self.keep(text, failure));
            }
        };
        let command = match self.start(&scratch) {
            Ok(command) => command,
            Err(error) => {
                return Err(self.keep(
                    text,
                    CliError::new(Exit::Failure, what).because(error.to_string()),
                ));
            }
        };
        match terminal.lend(command).await {
            ChildEnd::Told(error) => Err(self.leave(scratch, error)),
            ChildEnd::Itself {
                status,
                was_interrupted,
            } => match self.fault(status, was_interrupted) {
                None => self.read(scratch, what),
                Some(Fault::Left) => Err(terminal.left()),
                Some(Fault::Failed(why)) => {
                    let failure = CliError::new(Exit::Failure, what).because(why);
                    Err(self.leave(scratch, failure))
                }
            },
        }
    }

    /// Keeps a text in a file, and says in the error where.
    pub(crate) fn keep(&self, text: &str, error: CliError) -> CliError {
        match self.write(text) {
            Ok(scratch) => self.leave(scratch, error),
            // Then the terminal is the last place where it can be kept.
            Err(cause) => error
                .because(format!(
                    "and what you typed cannot be kept in a file: {cause}"
                ))
                .next(format!("copy what you typed from here:\n{text}")),
        }
    }

    fn write(&self, text: &str) -> io::Result<Scratch> {
        let dir = tempfile::Builder::new()
            .prefix("cwic-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()?;
        let path = dir.path().join(self.file_name);
        fs::write(&path, text)?;
        Ok(Scratch { dir, path })
    }

    /// Leaves the file where it is, and says so.
    fn leave(&self, scratch: Scratch, error: CliError) -> CliError {
        let Scratch { dir, path } = scratch;
        let _kept = dir.keep();
        let path = path.display();
        let kept = format!(
            "what you typed is kept in {path}; go on with: {} {path}",
            self.go_on
        );
        let next = match &error.next {
            Some(next) => format!("{next}; {kept}"),
            None => kept,
        };
        error.next(next)
    }

    /// The shell starts the editor, as the variables may hold arguments.
    ///
    /// It draws on what standard error is, as the result of the command may be
    /// on its way into a pipe.
    fn start(&self, scratch: &Scratch) -> io::Result<Command> {
        let screen = io::stderr().as_fd().try_clone_to_owned()?;
        let mut script = self.command.clone();
        script.push(" \"$@\"");
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(script)
            .arg(OsStr::new("sh"))
            .arg(&scratch.path)
            .stdout(Stdio::from(screen));
        Ok(command)
    }

    fn fault(&self, status: io::Result<ExitStatus>, was_interrupted: bool) -> Option<Fault> {
        let editor = self.command.display();
        let status = match status {
            Ok(status) if status.success() => return None,
            Ok(status) if was_interrupted || status.signal() == Some(SIGINT) => {
                return Some(Fault::Left);
            }
            Ok(status) => status,
            Err(error) => {
                return Some(Fault::Failed(format!(
                    "the editor cannot be started: {error}"
                )));
            }
        };
        let what = match status.code() {
            Some(NOT_FOUND) => format!(
                "the editor {editor} was not found; set VISUAL or EDITOR to one that is there"
            ),
            Some(NOT_RUNNABLE) => {
                format!("the editor {editor} cannot be run; set VISUAL or EDITOR to one that can")
            }
            Some(code) => format!("the editor {editor} ended with code {code}"),
            None => format!("the editor {editor} was ended by a signal"),
        };
        Some(Fault::Failed(what))
    }

    fn read(&self, scratch: Scratch, what: &'static str) -> Result<String, CliError> {
        let failure = |why: String| CliError::new(Exit::Usage, what).because(why);
        let mut bytes = Vec::new();
        let limit = BYTES_MAX as u64 + 1;
        let read =
            File::open(&scratch.path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
        if let Err(error) = read {
            let why = format!("what the editor left cannot be read: {error}");
            return Err(self.leave(scratch, failure(why)));
        }
        if bytes.len() > BYTES_MAX {
            let why = format!("the document is too large; at most {BYTES_MAX} bytes are read");
            return Err(self.leave(scratch, failure(why)));
        }
        String::from_utf8(bytes).map_err(|_| {
            self.leave(
                scratch,
                failure("the document is not UTF-8 text".to_owned()),
            )
        })
    }
}

/// Why there is nothing to go on with.
enum Fault {
    /// A person pressed Ctrl-C.
    Left,
    /// The editor failed.
    Failed(String),
}

/// A text that lies in a directory of its own, which goes when this goes.
struct Scratch {
    dir: TempDir,
    path: PathBuf,
}
