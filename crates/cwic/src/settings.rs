//! Which server and token a command uses.
//!
//! A flag wins over the environment, and both over the file; clap has put the
//! first two together already. A token that was kept for one server is never
//! sent to another one.

use std::env;
use std::path::PathBuf;

use palisade_client::{Client, Server};

use crate::cli::{Cli, Secret};
use crate::config_file::{ConfigFile, Login};
use crate::error::{CliError, Exit};

/// What was said about server and token, and the file.
#[derive(Debug)]
pub(crate) struct Settings {
    server: Option<Server>,
    token: Option<Secret>,
    allows_plaintext: bool,
    /// The file of logins.
    pub(crate) file: ConfigFile,
}

impl Settings {
    /// Reads what the command line, the environment and the file say.
    pub(crate) fn load(cli: &Cli) -> Result<Self, CliError> {
        Ok(Self {
            server: cli.server.clone(),
            // Scripts that set the variable to nothing mean that there is none.
            token: cli.token.clone().filter(|token| !token.0.is_empty()),
            allows_plaintext: cli.allow_plaintext,
            file: ConfigFile::load(&config_home()?)?,
        })
    }

    /// The server that is used.
    pub(crate) fn server(&self) -> Result<Server, CliError> {
        if let Some(server) = &self.server {
            return Ok(server.clone());
        }
        let Some(kept) = self.file.login().server else {
            return Err(CliError::new(Exit::NotAllowed, "no server is known")
                .because("neither --server nor CWIC_SERVER is given, and there was no login")
                .next("log in: cwic auth login TOKEN --server URL"));
        };
        kept.parse().map_err(|error| {
            let path = self.file.path().display();
            CliError::new(Exit::Usage, format!("the server in {path} cannot be used"))
                .because(format!("{kept:?} {error}"))
                .next("log in again: cwic auth login TOKEN --server URL")
        })
    }

    /// The token that is used for the server.
    pub(crate) fn token(&self, server: &Server) -> Result<Secret, CliError> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        let Login {
            server: kept_for,
            token,
        } = self.file.login();
        let is_for_server =
            kept_for.is_some_and(|kept| kept.parse().is_ok_and(|kept: Server| kept == *server));
        token.filter(|_| is_for_server).ok_or_else(|| {
            CliError::new(Exit::NotAllowed, format!("no token is known for {server}"))
                .because("neither --token nor CWIC_TOKEN is given, and there was no login there")
                .next(format!("log in: cwic auth login TOKEN --server {server}"))
        })
    }

    /// A client for the server, as the holder of the token.
    pub(crate) fn client(&self) -> Result<Client, CliError> {
        let server = self.server()?;
        let token = self.token(&server)?;
        self.client_for(server, &token)
    }

    /// A client for a server and a token of its own.
    pub(crate) fn client_for(&self, server: Server, token: &Secret) -> Result<Client, CliError> {
        self.check_encrypted(&server)?;
        Client::new(server, &token.0).map_err(|error| {
            CliError::new(Exit::Usage, "no call can be made").because(error.to_string())
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
