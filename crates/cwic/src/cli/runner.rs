//! The words of `cwic sandbox runner`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{ConfirmArgs, CreateArgs, DiffArgs, DocumentsArgs, FileArgs, ListArgs};
use crate::complete;

#[derive(Debug, Subcommand)]
pub(crate) enum RunnerCommand {
    /// Create a runner with a wizard, or runners from files; prints their ids
    #[command(
        after_help = "Examples:\n  cwic sandbox runner create\n  cwic sandbox runner create -f runner.yaml\n  cwic sandbox runner create my-runner -f - < runner.yaml"
    )]
    Create(CreateRunnerArgs),
    /// List runners, or show one
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  cwic sandbox runner ls\n  cwic sandbox runner get local -o yaml\n  cwic sandbox runner ls --watch"
    )]
    Get(GetRunnersArgs),
    /// Show one runner with everything that belongs to it
    #[command(after_help = "Example:\n  cwic sandbox runner describe local")]
    Describe(DescribeRunnerArgs),
    /// Change a runner with a wizard, or to what a file says; a list of bindings
    /// replaces the present one
    ///
    /// What is attached, kept and detached is told before. In a terminal you are
    /// asked, unless you say --yes.
    #[command(
        after_help = "Examples:\n  cwic sandbox runner edit local\n  cwic sandbox runner edit local -f bindings.yaml --yes"
    )]
    Edit(EditRunnerArgs),
    /// Update what a runner runs, where the server can
    #[command(after_help = "Example:\n  cwic sandbox runner upgrade local")]
    Upgrade(UpgradeRunnerArgs),
    /// Make runners as files say, whether they exist or not
    #[command(
        after_help = "Examples:\n  cwic sandbox runner apply -f runner.yaml\n  cwic sandbox runner apply -f runners/ --dry-run"
    )]
    Apply(DocumentsArgs),
    /// Show how runners differ from what files say; ends with 1 if they do
    #[command(after_help = "Example:\n  cwic sandbox runner diff -f runner.yaml")]
    Diff(DiffArgs),
    /// Delete a runner on which no sandbox lives
    #[command(
        after_help = "Examples:\n  cwic sandbox runner delete local --yes\n  cwic sandbox runner delete local --drain=30m"
    )]
    Delete(DeleteRunnerArgs),
}

#[derive(Args, Debug)]
pub(crate) struct CreateRunnerArgs {
    /// The id of the runner, if the file does not say it
    #[arg(value_name = "RUNNER-ID")]
    pub(crate) runner: Option<String>,
    #[command(flatten)]
    pub(crate) create: CreateArgs,
}

#[derive(Args, Debug)]
pub(crate) struct GetRunnersArgs {
    /// An id; all without one
    #[arg(value_name = "RUNNER-ID", add = complete::runners())]
    pub(crate) runner: Option<String>,
    /// Those that serve this cluster
    #[arg(long, value_name = "NAME", conflicts_with = "runner")]
    pub(crate) cluster: Option<String>,
    /// Those in this zone
    #[arg(long, value_name = "ZONE", conflicts_with = "runner")]
    pub(crate) zone: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DescribeRunnerArgs {
    /// An id
    #[arg(value_name = "RUNNER-ID", add = complete::runners())]
    pub(crate) runner: String,
}

#[derive(Args, Debug)]
pub(crate) struct EditRunnerArgs {
    /// An id
    #[arg(value_name = "RUNNER-ID", add = complete::runners())]
    pub(crate) runner: String,
    #[command(flatten)]
    pub(crate) file: FileArgs,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DeleteRunnerArgs {
    /// An id
    #[arg(value_name = "RUNNER-ID", add = complete::runners())]
    pub(crate) runner: String,
    /// Take no new sandbox, let those that live there end by themselves for so
    /// long, end the rest, and then delete
    #[arg(
        long,
        value_name = "TIMEOUT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "10m",
        value_parser = drain_time,
        conflicts_with = "force"
    )]
    pub(crate) drain: Option<Duration>,
    /// End the sandboxes that live there now, and then delete
    #[arg(long)]
    pub(crate) force: bool,
    /// Do not wait until it is gone
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
}

#[derive(Args, Debug)]
pub(crate) struct UpgradeRunnerArgs {
    /// An id
    #[arg(value_name = "RUNNER-ID")]
    pub(crate) runner: String,
}

/// A time such as `90s`, `10m`, `2h` or `1d`; a number alone means seconds.
fn drain_time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err("must be a time such as 90s, 10m, 2h or 1d".to_owned()),
    };
    let seconds = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "must be a time such as 90s, 10m, 2h or 1d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_or_means_seconds() {
        let seconds = |text| drain_time(text).map(|time| time.as_secs()).ok();
        assert_eq!(seconds("0"), Some(0));
        assert_eq!(seconds("90s"), Some(90));
        assert_eq!(seconds("10m"), Some(600));
        assert_eq!(seconds("2h"), Some(7200));
        assert_eq!(seconds("1d"), Some(86400));
        for bad in ["", "m", "1.5h", "-1", "1w", "10 m", "99999999999999999999d"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
