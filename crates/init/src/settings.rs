//! What holds for everything that is started: variables, directory, user.
//!
//! `PATH` and `HOME` are filled in later, by the child itself, since `HOME`
//! depends on who it is.

use std::collections::BTreeMap;

use palisade_init_protocol::config::{Config, Limits};
use palisade_init_protocol::request::Exec;
use palisade_init_protocol::text::{AbsolutePath, Command, SignalNumber, UserName, Variable};

/// What holds for everything that is started.
#[derive(Debug)]
pub(crate) struct Settings {
    environment: BTreeMap<String, String>,
    directory: AbsolutePath,
    /// Whoever runs the main process and owns the files.
    pub(crate) user: UserName,
    /// How the main process is asked to end.
    pub(crate) stop_signal: SignalNumber,
    /// What is bounded.
    pub(crate) limits: Limits,
    /// How many descriptors a process had before process 1 took more.
    pub(crate) descriptors: Option<u64>,
}

/// What is to be started.
#[derive(Debug)]
pub(crate) struct Program {
    /// The program and its arguments.
    pub(crate) command: Command,
    /// All of its variables but the defaults.
    pub(crate) environment: BTreeMap<String, String>,
    /// Where it starts.
    pub(crate) directory: AbsolutePath,
    /// Whether to make that.
    pub(crate) makes_directory: bool,
    /// Who runs it.
    pub(crate) user: UserName,
}

impl Settings {
    /// Takes a configuration apart. The files are put in place before.
    pub(crate) fn new(config: Config, descriptors: Option<u64>) -> (Self, Program) {
        let Config {
            command,
            environment,
            directory,
            user,
            stop_signal,
            limits,
        } = config;
        let environment: BTreeMap<String, String> =
            environment.into_iter().map(Variable::into_parts).collect();
        let main = Program {
            command,
            environment: environment.clone(),
            directory: directory.clone(),
            makes_directory: true,
            user: user.clone(),
        };
        let settings = Self {
            environment,
            directory,
            user,
            stop_signal,
            limits,
            descriptors,
        };
        (settings, main)
    }

    /// What a request stands for. The terminal is somebody else's.
    pub(crate) fn program(&self, exec: Exec) -> Program {
        let Exec {
            command,
            environment,
            directory,
            user,
            terminal: _,
        } = exec;
        let mut all = self.environment.clone();
        all.extend(environment.into_iter().map(Variable::into_parts));
        Program {
            command,
            environment: all,
            directory: directory.unwrap_or_else(|| self.directory.clone()),
            makes_directory: false,
            user: user.unwrap_or_else(|| self.user.clone()),
        }
    }
}
