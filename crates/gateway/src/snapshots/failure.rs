//! Why snapshots are not taken: for their records, and for those who wait.

use std::collections::BTreeMap;
use std::time::Duration;

use palisade_backend::AttachError;
use palisade_blob::BlobError;
use palisade_model::id::SnapshotId;
use palisade_model::quota::Scope;
use palisade_model::reason::{Code, Reason};
use palisade_model::refusal::Refusal;
use palisade_model::snapshot::Beyond;
use palisade_store::GetError;
use tracing::warn;

use crate::error::{ApiError, attach_refusal};

/// When one more snapshot may be tried.
const RETRY: Duration = Duration::from_secs(2);

/// Why a snapshot was not taken, for its record and for those who wait.
#[derive(Debug)]
pub(super) struct Failure {
    reason: Reason,
    message: String,
    facts: BTreeMap<String, String>,
}

impl Failure {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            facts: BTreeMap::new(),
        }
    }

    /// As it is kept: the reason is its first word, and what programs are told is at
    /// its end. [`failed`] reads it.
    pub(super) fn text(&self) -> String {
        let Self {
            reason,
            message,
            facts,
        } = self;
        if facts.is_empty() {
            return format!("{reason}: {message}");
        }
        let facts = facts.iter().map(|(key, value)| format!("{key}={value}"));
        let facts = facts.collect::<Vec<_>>().join(" ");
        format!("{reason}: {message} [{facts}]")
    }
}

/// Facts that are no single words would not be read back, and are not told.
impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let is_word = |text: &String| !text.contains([' ', '=', '[', ']']);
        let facts = refusal.metadata.into_iter();
        Self {
            facts: facts.filter(|(_, value)| is_word(value)).collect(),
            ..Self::new(refusal.reason, refusal.message)
        }
    }
}

impl From<GetError> for Failure {
    fn from(error: GetError) -> Self {
        match error {
            GetError::NotFound => Self::new(Reason::FssCanceled, "it was deleted meanwhile"),
            GetError::Fault(fault) => Self::new(Reason::FssCreateFailed, fault.to_string()),
        }
    }
}

impl From<BlobError> for Failure {
    fn from(error: BlobError) -> Self {
        warn!(error = %error, "the bytes of a snapshot could not be stored");
        let reason = store_reason(&error).unwrap_or(Reason::FssCreateFailed);
        Self::new(reason, format!("the archive could not be stored: {error}"))
    }
}

/// What the way to a store is told as, or the store itself; `None` where it is
/// neither that fails.
pub(super) fn store_reason(error: &BlobError) -> Option<Reason> {
    match error {
        BlobError::Denied(_) => Some(Reason::FssBucketUnavailable),
        BlobError::KeyRefused(_) => Some(Reason::FssAuthFailed),
        BlobError::Throttled => Some(Reason::FssBackendThrottled),
        BlobError::Unreachable(_) => Some(Reason::FssTransportFailed),
        BlobError::NotFound | BlobError::Length { .. } | BlobError::Full | BlobError::Failed(_) => {
            None
        }
    }
}

/// Why an archive does not come. A runner that is away, or a sandbox that ended, is
/// told as that: nothing is wrong with what should have been archived.
pub(super) fn unread(error: AttachError) -> Failure {
    let is_its_own = match &error {
        AttachError::NotFound
        | AttachError::NotRunning
        | AttachError::Busy { .. }
        | AttachError::Draining
        | AttachError::Lost => true,
        AttachError::ExecFailed { .. }
        | AttachError::File { .. }
        | AttachError::LogGap { .. }
        | AttachError::LogOffset { .. }
        | AttachError::PortClosed { .. }
        | AttachError::TunnelFailed { .. }
        | AttachError::FileSystem { .. } => false,
    };
    let refusal = attach_refusal(error, "read");
    if is_its_own {
        return refusal.into();
    }
    Failure::new(Reason::FssCreateFailed, refusal.message)
}

/// What one more snapshot is refused with.
pub(super) fn refused(beyond: Beyond) -> Refusal {
    let told = |reason, limit: &str, (scope, used, asked, allowed): (Scope, u64, u64, u64)| {
        Refusal::new(reason, beyond.to_string())
            .with("limit", limit)
            .with("scope", scope.as_str())
            .with("used", used.to_string())
            .with("asked", asked.to_string())
            .with("allowed", allowed.to_string())
    };
    match beyond {
        Beyond::Count {
            scope,
            used,
            allowed,
        } => told(
            Reason::FssQuotaExceeded,
            "snapshots",
            (scope, used, 1, allowed),
        ),
        Beyond::Bytes {
            scope,
            used,
            asked,
            allowed,
        } => told(
            Reason::FssQuotaExceeded,
            "snapshot_bytes",
            (scope, used, asked, allowed),
        ),
        Beyond::InFlight { used, allowed } => told(
            Reason::FssInflightLimit,
            "in_flight",
            (Scope::Organization, used, 1, allowed),
        )
        .retry_after(RETRY),
    }
}

