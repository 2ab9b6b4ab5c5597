//! The words of `cwic auth`.

use clap::{Args, Subcommand};

use super::{AnswerArgs, Secret};

#[derive(Debug, Subcommand)]
pub(crate) enum AuthCommand {
    /// Check a token and keep it for later commands
    #[command(
        after_help = "Examples:\n  cwic auth login --server http://127.0.0.1:8700\n  cwic auth login - --server http://127.0.0.1:8700 < token\n  cwic auth login - --context staging --server https://palisade.example.com < token"
    )]
    Login(LoginArgs),
    /// Tell which server is used, and whether its token works
    #[command(after_help = "Examples:\n  cwic auth status\n  cwic auth status -o json")]
    Status(AnswerArgs),
    /// Forget the token
    #[command(after_help = "Example:\n  cwic auth logout")]
    Logout,
}

#[derive(Args, Debug)]
pub(crate) struct LoginArgs {
    /// The token, or - to read it from standard input; without one you are asked,
    /// which needs a terminal
    #[arg(id = "login_token", value_name = "TOKEN")]
    pub(crate) token: Option<Secret>,
}
