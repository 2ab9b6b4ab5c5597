//! Which server and token a command uses.
//!
//! An argument wins over the environment, and that over the file. A context that
//! is named by an argument says server and token at once, so that it wins over
//! the environment in both. A token that was kept for one server is never sent
//! to another one.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use palisade_client::{Client, Server, SetupError, Trust};

use crate::cli::{Cli, Given, Secret};
use crate::config_file::{ConfigFile, Login};
use crate::error::{CliError, Exit};
use crate::suggestion;

/// The most that is read of a file of certificates.
const CA_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What was said about server and token, and the file.
#[derive(Debug)]
pub(crate) struct Settings {
    server: Option<Server>,
    token: Option<Secret>,
    context: Option<String>,
    given: Given,
    /// What an argument or the environment says of who vouches for the server.
    ca_file: Option<PathBuf>,
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
            ca_file: cli
                .ca_file
                .clone()
                .filter(|path| !path.as_os_str().is_empty()),
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
            ca_file: text("CWIC_CA_FILE").map(PathBuf::from),
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
            names => format!("known are {names}"),
        };
        let question = suggestion::question(name, names.iter().map(String::as_str));
        let next = match question {
            Some(question) => format!("{question} cwic context ls lists all"),
            None => {
                format!("log in to make it: cwic auth login --context {name} --server URL")
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
                .next("log in: cwic auth login --server URL"));
        };
        let server = kept.parse().map_err(|error| {
            let path = self.file.path().display();
            CliError::new(Exit::Usage, format!("the server in {path} cannot be used"))
                .because(format!("{kept:?} {error}"))
                .next("log in again: cwic auth login --server URL")
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
            ca_file: _,
        } = self.file.login(&self.context()?);
        let is_for_server =
            kept_for.is_some_and(|kept| kept.parse().is_ok_and(|kept: Server| kept == *server));
        let token = token.filter(|_| is_for_server).ok_or_else(|| {
            CliError::new(Exit::NotAllowed, format!("no token is known for {server}"))
                .because("neither --token nor CWIC_TOKEN is given, and there was no login there")
                .next(format!("log in: cwic auth login --server {server}"))
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
        let trust = self.trust(&server)?;
        Client::trusting(server, &token.0, trust).map_err(|error| {
            let failure = CliError::new(Exit::Usage, "no call can be made");
            let failure = failure.because(error.to_string());
            failure.next(match error {
                SetupError::BadCertificates => {
                    "check the file of --ca-file, CWIC_CA_FILE or the context"
                }
                SetupError::BadToken | SetupError::Tls(_) => {
                    "check the token, or log in again: cwic auth login --server URL"
                }
            })
        })
    }

    /// Who vouches for the server: an argument or the environment says so, or
    /// the context that is used, if it is about this server.
    fn ca_file(&self, server: &Server) -> Option<PathBuf> {
        if let Some(path) = &self.ca_file {
            return Some(path.clone());
        }
        let login = self.file.login(&self.context().ok()?);
        let is_for_server = login
            .server
            .is_some_and(|kept| kept.parse().is_ok_and(|kept: Server| kept == *server));
        login.ca_file.filter(|_| is_for_server)
    }

    /// The same as a path that holds from every directory.
    pub(crate) fn ca_file_to_keep(&self, server: &Server) -> Result<Option<PathBuf>, CliError> {
        let path = self.ca_file(server);
        let path = path.map(|path| {
            path.canonicalize()
                .map_err(|error| unreadable(&path, &error))
        });
        path.transpose()
    }

    fn trust(&self, server: &Server) -> Result<Trust, CliError> {
        let Some(path) = self.ca_file(server) else {
            return Ok(Trust::System);
        };
        let read = fs::File::open(&path).and_then(|file| {
            let mut pem = Vec::new();
            file.take(CA_BYTES_MAX).read_to_end(&mut pem).map(|_| pem)
        });
        read.map(Trust::Only)
            .map_err(|error| unreadable(&path, &error))
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

fn unreadable(path: &Path, error: &io::Error) -> CliError {
    let what = format!("the certificates in {} cannot be read", path.display());
    CliError::new(Exit::Usage, what)
        .because(error.to_string())
        .next("check the file of --ca-file, CWIC_CA_FILE or the context")
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
