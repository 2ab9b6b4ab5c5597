//! The words of `cwic sandbox quota`.

use std::str::FromStr;

use clap::{ArgGroup, Args, Subcommand};
use palisade_model::quantity::{Bytes, Quantity};

use super::{ListArgs, OutcomeArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum QuotaCommand {
    /// Show the limits of the organization and of a user, and what is used of them
    #[command(
        after_help = "Examples:\n  cwic sandbox quota get\n  cwic sandbox quota get --user ada -o json"
    )]
    Get(ShowQuotaArgs),
    /// List the limits that were set, for the organization, each user, and single
    /// ones; for administrators
    #[command(
        visible_alias = "list",
        after_help = "Example:\n  cwic sandbox quota ls"
    )]
    Ls(ListQuotaArgs),
    /// Set limits of users; for administrators
    ///
    /// Limits that are not named stay as they are. A user who has none of his own begins
    /// with those of each user, in whose place his stand from then on. No limit may be beyond
    /// that of the organization, which whoever runs the platform sets: palisade
    /// organization set-quota.
    #[command(
        after_help = "Examples:\n  cwic sandbox quota set --each-user --max-sandboxes 5 --max-cpu 4\n  \
            cwic sandbox quota set --user ada --max-sandboxes 20 --max-gpus none\n  \
            cwic sandbox quota set --user ada --remove"
    )]
    Set(SetQuotaArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ShowQuotaArgs {
    /// Another user; for administrators
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ListQuotaArgs {
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("whose").required(true).args(["each_user", "user"]))]
pub(crate) struct SetQuotaArgs {
    /// The limits of every user that has none of his own
    #[arg(long)]
    pub(crate) each_user: bool,
    /// The limits of this user alone
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// Take the limits of the user away, so that those of each user hold
    #[arg(long, requires = "user", conflicts_with_all = ["each_user", "limits"])]
    pub(crate) remove: bool,
    /// Check everything and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) outcome: OutcomeArgs,
}

/// The limits that change; `none` lifts one.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[group(id = "limits", multiple = true)]
pub(crate) struct LimitArgs {
    /// CPU of one sandbox, such as 4 or 500m; none for no limit, as of all of these
    #[arg(long = "max-cpu", value_name = "CPU")]
    pub(crate) cpu: Option<Most<Amount>>,
    /// Memory of one sandbox, such as 8Gi
    #[arg(long = "max-memory", value_name = "SIZE")]
    pub(crate) memory: Option<Most<Amount>>,
    /// GPUs of one sandbox
    #[arg(long = "max-gpus", value_name = "COUNT")]
    pub(crate) gpus: Option<Most<u32>>,
    /// Sandboxes that live at once
    #[arg(long = "max-sandboxes", value_name = "COUNT")]
    pub(crate) sandboxes: Option<Most<u32>>,
    /// Sandboxes that are started within a minute
    #[arg(long = "max-starts-per-minute", value_name = "COUNT")]
    pub(crate) starts_per_minute: Option<Most<u32>>,
    /// Snapshots of file systems
    #[arg(long = "max-snapshots", value_name = "COUNT")]
    pub(crate) snapshots: Option<Most<u32>>,
    /// Bytes of the archives of snapshots together, such as 100Gi
    #[arg(long = "max-snapshot-bytes", value_name = "SIZE")]
    pub(crate) snapshot_bytes: Option<Most<Bytes>>,
}

/// A limit, or that there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Most<T>(pub(crate) Option<T>);

impl<T: FromStr<Err: ToString>> FromStr for Most<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self(None)),
            text => match text.parse() {
                Ok(most) => Ok(Self(Some(most))),
                Err(error) => Err(format!("{}, or none for no limit", error.to_string())),
            },
        }
    }
}

/// A quantity, in the words of the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Amount(pub(crate) String);

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let quantity: Quantity = text.parse().map_err(|error| format!("{error}"))?;
        Ok(Self(quantity.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_an_amount_or_none() {
        let amount = "500m".parse::<Most<Amount>>().unwrap();
        assert_eq!(amount, Most(Some(Amount("500m".to_owned()))));
        let bytes = "1Ki".parse::<Most<Bytes>>().unwrap();
        assert_eq!(bytes, Most(Some(Bytes(1024))));
        assert_eq!("none".parse::<Most<u32>>(), Ok(Most(None)));
        for wrong in ["", "-1", "many", "4294967296"] {
            let error = wrong.parse::<Most<u32>>().unwrap_err();
            assert!(error.ends_with("or none for no limit"), "{error}");
        }
        assert!("much".parse::<Most<Amount>>().is_err());
    }
}
