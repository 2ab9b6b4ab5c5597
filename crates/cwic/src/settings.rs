//! Which server and token a command uses.
//!
//! An argument wins over the environment, and that over the file. A context that
//! is named by an argument says server and token at once, so that it wins over
//! the environment in both. A token that was kept for one server is never sent
//! to another one.

use std::env;
use std::path::PathBuf;

use palisade_client::{Client, Server};

use crate::cli::{Cli, Given, Secret};
use crate::config_file::{ConfigFile, Login};
use crate::error::{CliError, Exit};
use crate::suggestion;

/// What was said about server and token, and the file.
#[derive(Debug)]
pub(crate) struct Settings {
    server: Option<Server>,
    token: Option<Secret>,
    context: Option<String>,
    given: Given,
    allows_plaintext: bool,
    /// The file of logins.
    pub(crate) file: ConfigFile,
}

/// Where a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// An argument.
    Flag,
    /// The environment.
    Environment,
    /// The context, kept in the file.
    Context,
}

impl Origin {
    fn of(is_given: bool) -> Self {
        if is_given {
            Self::Flag
        } else {
            Self::Environment
        }
    }

    /// The word for programs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::Context => "context",
        }
    }

    /// The words for people.
    pub(crate) fn for_people(self) -> &'static str {
        match self {
            Self::Flag => "from the command line",
            Self::Environment => "from the environment",
            Self::Context => "from the context",
        }
    }
}

impl Settings {
    /// Reads what the command line, the environment and the file say.
    pub(crate) fn load(cli: &Cli) -> Result<Self, CliError> {
        Ok(Self {
            server: cli.server.clone(),
            // Scripts that set a variable to nothing mean that there is none.
            token: cli.token.clone().filter(|token| !token.0.is_empty()),
            context: cli.context.clone().filter(|name| !name.is_empty()),
            given: cli.given,
            allows_plaintext: cli.allow_plaintext,
            file: ConfigFile::load(&config_home()?)?,
        })
    }

    /// Reads what the environment and the file say, where there is no command
    /// line.
    pub(crate) fn from_environment() -> Result<Self, CliError> {
        let text = |key: &str| {
            let value = env::var_os(key)?.into_string().ok()?;
            (!value.is_empty()).then_some(value)
        };
        Ok(Self {
            server: text("CWIC_SERVER").and_then(|server| server.parse().ok()),
            token: text("CWIC_TOKEN").map(Secret),
            context: text("CWIC_CONTEXT"),
            given: Given::default(),
            allows_plaintext: text("CWIC_ALLOW_PLAINTEXT").is_some(),
            file: ConfigFile::load(&config_home()?)?,
        })
    }

    /// The context that is used. One that was named must be there.
    pub(crate) fn context(&self) -> Result<String, CliError> {
        match &self.context {
            None => Ok(self.file.current().to_owned()),
            Some(name) => self.known_context(name).map(|()| name.clone()),
        }
    }

    /// The context under which a login is kept, which may be a new one.
    pub(crate) fn context_to_write(&self) -> String {
        let named = self.context.clone();
        named.unwrap_or_else(|| self.file.current().to_owned())
    }

    /// Refuses a name that no context has.
    pub(crate) fn known_context(&self, name: &str) -> Result<(), CliError> {
        let names = self.file.names();
        if names.iter().any(|known| known == name) {
            return Ok(());
        }
        let there = match names.join(", ") {
            none if none.is_empty() => "there was no login yet".to_owned(),
            names => format!("there are {names}"),
        };
        let question = suggestion::question(name, names.iter().map(String::as_str));
        let next = match question {
            Some(question) => format!("{question} cwic context ls lists all"),
            None => {
                format!("log in to make it: cwic auth login TOKEN --context {name} --server URL")
            }
        };
        let what = format!("the context {name} does not exist");
        Err(CliError::new(Exit::NotFound, what)
            .because(there)
            .next(next))
    }

