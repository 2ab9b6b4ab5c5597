//! The words of `cwic sandbox secret`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::{ConfirmArgs, ListArgs, OutcomeArgs};
use crate::complete;

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Put the value of a secret into a store, or replace it
    ///
    /// The value is read from standard input, from a file, or from a prompt that
    /// does not show it; never from an argument, which others on this machine
    /// could read. One line break at the end of standard input is not part of it.
    #[command(
        after_help = "Examples:\n  cwic sandbox secret set team HF_TOKEN < token\n  \
            cwic sandbox secret set team db --field password\n  \
            cwic sandbox secret set team tls-key --from-file key.pem"
    )]
    Set(SetSecretArgs),
    /// List the secrets of a store: names and times, and no values
    #[command(
        visible_alias = "list",
        after_help = "Examples:\n  cwic sandbox secret ls team\n  cwic sandbox secret ls team -o json"
    )]
    Ls(ListSecretsArgs),
    /// Delete secrets for good; sandboxes that run keep what they were given
    #[command(
        visible_alias = "delete",
        after_help = "Examples:\n  cwic sandbox secret rm team HF_TOKEN\n  cwic sandbox secret rm team db --field password --yes"
    )]
    Rm(DeleteSecretArgs),
    /// Keep secret stores: what secrets are in
    #[command(
        subcommand,
        visible_alias = "stores",
        after_help = "Example:\n  cwic sandbox secret store create team"
    )]
    Store(SecretStoreCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretStoreCommand {
    /// Make a store that the server keeps itself, encrypted
    #[command(after_help = "Example:\n  cwic sandbox secret store create team")]
    Create(CreateStoreArgs),
    /// List the stores of the organization
    #[command(
        visible_alias = "list",
        after_help = "Example:\n  cwic sandbox secret store ls"
    )]
    Ls(ListStoresArgs),
    /// Delete a store with everything in it
    #[command(
        visible_alias = "delete",
        after_help = "Example:\n  cwic sandbox secret store rm team"
    )]
    Rm(DeleteStoreArgs),
}

/// Which secret.
#[derive(Args, Debug)]
pub(crate) struct SecretNameArgs {
    /// The store
    #[arg(value_name = "STORE", add = complete::secret_stores())]
    pub(crate) store: String,
    /// The name of the secret in it, which sandboxes ask for
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// A field of the secret, if it has several
    #[arg(
        long,
        value_name = "FIELD",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) field: String,
}

#[derive(Args, Debug)]
pub(crate) struct SetSecretArgs {
    #[command(flatten)]
    pub(crate) secret: SecretNameArgs,
    /// The file that holds the value, taken as it is
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) from_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) outcome: OutcomeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ListSecretsArgs {
    /// The store
    #[arg(value_name = "STORE", add = complete::secret_stores())]
    pub(crate) store: String,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DeleteSecretArgs {
    #[command(flatten)]
    pub(crate) secret: SecretNameArgs,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
    #[command(flatten)]
    pub(crate) outcome: OutcomeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct CreateStoreArgs {
    /// The name: a-z, 0-9 and '-', 3 to 63 characters, a letter first
    #[arg(value_name = "STORE")]
    pub(crate) store: String,
    #[command(flatten)]
    pub(crate) outcome: OutcomeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ListStoresArgs {
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DeleteStoreArgs {
    /// The store
    #[arg(value_name = "STORE", add = complete::secret_stores())]
    pub(crate) store: String,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
    #[command(flatten)]
    pub(crate) outcome: OutcomeArgs,
}
