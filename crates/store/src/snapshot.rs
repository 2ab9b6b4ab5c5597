//! Snapshots of file systems: the record of each, until it is forgotten.
//!
//! The bytes are kept elsewhere, under the digest that the record names. What is
//! promised here makes it safe to remove them: nobody begins to rely on content
//! that is being removed.

use std::fmt::Debug;

use async_trait::async_trait;
use palisade_model::clock::Timestamp;
use palisade_model::id::SnapshotId;
use palisade_model::name::OrganizationId;
use palisade_model::snapshot::{
    Beyond, Content, ContentDigest, Effect, Snapshot, SnapshotChange, SnapshotLimits,
};

use crate::error::{Fault, GetError};
use crate::page::{Page, PageRequest, PageSize};

/// Keeps snapshots.
///
/// # Contract
///
/// * A snapshot is added only while its organization has room for it, whoever adds
///   others at the same time.
/// * Of two snapshots of an organization with one idempotency key, the second is
///   not added; the first is returned. One that failed has no key any more. The same is true of a snapshot before the end of
///   a sandbox of which one is being taken already.
/// * A snapshot that failed counts for nothing and holds no content. Of those of an
///   organization the newest are kept, as many as its limits say, when another snapshot
///   is added; the others are deleted as if somebody asked for it.
/// * What is read back equals what was added, changed by the moves of
///   [`Snapshot::apply`], each of which is made on the status as it is then.
/// * A list is in descending order of ids: the newest first.
/// * A snapshot is described only while nothing of the same content is being
///   removed, and while the organization has room for the bytes.
/// * Content is given to be removed once, when the last snapshot that names it is
///   deleted; what no other snapshot needs and is not stored goes at once.
/// * Unfinished are those that are being taken or deleted, and those whose sandbox
///   is still to be asked to end; of all organizations.
#[async_trait]
pub trait Snapshots: Debug + Send + Sync + 'static {
    /// Adds a snapshot that is about to be taken.
    async fn insert_snapshot(
        &self,
        snapshot: Snapshot,
        limits: SnapshotLimits,
    ) -> Result<Inserted, InsertSnapshotError>;

    /// Returns one snapshot.
    async fn get_snapshot(
        &self,
        organization: &OrganizationId,
        id: SnapshotId,
    ) -> Result<Snapshot, GetError>;

    /// Returns the snapshot that was asked for with this key, if one was.
    async fn snapshot_by_key(
        &self,
        organization: &OrganizationId,
        key: &str,
    ) -> Result<Option<Snapshot>, Fault>;

    /// Returns a part of the snapshots of an organization.
    async fn list_snapshots(
        &self,
        organization: &OrganizationId,
        page: PageRequest<SnapshotId>,
    ) -> Result<Page<Snapshot, SnapshotId>, Fault>;

    /// Makes a move; not to describe, which has conditions of its own.
    async fn change_snapshot(
        &self,
        organization: &OrganizationId,
        id: SnapshotId,
        change: SnapshotChange,
        now: Timestamp,
    ) -> Result<(Snapshot, Effect), GetError>;

    /// Says what a snapshot consists of, before the bytes are stored, and what its
    /// organization may have.
    async fn describe_snapshot(
        &self,
        organization: &OrganizationId,
        id: SnapshotId,
        described: (Content, SnapshotLimits),
        now: Timestamp,
    ) -> Result<Described, GetError>;

    /// Begins to forget a snapshot.
    async fn begin_deletion(
        &self,
        organization: &OrganizationId,
        id: SnapshotId,
        now: Timestamp,
    ) -> Result<Deletion, GetError>;

    /// Forgets a snapshot that is being deleted; succeeds if there is none.
    async fn finish_deletion(
        &self,
        organization: &OrganizationId,
        id: SnapshotId,
    ) -> Result<(), Fault>;

    /// Whether any snapshot of the organization names this content.
    async fn is_content_named(
        &self,
        organization: &OrganizationId,
        bucket: &str,
        digest: ContentDigest,
    ) -> Result<bool, Fault>;

    /// Returns snapshots on which work is left, the oldest first.
    async fn unfinished_snapshots(&self, limit: PageSize) -> Result<Vec<Snapshot>, Fault>;

    /// Returns where an organization keeps its snapshots, if it said so.
    async fn snapshot_bucket(&self, organization: &OrganizationId)
    -> Result<Option<Bucket>, Fault>;

    /// Says where an organization keeps its snapshots from now on.
    async fn set_snapshot_bucket(
        &self,
        organization: &OrganizationId,
        bucket: Option<Bucket>,
    ) -> Result<(), GetError>;
}

/// A bucket of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// The region that it is in.
    pub region: String,
}

/// What became of a snapshot that was to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It was.
    New,
    /// There is one with its key already.
    Known(Box<Snapshot>),
}

/// What became of a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Described {
    /// It holds.
    Done,
    /// The snapshot is not being taken any more.
    Over,
    /// The same content is being removed; try again soon.
    BeingRemoved,
    /// There is no room for so many bytes.
    Beyond(Beyond),
}

/// What is left to do for a snapshot to be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// Nothing.
    Done,
    /// Its content is to be removed, and then it is to be finished.
    Remove(Box<Snapshot>),
}

/// Why a snapshot was not added.
#[derive(Clone, Debug, thiserror::Error)]
pub enum InsertSnapshotError {
    /// There is no room for it.
    #[error(transparent)]
    Beyond(Beyond),
    /// There is a snapshot with this id; draw another one.
    #[error("the id is taken")]
    IdTaken,
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}
