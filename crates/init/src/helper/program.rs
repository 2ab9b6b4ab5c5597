//! The child that becomes a command.
//!
//! It leaves the session of process 1, takes its terminal, its mark, its user and
//! its directory, and executes the program. What goes wrong is said on a pipe
//! that the program does not get: one byte, and why in words.

use std::fs::File;
use std::io;
use std::io::Write as _;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::sys::signal::SigSet;

use super::become_user::{become_user, give_stdio_to, limit_descriptors};
use super::user::{User, user_in};
use crate::command::{NOT_EXECUTABLE, NOT_FOUND, NOT_PREPARED};
use crate::family::Mark;
use crate::handover;

/// Where programs are looked for unless something else is said.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How the child ends if the program could not be started; nobody looks at it.
const FAILED: u8 = 127;

/// What is given in the arguments.
struct Arguments<'a> {
    mark: Option<Mark>,
    has_terminal: bool,
    descriptors: Option<u64>,
    makes_directory: bool,
    /// Empty is where it is.
    directory: &'a str,
    /// Nobody is who it is.
    user: Option<&'a str>,
    program: &'a str,
    rest: &'a [String],
}

/// Why the program does not run: what to say first, and the words.
struct Failure(u8, String);

/// Becomes the command. Returns only if that failed.
pub(crate) fn run(arguments: &[String]) -> Option<ExitCode> {
    let (setup, arguments) = arguments.split_first()?;
    let setup: RawFd = setup.parse().ok()?;
    let arguments = Arguments::parse(arguments)?;
    let [setup] = handover::take([setup]).ok()?;
    let Failure(kind, reason) = become_program(&arguments);
    let words = [&[kind], reason.as_bytes()].concat();
    let _ = File::from(setup).write_all(&words);
    Some(ExitCode::from(FAILED))
}

impl<'a> Arguments<'a> {
    fn parse(arguments: &'a [String]) -> Option<Self> {
        let (fixed, rest) = arguments.split_first_chunk()?;
        let [mark, terminal, descriptors, make, directory, user, program] = fixed;
        Some(Self {
            mark: Mark::from_argument(mark),
            has_terminal: !terminal.is_empty(),
            descriptors: descriptors.parse().ok(),
            makes_directory: !make.is_empty(),
            directory,
            user: user_in(user),
            program,
            rest,
        })
    }
}

fn become_program(arguments: &Arguments<'_>) -> Failure {
    match prepare(arguments) {
        Ok(home) => execute(arguments, home),
        Err(failure) => failure,
    }
}

/// Makes the process what it is to be, and returns its home if it becomes somebody.
fn prepare(arguments: &Arguments<'_>) -> Result<Option<String>, Failure> {
    // Whoever started it blocks a signal, which would be inherited for ever.
    let unblocked = SigSet::empty().thread_set_mask();
    unblocked.map_err(|error| not_prepared("cannot unblock signals", &error.into()))?;
    rustix::process::setsid()
        .map_err(|error| not_prepared("cannot begin a session", &error.into()))?;
    if arguments.has_terminal {
        rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())
            .map_err(|error| not_prepared("cannot take the terminal", &error.into()))?;
    }
    if let Some(mark) = arguments.mark {
        mark.put_on_self();
    }
    if let Some(descriptors) = arguments.descriptors {
        limit_descriptors(descriptors);
    }
    let home = match arguments.user {
        Some(user) => Some(change_user(arguments, user)?),
        None => None,
    };
    if !arguments.directory.is_empty() {
        std::env::set_current_dir(arguments.directory).map_err(|error| {
            let what = format!("cannot enter the directory {}", arguments.directory);
            not_prepared(&what, &error)
        })?;
    }
    Ok(home)
}

/// Becomes somebody, and returns where he lives.
fn change_user(arguments: &Arguments<'_>, user: &str) -> Result<String, Failure> {
    let user = User::find(user).map_err(|error| Failure(NOT_PREPARED, error.to_string()))?;
    if arguments.makes_directory {
        make_directory(arguments.directory, &user)?;
    }
    give_stdio_to(&user);
    become_user(&user).map_err(|error| {
        let what = format!("cannot become user {}:{}", user.uid, user.gid);
        not_prepared(&what, &error)
    })?;
    Ok(user.home)
}

/// Makes the directory and gives it to the user, if it is not there.
fn make_directory(path: &str, user: &User) -> Result<(), Failure> {
    if Path::new(path).is_dir() {
        return Ok(());
    }
    let made = std::fs::create_dir_all(path)
        .and_then(|()| std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid)));
    made.map_err(|error| not_prepared(&format!("cannot make the directory {path}"), &error))
}

fn execute(arguments: &Arguments<'_>, home: Option<String>) -> Failure {
    let mut command = Command::new(arguments.program);
    command.args(arguments.rest);
    if std::env::var_os("PATH").is_none() {
        command.env("PATH", PATH);
    }
    if let Some(home) = home.filter(|_| std::env::var_os("HOME").is_none()) {
        command.env("HOME", home);
    }
    let error = command.exec();
    let kind = if error.kind() == io::ErrorKind::NotFound {
        NOT_FOUND
    } else {
        NOT_EXECUTABLE
    };
    Failure(
        kind,
        format!("cannot execute {}: {error}", arguments.program),
    )
}

fn not_prepared(what: &str, error: &io::Error) -> Failure {
    Failure(NOT_PREPARED, format!("{what}: {error}"))
}