    /// The server that is used, and who says so.
    pub(crate) fn server(&self) -> Result<(Server, Origin), CliError> {
        if let Some(server) = &self.server
            && (self.given.server || !self.given.context)
        {
            return Ok((server.clone(), Origin::of(self.given.server)));
        }
        let context = self.context()?;
        let Some(kept) = self.file.login(&context).server else {
            return Err(CliError::new(Exit::NotAllowed, "no server is known")
                .because("neither --server nor CWIC_SERVER is given, and there was no login")
                .next("log in: cwic auth login TOKEN --server URL"));
        };
        let server = kept.parse().map_err(|error| {
            let path = self.file.path().display();
            CliError::new(Exit::Usage, format!("the server in {path} cannot be used"))
                .because(format!("{kept:?} {error}"))
                .next("log in again: cwic auth login TOKEN --server URL")
        })?;
        Ok((server, Origin::Context))
    }

    /// The server to log in to: of a context that is to be made, it must be
    /// given.
    pub(crate) fn server_to_log_in(&self) -> Result<Server, CliError> {
        let is_new =
            (self.context.as_ref()).is_some_and(|name| self.file.login(name).server.is_none());
        match &self.server {
            Some(server) if self.given.server || is_new || !self.given.context => {
                Ok(server.clone())
            }
            Some(_) | None if is_new => {
                let what = "it is not known where the new context leads";
                Err(CliError::new(Exit::Usage, what)
                    .because("neither --server nor CWIC_SERVER is given")
                    .next("say where: --server URL"))
            }
            Some(_) | None => self.server().map(|(server, _)| server),
        }
    }

    /// The token that is used for the server, and who says so.
    pub(crate) fn token(&self, server: &Server) -> Result<(Secret, Origin), CliError> {
        if let Some(token) = &self.token
            && (self.given.token || !self.given.context)
        {
            return Ok((token.clone(), Origin::of(self.given.token)));
        }
        let Login {
            server: kept_for,
            token,
        } = self.file.login(&self.context()?);
        let is_for_server =
            kept_for.is_some_and(|kept| kept.parse().is_ok_and(|kept: Server| kept == *server));
        let token = token.filter(|_| is_for_server).ok_or_else(|| {
            CliError::new(Exit::NotAllowed, format!("no token is known for {server}"))
                .because("neither --token nor CWIC_TOKEN is given, and there was no login there")
                .next(format!("log in: cwic auth login TOKEN --server {server}"))
        })?;
        Ok((token, Origin::Context))
    }

    /// A client for the server, as the holder of the token.
    pub(crate) fn client(&self) -> Result<Client, CliError> {
        let (server, _) = self.server()?;
        let (token, _) = self.token(&server)?;
        self.client_for(server, &token)
    }

    /// A client for a server and a token of its own.
    pub(crate) fn client_for(&self, server: Server, token: &Secret) -> Result<Client, CliError> {
        self.check_encrypted(&server)?;
        Client::new(server, &token.0).map_err(|error| {
            CliError::new(Exit::Usage, "no call can be made")
                .because(error.to_string())
                .next("check the token, or log in again: cwic auth login TOKEN --server URL")
        })
    }

    fn check_encrypted(&self, server: &Server) -> Result<(), CliError> {
        if self.allows_plaintext || server.is_encrypted() || server.is_loopback() {
            return Ok(());
        }
        Err(
            CliError::new(Exit::Usage, format!("{server} is not encrypted"))
                .because("the token would travel readable to another machine")
                .next("use https, a tunnel that ends on this machine, or --allow-plaintext"),
        )
    }
}

fn config_home() -> Result<PathBuf, CliError> {
    let from = |key: &str| env::var_os(key).map(PathBuf::from);
    let home = from("XDG_CONFIG_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| Some(from("HOME")?.join(".config")));
    home.ok_or_else(|| {
        CliError::new(Exit::Usage, "there is no place for settings")
            .because("neither XDG_CONFIG_HOME nor HOME is set")
            .next("set one of them")
    })
}
