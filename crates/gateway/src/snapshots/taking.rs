//! Taking a snapshot: recorded, archived by the runner, stored, and ready.
//!
//! ```text
//!  record ─► archive head ─► describe ─► bytes, hashed on the way ─► stored ─► ready
//! ```
//!
//! One task does it, whoever waits. It ends with the snapshot, with its limit, or
//! with the gateway, and says how in the record.

use std::time::Duration;

use palisade_backend::{Archive, Attach};
use palisade_blob::{BlobError, BlobName, Blobs};
use palisade_model::id::SnapshotId;
use palisade_model::name::OrganizationId;
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::sandbox::{Phase, Sandbox, StopWish};
use palisade_model::snapshot::{
    Content, ContentDigest, Effect, IDEMPOTENCY_KEY_MAX, Snapshot, SnapshotChange, Status, Trigger,
};
use palisade_store::GetError;
use palisade_store::sandbox::StatusChange;
use palisade_store::snapshot::{Described, InsertSnapshotError, Inserted};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use tokio::time::{self, Instant};
use tracing::{info, warn};

use super::failure::{Failure, failed, refused, unread};
use super::{Snapshots, blob_name};
use crate::access::not_running;
use crate::error::{ApiError, ApiResult, invalid, runner_unavailable};

/// How often it is said that a snapshot is still being taken.
pub(super) const TOUCH: Duration = Duration::from_secs(5);
/// A runner that sends nothing for so long is given up on.
const SILENCE_MAX: Duration = Duration::from_mins(1);
/// How long equal content that is being removed is waited for, and how often.
const REMOVALS_MAX: u32 = 100;
const REMOVAL_PAUSE: Duration = Duration::from_millis(100);
/// How often those who wait look without any news: another gateway has some.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often a new id is drawn.
const IDS_MAX: u32 = 4;

/// A snapshot that somebody wants.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) sandbox: Sandbox,
    pub(crate) trigger: Trigger,
    pub(crate) idempotency_key: String,
    /// How long the sandbox may take to end afterwards, if it is to.
    pub(crate) stop_grace: Option<Duration>,
    /// How long taking it may last; `None` is as long as any may.
    pub(crate) limit: Option<Duration>,
    /// Whether somebody waits, who then asks the sandbox to end himself.
    pub(crate) is_waited_for: bool,
}

impl Snapshots {
    /// Begins to take a snapshot, or finds the one that was asked for before.
    pub(crate) async fn take(&self, wanted: Wanted) -> ApiResult<Snapshot> {
        let settings = self.settings()?;
        let key = &wanted.idempotency_key;
        if key.len() > IDEMPOTENCY_KEY_MAX || key.chars().any(char::is_control) {
            let most = IDEMPOTENCY_KEY_MAX;
            let description = format!("must have at most {most} bytes and no control characters");
            return Err(invalid("idempotency_key", description));
        }
        let organization = wanted.sandbox.owner.organization.clone();
        let bucket = self.current_bucket(&organization).await?;
        let bucket = bucket.map(|bucket| bucket.name).unwrap_or_default();
        for _ in 0..IDS_MAX {
            let snapshot = self.record_of(&wanted, &bucket)?;
            let inserted = self
                .tools
                .store
                .insert_snapshot(snapshot.clone(), settings.limits);
            match inserted.await {
                Ok(Inserted::New) => {
                    self.spawn(&wanted, snapshot.clone())?;
                    return Ok(snapshot);
                }
                Ok(Inserted::Known(known)) => return same(*known, &snapshot),
                Err(InsertSnapshotError::IdTaken) => {}
                Err(InsertSnapshotError::Beyond(beyond)) => return Err(refused(beyond).into()),
                Err(InsertSnapshotError::Fault(fault)) => return Err(fault.into()),
            }
        }
        Err(Refusal::internal().into())
    }