/// The refusal that the text of a failed snapshot tells of.
pub(super) fn failed(id: SnapshotId, text: &str) -> ApiError {
    let (first, message) = text.split_once(": ").unwrap_or(("", text));
    let mut reasons = Reason::ALL.iter().copied();
    let reason = reasons.find(|reason| reason.as_str() == first);
    let reason = reason.unwrap_or(Reason::FssCreateFailed);
    let (message, facts) = facts_of(message);
    let refusal = Refusal::new(
        reason,
        format!("the file-system snapshot failed: {message}"),
    );
    let refusal = facts
        .into_iter()
        .fold(refusal, |refusal, (key, value)| refusal.with(key, value));
    let refusal = if reason.code() == Code::Unavailable {
        refusal.retry_after(RETRY)
    } else {
        refusal
    };
    refusal
        .with("file_system_snapshot_id", id.to_string())
        .into()
}

/// A message without the facts at its end, and these.
fn facts_of(text: &str) -> (&str, Vec<(&str, &str)>) {
    let read = || {
        let (message, facts) = text.strip_suffix(']')?.rsplit_once(" [")?;
        let facts = facts.split(' ').map(fact).collect::<Option<Vec<_>>>()?;
        Some((message, facts))
    };
    // A message may happen to end like that.
    read().unwrap_or((text, Vec::new()))
}

fn fact(text: &str) -> Option<(&str, &str)> {
    let (key, value) = text.split_once('=')?;
    let is_of_key = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    (!key.is_empty() && key.bytes().all(is_of_key)).then_some((key, value))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn read_back(failure: &Failure) -> Refusal {
        failed(SnapshotId::new(Uuid::nil()), &failure.text()).refusal
    }

    #[test]
    fn what_is_kept_of_a_failure_is_told_as_it_was() {
        let beyond = Beyond::Bytes {
            scope: Scope::User,
            used: 5,
            asked: 7,
            allowed: 10,
        };
        let refusal = refused(beyond);
        let told = read_back(&Failure::from(refusal.clone()));
        assert_eq!(told.reason, Reason::FssQuotaExceeded);
        assert!(told.message.ends_with(&refusal.message), "{}", told.message);
        for (key, value) in &refusal.metadata {
            assert_eq!(&told.metadata[key], value);
        }
    }

    #[test]
    fn a_store_that_fails_is_told_as_what_it_is() {
        let cause = || Box::new(std::io::Error::other("any"));
        let cases = [
            (BlobError::Throttled, Reason::FssBackendThrottled),
            (BlobError::KeyRefused("403".into()), Reason::FssAuthFailed),
            (BlobError::Unreachable(cause()), Reason::FssTransportFailed),
            (BlobError::Denied("no".into()), Reason::FssBucketUnavailable),
            (BlobError::Failed(cause()), Reason::FssCreateFailed),
        ];
        for (error, reason) in cases {
            let told = read_back(&error.into());
            assert_eq!(told.reason, reason);
            // The spelling of clients: only this one passes by itself.
            let passes = reason == Reason::FssBackendThrottled;
            assert_eq!(reason.may_retry(), passes, "{reason}");
            assert_eq!(told.retry_after.is_some(), passes, "{reason}");
        }
    }

    #[test]
    fn a_runner_that_is_lost_or_ends_is_not_taken_for_a_snapshot_that_cannot_be() {
        let cases = [
            (AttachError::Lost, Reason::RunnerUnavailable),
            (AttachError::Draining, Reason::RunnerUnavailable),
            (AttachError::NotRunning, Reason::SandboxNotRunning),
            (AttachError::Busy { limit: 1 }, Reason::Overloaded),
            (
                AttachError::FileSystem {
                    message: "it holds a device".to_owned(),
                },
                Reason::FssCreateFailed,
            ),
        ];
        for (error, reason) in cases {
            assert_eq!(read_back(&unread(error)).reason, reason);
        }
    }

    #[test]
    fn a_failure_without_facts_is_its_message() {
        let message = "a file [1] = 2 could not be read]";
        let told = read_back(&Failure::new(Reason::FssCreateFailed, message));
        assert_eq!(told.reason, Reason::FssCreateFailed);
        assert!(told.message.ends_with(message), "{}", told.message);
        let odd = Refusal::new(Reason::FssCreateFailed, "x").with("path", "a b");
        assert_eq!(Failure::from(odd).text(), "CWSANDBOX_FSS_CREATE_FAILED: x");
    }
}
