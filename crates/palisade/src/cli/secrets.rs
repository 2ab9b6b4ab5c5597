//! The words about secrets.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::StateArgs;

/// Where the values of secrets are.
#[derive(Args, Clone, Debug)]
pub(crate) struct SecretsArgs {
    #[command(flatten)]
    pub(crate) key: SecretsKeyArgs,
    /// A secret store whose values are outside of the database, for one organization: in
    /// variables of this process that begin with a prefix, as in acme/build=env:BUILD_, or in files
    /// below a directory, as in acme/files=dir:/etc/secrets; repeatable
    #[arg(
        long = "secret-store",
        env = "PALISADE_SECRET_STORES",
        value_delimiter = ',',
        value_name = "ORG/NAME=SOURCE"
    )]
    pub(crate) secret_stores: Vec<String>,
}

/// The key that seals secrets.
#[derive(Args, Clone, Debug)]
pub(crate) struct SecretsKeyArgs {
    /// The file with the key that seals the secrets of the database, readable by its owner
    /// alone; by default secrets.key in the state directory, made when it is missing
    #[arg(long, env = "PALISADE_SECRETS_KEY_FILE", value_name = "FILE")]
    pub(crate) secrets_key_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// Make a new key, and seal every secret of the database with it; servers may run meanwhile
    RotateKey {
        #[command(flatten)]
        key: SecretsKeyArgs,
        #[command(flatten)]
        state: StateArgs,
    },
}
