//! `cwic sandbox quota set`: changes the limits that are named, and no others.
//!
//! What others change meanwhile is not lost: the server refuses a change that was
//! made from an older state, and it is made anew from the present one.

use std::process::ExitCode;

use palisade_client::{CallError, Change, Client};
use palisade_model::quantity::Bytes;
use palisade_model::reason::Reason;
use palisade_wire::rest::{LimitSet, QuotaLimits};

use crate::cli::{Amount, LimitArgs, Most, SetQuotaArgs};
use crate::commands::Ended;
use crate::error::{CliError, Exit};
use crate::out::Out;
use crate::outcome::{Outcome, Report};

/// How often a change is made anew that another one came before.
const ATTEMPTS: u32 = 5;

/// What programs are told that was changed when it was that of each user.
const EACH_USER: &str = "each-user";

/// Runs the command.
pub(super) async fn run(args: &SetQuotaArgs, client: &Client, out: &mut Out) -> Ended {
    if !args.remove && args.limits == LimitArgs::default() {
        return Err(CliError::new(Exit::Usage, "no limit is named")
            .because("limits that are not named stay as they are")
            .next(
                "name one, such as --max-sandboxes 5; cwic sandbox quota set --help lists them",
            ));
    }
    let changed = out.during("waiting for the server", change(args, client));
    let result = match changed.await {
        Ok(true) => "configured",
        Ok(false) => "unchanged",
        Err(error) => return Err(refused(args, &error)),
    };
    let (name, people) = match &args.user {
        Some(user) => (user.as_str(), format!("user {user}")),
        None => (EACH_USER, "each user".to_owned()),
    };
    let tried = if args.dry_run { " (dry run)" } else { "" };
    let line = format!("quota of {people} {result}{tried}");
    let mut report = Report::new(args.outcome.output);
    let outcome = Outcome::of("quota", name, result).tried(args.dry_run);
    report.tell(outcome, line, out);
    report.finish(out);
    Ok(ExitCode::SUCCESS)
}

/// Whether anything is different now, or would be.
async fn change(args: &SetQuotaArgs, client: &Client) -> Result<bool, CallError> {
    let user = args.user.as_deref();
    let mut attempt = 1;
    loop {
        let present = client.quota_limits().await?;
        let wanted = (!args.remove).then(|| applied(present_of(&present, user), &args.limits));
        let change = Change {
            is_dry_run: args.dry_run,
            etag: Some(present.etag.clone()),
        };
        match client
            .set_quota_limits(user, wanted.as_ref(), &change)
            .await
        {
            Ok(now) => return Ok(now.each_user != present.each_user || now.users != present.users),
            Err(error) if is_late(&error) && attempt < ATTEMPTS => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

/// The limits that hold for them now.
fn present_of(present: &QuotaLimits, user: Option<&str>) -> LimitSet {
    let own = user.and_then(|user| present.users.get(user));
    own.unwrap_or(&present.each_user).clone()
}

fn is_late(error: &CallError) -> bool {
    match error {
        CallError::Refused(refused) => refused.reason() == Some(Reason::EtagMismatch.as_str()),
        CallError::NotAName { .. }
        | CallError::Unreachable { .. }
        | CallError::Lost { .. }
        | CallError::TimedOut { .. }
        | CallError::NotUnderstood { .. } => false,
    }
}

/// The limits with those changed that are named.
fn applied(present: LimitSet, args: &LimitArgs) -> LimitSet {
    let LimitArgs {
        cpu,
        memory,
        gpus,
        sandboxes,
        starts_per_minute,
        snapshots,
        snapshot_bytes,
    } = args.clone();
    LimitSet {
        max_cpu: most(cpu, present.max_cpu, |Amount(text)| text),
        max_memory: most(memory, present.max_memory, |Amount(text)| text),
        max_gpus: most(gpus, present.max_gpus, |count| count),
        max_sandboxes: most(sandboxes, present.max_sandboxes, |count| count),
        max_starts_per_minute: most(starts_per_minute, present.max_starts_per_minute, |it| it),
        max_snapshots: most(snapshots, present.max_snapshots, |count| count),
        max_snapshot_bytes: most(snapshot_bytes, present.max_snapshot_bytes, |Bytes(it)| it),
    }
}

fn most<T, U>(named: Option<Most<T>>, present: Option<U>, told: fn(T) -> U) -> Option<U> {
    match named {
        Some(Most(most)) => most.map(told),
        None => present,
    }
}

/// A limit beyond the organization's is no mistake of a document.
fn refused(args: &SetQuotaArgs, error: &CallError) -> CliError {
    let whose = match &args.user {
        Some(user) => format!("user {user}"),
        None => "each user".to_owned(),
    };
    let failure = CliError::call(&format!("the quota of {whose} was not changed"), error);
    match error {
        CallError::Refused(refused) if refused.metadata("allowed").is_some() => failure
            .into_refused()
            .next("ask for no more than the organization may have: cwic sandbox quota ls"),
        CallError::Refused(_)
        | CallError::NotAName { .. }
        | CallError::Unreachable { .. }
        | CallError::Lost { .. }
        | CallError::TimedOut { .. }
        | CallError::NotUnderstood { .. } => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_changes_and_the_rest_stays() {
        let present = LimitSet {
            max_cpu: Some("4".to_owned()),
            max_gpus: Some(1),
            max_sandboxes: Some(2),
            ..LimitSet::default()
        };
        let named = LimitArgs {
            memory: Some(Most(Some(Amount("8Gi".to_owned())))),
            gpus: Some(Most(None)),
            sandboxes: Some(Most(Some(3))),
            snapshot_bytes: Some(Most(Some(Bytes(7)))),
            ..LimitArgs::default()
        };
        let expected = LimitSet {
            max_cpu: Some("4".to_owned()),
            max_memory: Some("8Gi".to_owned()),
            max_sandboxes: Some(3),
            max_snapshot_bytes: Some(7),
            ..LimitSet::default()
        };
        assert_eq!(applied(present, &named), expected);
    }

    #[test]
    fn a_user_without_limits_of_his_own_begins_with_those_of_each_user() {
        let at_most = |sandboxes| LimitSet {
            max_sandboxes: Some(sandboxes),
            ..LimitSet::default()
        };
        let present = QuotaLimits {
            each_user: at_most(3),
            users: [("ada".to_owned(), at_most(5))].into(),
            ..QuotaLimits::default()
        };
        assert_eq!(present_of(&present, Some("ada")), at_most(5));
        assert_eq!(present_of(&present, Some("bob")), at_most(3));
        assert_eq!(present_of(&present, None), at_most(3));
    }
}
