//! Where a snapshot is in its life, and the moves from there.

use super::{Content, Snapshot};
use crate::clock::Timestamp;

/// Where a snapshot is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is being taken.
    Creating,
    /// It can be restored.
    Ready,
    /// It was not taken; why, in words for a person.
    Failed(String),
    /// It is being forgotten.
    Deleting,
}

impl Status {
    /// The status as it is written down.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Ready => "ready",
            Self::Failed(_) => "failed",
            Self::Deleting => "deleting",
        }
    }
}

/// What happened to a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotChange {
    /// Somebody is still working on it.
    Touched,
    /// It is known what it consists of; the bytes are yet to be stored.
    Described(Content),
    /// The bytes are stored.
    Stored,
    /// It cannot be taken.
    Failed(String),
    /// Its sandbox was asked to end, or is not to be asked any more.
    StopAsked,
}

/// Whether a change made a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It did.
    Changed,
    /// The snapshot is not in a state in which it could.
    Unchanged,
}

impl Snapshot {
    /// Makes a move, if there is one from here.
    pub fn apply(&mut self, change: SnapshotChange, now: Timestamp) -> Effect {
        let is_creating = self.status == Status::Creating;
        match change {
            SnapshotChange::Touched if is_creating => {}
            SnapshotChange::Described(content) if is_creating => self.content = Some(content),
            SnapshotChange::Stored if is_creating && self.content.is_some() => {
                self.status = Status::Ready;
                self.completed_at = Some(now);
            }
            SnapshotChange::Failed(reason) if is_creating => {
                self.status = Status::Failed(reason);
                self.completed_at = Some(now);
                // Its sandbox goes on: what it holds is nowhere else.
                self.stop_grace_ms = None;
                // Whoever asks once more has it tried once more.
                self.idempotency_key.clear();
            }
            SnapshotChange::StopAsked if self.stop_grace_ms.is_some() => {
                self.stop_grace_ms = None;
            }
            SnapshotChange::Touched
            | SnapshotChange::Described(_)
            | SnapshotChange::Stored
            | SnapshotChange::Failed(_)
            | SnapshotChange::StopAsked => return Effect::Unchanged,
        }
        self.updated_at = now;
        Effect::Changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sample_snapshot;

    const LATER: Timestamp = Timestamp::from_micros(9);

    fn content() -> Content {
        sample_snapshot().content.unwrap()
    }

    fn creating() -> Snapshot {
        Snapshot {
            status: Status::Creating,
            content: None,
            completed_at: None,
            stop_grace_ms: Some(5),
            ..sample_snapshot()
        }
    }

    #[test]
    fn nothing_is_ready_before_it_is_known_what_it_is() {
        let mut snapshot = creating();
        assert_eq!(
            snapshot.apply(SnapshotChange::Stored, LATER),
            Effect::Unchanged
        );
        assert!(snapshot.restore().is_none());
        snapshot.apply(SnapshotChange::Described(content()), LATER);
        assert!(snapshot.restore().is_none());
        assert_eq!(
            snapshot.apply(SnapshotChange::Stored, LATER),
            Effect::Changed
        );
        assert_eq!(snapshot.completed_at, Some(LATER));
        assert_eq!(snapshot.restore().unwrap().content, content());
    }

    #[test]
    fn a_sandbox_whose_snapshot_failed_is_not_asked_to_end() {
        let mut snapshot = Snapshot {
            idempotency_key: "key".to_owned(),
            ..creating()
        };
        snapshot.apply(SnapshotChange::Failed("no".into()), LATER);
        assert_eq!(snapshot.status, Status::Failed("no".into()));
        assert_eq!(snapshot.stop_grace_ms, None);
        assert_eq!(snapshot.idempotency_key, "", "it can be tried once more");
    }

    #[test]
    fn nothing_changes_what_is_over() {
        let over = [Status::Ready, Status::Failed("no".into()), Status::Deleting];
        for status in over {
            let mut snapshot = Snapshot {
                status,
                ..sample_snapshot()
            };
            let before = snapshot.clone();
            for change in [
                SnapshotChange::Touched,
                SnapshotChange::Described(content()),
                SnapshotChange::Stored,
                SnapshotChange::Failed("late".into()),
                SnapshotChange::StopAsked,
            ] {
                assert_eq!(snapshot.apply(change, LATER), Effect::Unchanged);
            }
            assert_eq!(snapshot, before);
        }
    }
}
