//! The feed of changes, by which others keep a picture of the store.
//!
//! To build a picture: take [`Changes::head`], read everything, then follow
//! [`Changes::changes_after`] from that head. A change tells what to read again
//! and not what is new there, so that reading twice does no harm.
//!
//! # How nothing is skipped
//!
//! A reader that saw sequence 7 never asks for 6 again, so 6 must not become
//! visible after 7. Numbers drawn from an ordinary sequence do not promise that:
//! two transactions can commit in the other order than they drew. Therefore the
//! number comes out of one row that the transaction updates as the last thing
//! before it commits, and whose lock it keeps until then. The order of numbers
//! is the order of commits, without gaps, since an abort takes the number back.
//! With SQLite there is one writing transaction at a time and that row is free.
//! With Postgres it makes transactions queue for the length of one commit; the
//! same statements work there, at `READ COMMITTED` or above.

use std::fmt::{self, Debug};
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use palisade_model::id::{ProfileId, RunnerUid, SandboxId, TokenId};
use palisade_model::name::OrganizationId;

use crate::error::Fault;
use crate::page::PageSize;

/// A place in the feed: everything up to and including one change.
///
/// Later places compare greater. There is no arithmetic on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sequence(pub(crate) u64);

impl Sequence {
    /// The place before the first change.
    pub const START: Self = Self(0);
}

/// A place in the feed of one organization: all that changed of its own, up to and
/// including one change.
///
/// It counts the changes of that organization alone, so that whoever is given one
/// learns nothing of what others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(pub(crate) u64);

/// As text, for somebody who keeps a place and gives it back.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The text is no place in a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a place that was handed out")]
pub struct BadPlace;

impl FromStr for Place {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<Self, BadPlace> {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| is_number);
        number.map(Self).ok_or(BadPlace)
    }
}

/// That something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its place in the feed.
    pub sequence: Sequence,
    /// Whose it is.
    pub organization: OrganizationId,
    /// What to read again.
    pub subject: Subject,
}

/// That something of an organization changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnChange {
    /// Its place in the feed of the organization.
    pub place: Place,
    /// What to read again.
    pub subject: Subject,
}

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The organization itself: it is new, or its quota changed.
    Organization,
    /// A token: it is new, or was revoked.
    Token(TokenId),
    /// A profile: it is new, changed, or was deleted.
    Profile(ProfileId),
    /// A runner: it is new, changed, is being deleted, or was deleted.
    Runner(RunnerUid),
    /// A sandbox: it is new, or its status changed.
    Sandbox(SandboxId),
}

/// Tells what changed.
///
/// # Contract
///
/// * Every call that changed an organization, a token, a profile, a runner or a
///   sandbox has its change in the feed, in the same transaction. A call that
///   was refused or changed nothing has none. Purging old records is no change.
/// * Following the feed from any place yields every later change exactly once,
///   in order: a change never appears at or before a place that was handed out.
/// * A change is visible no earlier than what it tells of.
/// * A place that is older than what is kept, or that this store never handed
///   out, is refused: whoever holds it must build its picture anew.
/// * Pruning keeps as many of the newest changes as were asked for.
/// * The feed of an organization holds its changes alone, in the same order. Its
///   places are moved by nothing that others do, and are refused only if changes of
///   the organization behind them were forgotten.
#[async_trait]
pub trait Changes: Debug + Send + Sync + 'static {
    /// The place behind the last change.
    async fn head(&self) -> Result<Sequence, Fault>;

    /// Returns the changes behind a place, the oldest first; empty at the head.
    async fn changes_after(
        &self,
        after: Sequence,
        limit: PageSize,
    ) -> Result<Vec<Change>, FeedError>;

    /// The place behind the last change of an organization.
    async fn head_of(&self, organization: &OrganizationId) -> Result<Place, Fault>;

    /// Returns the changes of an organization behind a place, the oldest first;
    /// empty at its head.
    async fn changes_of(
        &self,
        organization: &OrganizationId,
        after: Place,
        limit: PageSize,
    ) -> Result<Vec<OwnChange>, FeedError>;

    /// Waits until there is a change behind `after`, and at most for `limit`;
    /// returns the head.
    ///
    /// Wakes at once for a change that this process made, and within a second
    /// for one that another process made. Dropping it does no harm.
    async fn wait_for_change(&self, after: Sequence, limit: Duration) -> Result<Sequence, Fault>;

    /// Forgets all but the newest `keep` changes, of all organizations; at
    /// least one is kept.
    async fn prune_changes(&self, keep: u64) -> Result<(), Fault>;
}

/// Why the feed cannot be followed from a place.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FeedError {
    /// Changes behind the place were forgotten; build the picture anew.
    #[error("the place in the feed of changes is older than what is kept")]
    CursorTooOld,
    /// The store is an older copy of itself; build the picture anew.
    #[error("the place in the feed of changes is not one of this store")]
    CursorUnknown,
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}
