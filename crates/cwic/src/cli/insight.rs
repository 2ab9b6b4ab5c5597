//! The words of commands that look at the history of profiles, judge them, and
//! tell what placement makes of them.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use super::{AnswerArgs, OutcomeArgs};
use crate::complete;

#[derive(Args, Debug)]
pub(crate) struct RevisionsArgs {
    /// An id or a display name; of a deleted profile, its id
    #[arg(value_name = "PROFILE-ID", add = complete::profiles())]
    pub(crate) profile: String,
    /// What changed between two revisions, as in 2..5; 5 alone means 4..5
    #[arg(long, value_name = "FROM..TO")]
    pub(crate) diff: Option<Between>,
    /// How many of the newest are listed
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) limit: u16,
    #[command(flatten)]
    pub(crate) output: AnswerArgs,
}

#[derive(Args, Debug)]
pub(crate) struct RollbackArgs {
    /// An id or a display name
    #[arg(value_name = "PROFILE-ID", add = complete::profiles())]
    pub(crate) profile: String,
    /// The earlier revision
    #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) to: u32,
    /// Check everything on the server, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) outcome: OutcomeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct LintArgs {
    /// Ids or display names
    #[arg(value_name = "PROFILE-ID", required_unless_present = "file", add = complete::profiles())]
    pub(crate) profiles: Vec<String>,
    /// A file with YAML or JSON, or - for standard input; needs no server
    #[arg(short, long = "file", value_name = "FILE", conflicts_with = "profiles")]
    pub(crate) file: Option<PathBuf>,
    /// From which severity on a finding makes the command fail, with code 2
    #[arg(long, value_enum, value_name = "SEVERITY", default_value = "error")]
    pub(crate) fail_on: FailOn,
    #[command(flatten)]
    pub(crate) output: AnswerArgs,
}

/// From which severity on a finding makes a command fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Warnings and errors
    Warning,
    /// Errors alone
    Error,
}

#[derive(Args, Debug)]
pub(crate) struct ExplainProfileArgs {
    /// An id or a display name
    #[arg(value_name = "PROFILE-ID", add = complete::profiles())]
    pub(crate) profile: String,
    /// A runner that binds it
    #[arg(long, value_name = "RUNNER-ID", add = complete::runners())]
    pub(crate) runner: String,
    #[command(flatten)]
    pub(crate) output: AnswerArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ExplainRequestArgs {
    /// A file with the request in YAML or JSON, or - for standard input
    #[arg(short, long = "file", value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Show every constraint of every runner and profile, met or not
    #[arg(long)]
    pub(crate) checks: bool,
    #[command(flatten)]
    pub(crate) output: AnswerArgs,
}

/// Two revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Between {
    pub(crate) from: u32,
    pub(crate) to: u32,
}

impl FromStr for Between {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "must be two revisions as in 2..5, or one from 2 on";
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0);
        let (from, to) = if let Some((from, to)) = text.split_once("..") {
            (number(from), number(to))
        } else {
            let to = number(text);
            let from = to.and_then(|to| to.checked_sub(1));
            (from.filter(|from| *from > 0), to)
        };
        match (from, to) {
            (Some(from), Some(to)) => Ok(Self { from, to }),
            _ => Err(WRONG),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_revision_means_what_it_changed() {
        assert_eq!("2..5".parse(), Ok(Between { from: 2, to: 5 }));
        assert_eq!("5..2".parse(), Ok(Between { from: 5, to: 2 }));
        assert_eq!("5".parse(), Ok(Between { from: 4, to: 5 }));
        for bad in ["", "1", "0..1", "x", "2..", "..2", "-1"] {
            assert!(bad.parse::<Between>().is_err(), "{bad}");
        }
    }
}