    /// The record of what is wanted, if the sandbox can have one now.
    fn record_of(&self, wanted: &Wanted, bucket: &str) -> ApiResult<Snapshot> {
        let sandbox = &wanted.sandbox;
        let Some(file_system) = &sandbox.launch.file_system else {
            return Err(Refusal::new(
                Reason::FssCreateFailed,
                "the sandbox has no file system of its own, so there is nothing to take a \
                 snapshot of; start it with file_system",
            )
            .with("sandbox_id", sandbox.id.to_string())
            .into());
        };
        let now = self.tools.now();
        let stop_grace = wanted
            .stop_grace
            .map(|grace| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
        Ok(Snapshot {
            id: SnapshotId::new(self.tools.ids.uuid()),
            organization: sandbox.owner.organization.clone(),
            user: Some(sandbox.owner.user.clone()),
            source: sandbox.id,
            mount_bytes: file_system.bytes,
            trigger: wanted.trigger,
            idempotency_key: wanted.idempotency_key.clone(),
            bucket: bucket.to_owned(),
            status: Status::Creating,
            content: None,
            stop_grace_ms: stop_grace,
            created_at: now,
            updated_at: now,
            completed_at: None,
        })
    }

    /// Refuses what cannot be archived as it is now.
    pub(crate) fn can_archive(&self, sandbox: &Sandbox) -> ApiResult<Arc<dyn Attach>> {
        let phase = sandbox.status.state.phase();
        let runs = match phase {
            Phase::Running | Phase::Paused => sandbox.status.stop.is_none(),
            Phase::Creating
            | Phase::Pending
            | Phase::Terminating
            | Phase::Completed
            | Phase::Failed
            | Phase::Terminated => false,
        };
        if !runs {
            let needed = [Phase::Running, Phase::Paused];
            return Err(not_running(sandbox, phase, &needed).into());
        }
        let placed = &sandbox.placement;
        self.hub
            .attach_to(placed.runner_uid)
            .ok_or_else(|| runner_unavailable(placed.runner_id.as_str()))
    }

    fn spawn(&self, wanted: &Wanted, snapshot: Snapshot) -> ApiResult<()> {
        let settings = self.settings()?;
        let limit = wanted.limit.unwrap_or(settings.take_time);
        let attach = self.can_archive(&wanted.sandbox);
        let (all, asks) = (self.clone(), !wanted.is_waited_for);
        let stop = self.tools.stop.clone();
        self.tools.tasks.spawn(async move {
            let id = snapshot.id;
            let organization = snapshot.organization.clone();
            let work = async {
                let attach = attach.map_err(|error| Failure::from(error.refusal))?;
                all.work(&snapshot, &*attach).await
            };
            let work = time::timeout(limit, all.touching(&organization, id, work));
            let failure = match stop.run_until_cancelled(work).await {
                Some(Ok(Ok(()))) => None,
                Some(Ok(Err(failure))) => Some(failure),
                Some(Err(_)) => Some(Failure::new(
                    Reason::FssCreateTimedOut,
                    format!("it was not stored within {} s", limit.as_secs()),
                )),
                None => Some(Failure::new(
                    Reason::FssCreateFailed,
                    "the gateway ended while it was taken; take it again",
                )),
            };
            all.conclude(&organization, id, failure, asks).await;
            all.news.notify_waiters();
        });
        Ok(())
    }

    /// Says again and again that somebody works on it.
    async fn touching<T>(
        &self,
        organization: &OrganizationId,
        id: SnapshotId,
        work: impl Future<Output = T>,
    ) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = time::sleep(TOUCH) => {}
            }
            let touched = SnapshotChange::Touched;
            let (store, now) = (&self.tools.store, self.tools.now());
            if let Err(error) = store.change_snapshot(organization, id, touched, now).await {
                warn!(snapshot.id = %id, %error, "could not say that a snapshot is being taken");
            }
        }
    }

    async fn conclude(
        &self,
        organization: &OrganizationId,
        id: SnapshotId,
        failure: Option<Failure>,
        asks_to_stop: bool,
    ) {
        let store = &self.tools.store;
        if let Some(failure) = failure {
            let text = failure.text();
            warn!(snapshot.id = %id, reason = text, "a snapshot was not taken");
            let failed = SnapshotChange::Failed(text);
            let failed = store.change_snapshot(organization, id, failed, self.tools.now());
            if let Err(GetError::Fault(error)) = failed.await {
                warn!(snapshot.id = %id, %error, "could not record that; the upkeep will");
            }
            return;
        }
        info!(snapshot.id = %id, "snapshot is ready");
        if asks_to_stop
            && let Ok(snapshot) = store.get_snapshot(organization, id).await
            && let Err(error) = self.ask_to_stop(&snapshot).await
        {
            warn!(snapshot.id = %id, cause = error.chain(), "could not stop a sandbox; the upkeep will");
        }
    }

    /// Asks the sandbox of a snapshot to end, if that is still to be done.
    pub(crate) async fn ask_to_stop(&self, snapshot: &Snapshot) -> ApiResult<()> {
        let Some(grace) = snapshot.stop_grace_ms else {
            return Ok(());
        };
        let wish = StopWish {
            grace: Duration::from_millis(grace),
            at: self.tools.now(),
        };
        let (store, organization) = (&self.tools.store, &snapshot.organization);
        let wished = StatusChange::StopWished(wish);
        match store
            .change_status(organization, snapshot.source, wished)
            .await
        {
            // Gone is as good as ended.
            Ok(_) | Err(GetError::NotFound) => {}
            Err(GetError::Fault(fault)) => return Err(fault.into()),
        }
        if let Ok(sandbox) = store.get_sandbox(organization, snapshot.source).await {
            self.hub.look(sandbox.placement.runner_uid, sandbox.id);
        }
        let asked = SnapshotChange::StopAsked;
        match store
            .change_snapshot(organization, snapshot.id, asked, self.tools.now())
            .await
        {
            Ok(_) | Err(GetError::NotFound) => Ok(()),
            Err(GetError::Fault(fault)) => Err(fault.into()),
        }
    }

    async fn work(&self, snapshot: &Snapshot, attach: &dyn Attach) -> Result<(), Failure> {
        let archive = attach.save_file_system(snapshot.source).await;
        let archive = archive.map_err(unread)?;
        self.describe(snapshot, archive.content).await?;
        let blobs = self.blobs_of(snapshot).await;
        let blobs = blobs.map_err(|error| Failure::from(error.refusal))?;
        let name = BlobName {
            organization: snapshot.organization.clone(),
            digest: archive.content.digest,
        };
        store_bytes(&*blobs, &name, archive).await?;
        let (store, organization) = (&self.tools.store, &snapshot.organization);
        let stored = SnapshotChange::Stored;
        let changed = store.change_snapshot(organization, snapshot.id, stored, self.tools.now());
        match changed.await {
            Ok((_, Effect::Changed)) => Ok(()),
            Ok((_, Effect::Unchanged)) | Err(GetError::NotFound) => {
                self.take_back(snapshot, &*blobs, &name).await;
                Err(GetError::NotFound.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Says what it consists of, once nothing stands in the way.
    async fn describe(&self, snapshot: &Snapshot, content: Content) -> Result<(), Failure> {
        let Ok(settings) = self.settings() else {
            return Err(GetError::NotFound.into());
        };
        let (store, organization) = (&self.tools.store, &snapshot.organization);
        for _ in 0..REMOVALS_MAX {
            let (limits, now) = (settings.limits, self.tools.now());
            let described =
                store.describe_snapshot(organization, snapshot.id, (content, limits), now);
            match described.await? {
                Described::Done => return Ok(()),
                Described::Over => return Err(GetError::NotFound.into()),
                Described::BeingRemoved => time::sleep(REMOVAL_PAUSE).await,
                Described::Beyond(beyond) => return Err(refused(beyond).into()),
            }
        }
        Err(Failure::new(
            Reason::FssCreateFailed,
            "equal content is being removed and does not go; try again",
        ))
    }

    /// Removes bytes of a snapshot that was deleted while they came.
    async fn take_back(&self, snapshot: &Snapshot, blobs: &dyn Blobs, name: &BlobName) {
        let (organization, bucket) = (&snapshot.organization, snapshot.bucket.as_str());
        let named = self
            .tools
            .store
            .is_content_named(organization, bucket, name.digest);
        if let Ok(false) = named.await
            && let Err(error) = blobs.remove(name).await
        {
            warn!(snapshot.id = %snapshot.id, %error, "bytes of a deleted snapshot are left");
        }
    }

    /// Waits until a snapshot is ready; one that failed is an error.
    pub(crate) async fn until_ready(
        &self,
        organization: &OrganizationId,
        id: SnapshotId,
        limit: Duration,
    ) -> ApiResult<Snapshot> {
        let until = Instant::now() + limit;
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            // From here on nothing is missed.
            news.as_mut().enable();
            let found = self.tools.store.get_snapshot(organization, id).await;
            let snapshot = match found {
                Ok(snapshot) => snapshot,
                Err(GetError::NotFound) => return Err(deleted(id)),
                Err(GetError::Fault(fault)) => return Err(fault.into()),
            };
            match &snapshot.status {
                Status::Ready => return Ok(snapshot),
                Status::Failed(reason) => return Err(failed(id, reason)),
                Status::Deleting => return Err(deleted(id)),
                Status::Creating => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(still_creating(id, limit));
            }
            // Either way it is looked again.
            let _ = time::timeout(left.min(LOOK_AGAIN), news).await;
        }
    }
}

/// Stores an archive, and makes sure that it is what it should be.
async fn store_bytes(blobs: &dyn Blobs, name: &BlobName, archive: Archive) -> Result<(), Failure> {
    let Archive {
        content,
        mut chunks,
    } = archive;
    let mut upload = blobs.put(name, content.bytes).await?;
    let mut hasher = Sha256::new();
    loop {
        let next = time::timeout(SILENCE_MAX, chunks.recv()).await;
        let next = next.map_err(|_| {
            Failure::new(Reason::RunnerUnavailable, "the runner sends nothing more")
        })?;
        let Some(chunk) = next else { break };
        let chunk = chunk.map_err(unread)?;
        hasher.update(&chunk);
        upload.write(chunk).await?;
    }
    let found = ContentDigest::new(hasher.finalize().into());
    if found != content.digest {
        return Err(Failure::new(
            Reason::FssCreateFailed,
            "the archive changed on its way; take the snapshot again",
        ));
    }
    Ok(upload.finish().await?)
}

/// What is told of a snapshot that has the key already.
fn same(known: Snapshot, wanted: &Snapshot) -> ApiResult<Snapshot> {
    if known.source == wanted.source && known.trigger == wanted.trigger {
        return Ok(known);
    }
    Err(invalid(
        "idempotency_key",
        format!(
            "was used for snapshot {} of sandbox {}; take another one",
            known.id, known.source
        ),
    ))
}

fn deleted(id: SnapshotId) -> ApiError {
    Refusal::new(
        Reason::FssCanceled,
        "the file-system snapshot was deleted before it was ready",
    )
    .with("file_system_snapshot_id", id.to_string())
    .into()
}

fn still_creating(id: SnapshotId, limit: Duration) -> ApiError {
    Refusal::new(
        Reason::FssWaitTimeout,
        format!(
            "the file-system snapshot is not ready after {} s; it goes on being taken, read it \
             until it is",
            limit.as_secs()
        ),
    )
    .with("file_system_snapshot_id", id.to_string())
    .into()
}

/// Whether there is anything to remove for a snapshot.
pub(super) async fn remove_content(
    blobs: &dyn Blobs,
    snapshot: &Snapshot,
) -> Result<(), BlobError> {
    match blob_name(snapshot) {
        Some(name) => blobs.remove(&name).await,
        None => Ok(()),
    }
}
