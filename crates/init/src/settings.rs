//! What holds for everything that is started: variables, directory, user.
//!
//! Of process 1 they are configured; an agent is what its commands are to be, and
//! they inherit it. `PATH` and `HOME` are filled in later, by the child itself,
//! since `HOME` depends on who it is.

use std::collections::BTreeMap;

use palisade_init_protocol::config::{Config, Limits};
use palisade_init_protocol::request::Exec;
use palisade_init_protocol::text::{AbsolutePath, Command, SignalNumber, UserName, Variable};

/// What a terminal is unless somebody says something else, as container runtimes do.
const TERMINAL: (&str, &str) = ("TERM", "xterm");

/// What holds for everything that is started.
#[derive(Debug)]
pub(crate) struct Settings {
    environment: BTreeMap<String, String>,
    /// Whether there are this program's own variables beside those.
    inherits: bool,
    directory: Option<AbsolutePath>,
    /// Whoever runs the main process and owns the files; `None` is who this is.
    pub(crate) user: Option<UserName>,
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
    /// All of its variables but the defaults, and those that it inherits.
    pub(crate) environment: BTreeMap<String, String>,
    /// Whether it inherits the variables of this program.
    pub(crate) inherits: bool,
    /// Where it starts; `None` is where this program is.
    pub(crate) directory: Option<AbsolutePath>,
    /// Whether to make that.
    pub(crate) makes_directory: bool,
    /// Who runs it; `None` is who this is.
    pub(crate) user: Option<UserName>,
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
            inherits: false,
            directory: Some(directory.clone()),
            makes_directory: true,
            user: Some(user.clone()),
        };
        let settings = Self {
            environment,
            inherits: false,
            directory: Some(directory),
            user: Some(user),
            stop_signal,
            limits,
            descriptors,
        };
        (settings, main)
    }

    /// Everything is as it is here.
    pub(crate) fn inherited(limits: Limits, descriptors: Option<u64>) -> Self {
        Self {
            environment: BTreeMap::new(),
            inherits: true,
            directory: None,
            user: None,
            stop_signal: SignalNumber::TERM,
            limits,
            descriptors,
        }
    }

    /// What a request stands for. The terminal itself is somebody else's.
    pub(crate) fn program(&self, exec: Exec) -> Program {
        let Exec {
            command,
            environment,
            directory,
            user,
            terminal,
        } = exec;
        let mut all = self.environment.clone();
        all.extend(environment.into_iter().map(Variable::into_parts));
        let (name, kind) = TERMINAL;
        let is_said = self.inherits && std::env::var_os(name).is_some();
        if terminal.is_some() && !is_said {
            let variable = all.entry(name.to_owned());
            variable.or_insert_with(|| kind.to_owned());
        }
        Program {
            command,
            environment: all,
            inherits: self.inherits,
            directory: directory.or_else(|| self.directory.clone()),
            makes_directory: false,
            user: user.or_else(|| self.user.clone()),
        }
    }
}
