//! Snapshots of file systems.

use async_trait::async_trait;
use palisade_model::clock::Timestamp;
use palisade_model::id::SnapshotId;
use palisade_model::name::{OrganizationId, UserId};
use palisade_model::quota::{Quota, Scope};
use palisade_model::snapshot::{
    Beyond, Content, ContentDigest, Effect, Kept, Snapshot, SnapshotChange, SnapshotLimits, Status,
    Trigger,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::row::{limit, page};
use super::transaction::Write;
use super::{Columns as _, SqliteStore, fault, organization};
use crate::error::{Fault, GetError};
use crate::form::Unreadable;
use crate::page::{Page, PageRequest, PageSize};
use crate::snapshot::{Bucket, Deletion, Described, InsertSnapshotError, Inserted, Snapshots};

const EXISTS: &str = "SELECT 1 FROM snapshots WHERE id = $1";
const BY_KEY: &str = "SELECT * FROM snapshots WHERE organization = $1 AND idempotency_key = $2";
const BEFORE_STOP: &str = "SELECT * FROM snapshots
    WHERE organization = $1 AND source = $2 AND caused_by = $3 AND status = 'creating'";
const COUNT: &str = "SELECT count(*) AS all_of_them,
        count(CASE WHEN status = 'creating' THEN 1 END) AS in_flight,
        coalesce(sum(bytes), 0) AS bytes
    FROM snapshots WHERE organization = $1 AND status <> 'failed'";
const COUNT_OF_USER: &str = "SELECT count(*) AS all_of_them, 0 AS in_flight,
        coalesce(sum(bytes), 0) AS bytes
    FROM snapshots WHERE organization = $1 AND user_id = $2 AND status <> 'failed'";
const FAILED_LONG_AGO: &str = "SELECT id FROM snapshots
    WHERE organization = $1 AND status = 'failed' ORDER BY id DESC LIMIT -1 OFFSET $2";
const INSERT: &str = "INSERT INTO snapshots (id, organization, source, mount_bytes, caused_by,
        idempotency_key, bucket, status, status_reason, digest, bytes, file_bytes, stop_grace_ms,
        created_at, updated_at, completed_at, user_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
const GET: &str = "SELECT * FROM snapshots WHERE organization = $1 AND id = $2";
const LIST: &str = "SELECT * FROM snapshots WHERE organization = $1 AND id < $2
    ORDER BY id DESC LIMIT $3";
const UPDATE: &str = "UPDATE snapshots SET status = $3, status_reason = $4, digest = $5,
        bytes = $6, file_bytes = $7, stop_grace_ms = $8, updated_at = $9, completed_at = $10,
        idempotency_key = $11
    WHERE organization = $1 AND id = $2";
const DELETE: &str = "DELETE FROM snapshots WHERE organization = $1 AND id = $2";
const FINISH: &str = "DELETE FROM snapshots
    WHERE organization = $1 AND id = $2 AND status = 'deleting'";
const NAMED: &str = "SELECT 1 FROM snapshots
    WHERE organization = $1 AND bucket = $2 AND digest = $3 AND id <> $4
        AND status <> 'failed' LIMIT 1";
const BEING_REMOVED: &str = "SELECT 1 FROM snapshots
    WHERE organization = $1 AND bucket = $2 AND digest = $3 AND status = 'deleting' LIMIT 1";
const UNFINISHED: &str = "SELECT * FROM snapshots
    WHERE status IN ('creating', 'deleting') OR stop_grace_ms IS NOT NULL ORDER BY id LIMIT $1";
const GET_BUCKET: &str = "SELECT bucket, region FROM snapshot_buckets WHERE organization = $1";
const DROP_BUCKET: &str = "DELETE FROM snapshot_buckets WHERE organization = $1";
const PUT_BUCKET: &str =
    "INSERT INTO snapshot_buckets (organization, bucket, region) VALUES ($1, $2, $3)";

/// Behind every id.
const LAST: &str = "~";

#[async_trait]
impl Snapshots for SqliteStore {
    async fn insert_snapshot(
        &self,
        snapshot: Snapshot,
        limits: SnapshotLimits,
    ) -> Result<Inserted, InsertSnapshotError> {
        let mut write = self.write().await?;
        let exists = sqlx::query(EXISTS).bind(snapshot.id.to_string());
        let exists = exists.fetch_optional(write.connection()).await;
        if exists.map_err(fault)?.is_some() {
            return Err(InsertSnapshotError::IdTaken);
        }
        if let Some(known) = by_key(&mut write, &snapshot).await? {
            return Ok(Inserted::Known(Box::new(known)));
        }
        if let Some(known) = before_stop(&mut write, &snapshot).await? {
            return Ok(Inserted::Known(Box::new(known)));
        }
        let usage = usage(&mut write, &snapshot).await?;
        if usage.in_flight >= limits.in_flight {
            return Err(InsertSnapshotError::Beyond(Beyond::InFlight {
                used: usage.in_flight,
                allowed: limits.in_flight,
            }));
        }
        let user = snapshot.user.as_ref();
        limits
            .check_count(&usage.quota, user, |scope| usage.of(scope))
            .map_err(InsertSnapshotError::Beyond)?;
        insert(&mut write, &snapshot).await?;
        forget_failed(&mut write, &snapshot, limits.failed).await?;
        write.commit().await?;
        Ok(Inserted::New)
    }

    async fn get_snapshot(
        &self,
        organization: &OrganizationId,
        id: SnapshotId,
    ) -> Result<Snapshot, GetError> {
        let query = sqlx::query(GET).bind(organization.as_str());
        let query = query.bind(id.to_string());
        let row = query.fetch_optional(&self.readers).await.map_err(fault)?;
        Ok(snapshot(&row.ok_or(GetError::NotFound)?)?)
    }

    async fn snapshot_by_key(
        &self,
        organization: &OrganizationId,
        key: &str,
    ) -> Result<Option<Snapshot>, Fault> {
        if key.is_empty() {
            return Ok(None);
        }
        let query = sqlx::query(BY_KEY).bind(organization.as_str()).bind(key);
        let row = query.fetch_optional(&self.readers).await.map_err(fault)?;
        row.as_ref().map(snapshot).transpose()
    }

    async fn list_snapshots(
        &self,
        organization: &OrganizationId,
        request: PageRequest<SnapshotId>,
    ) -> Result<Page<Snapshot, SnapshotId>, Fault> {
        let PageRequest { after, size } = request;
        let before = after.map_or_else(|| LAST.to_owned(), |id| id.to_string());
        let rows = sqlx::query(LIST)
            .bind(organization.as_str())
            .bind(before)
            .bind(limit(size))
            .fetch_all(&self.readers)
            .await
            .map_err(fault)?;
        page(&rows, size, snapshot, |snapshot| snapshot.id)
    }

    async fn change_snapshot(
        &self,
        organization: &OrganizationId,
        id: SnapshotId,
        change: SnapshotChange,
        now: Timestamp,
    ) -> Result<(Snapshot, Effect), GetError> {
        let mut write = self.write().await?;
        let mut changed = get(&mut write, organization, id).await?;
        let effect = changed.apply(change, now);
        if effect == Effect::Changed {
            update(&mut write, &changed).await?;
            write.commit().await?;
        }
        Ok((changed, effect))
    }

    async fn describe_snapshot(
        &self,
        organization: &OrganizationId,
        id: SnapshotId,
        (content, limits): (Content, SnapshotLimits),
        now: Timestamp,
    ) -> Result<Described, GetError> {
        let mut write = self.write().await?;
        let mut described = get(&mut write, organization, id).await?;
        let usage = usage(&mut write, &described).await?;
        if described.apply(SnapshotChange::Described(content), now) == Effect::Unchanged {
            return Ok(Described::Over);
        }
        let asked = (described.user.as_ref(), content.bytes);
        let room = limits.check_bytes(&usage.quota, asked, |scope| usage.of(scope));
        if let Err(beyond) = room {
            return Ok(Described::Beyond(beyond));
        }
        let removed = sqlx::query(BEING_REMOVED)
            .bind(organization.as_str())
            .bind(described.bucket.as_str())
            .bind(content.digest.to_string());
        let removed = removed.fetch_optional(write.connection()).await;
        if removed.map_err(fault)?.is_some() {
            return Ok(Described::BeingRemoved);
        }
        update(&mut write, &described).await?;
        write.commit().await?;
        Ok(Described::Done)
    }

    async fn begin_deletion(
        &self,
        organization: &OrganizationId,
        id: SnapshotId,
        now: Timestamp,
    ) -> Result<Deletion, GetError> {
        let mut write = self.write().await?;
        let deleted = get(&mut write, organization, id).await?;
        let deletion = begin_deletion(&mut write, deleted, now).await?;
        write.commit().await?;
        Ok(deletion)
    }

    async fn finish_deletion(
        &self,
        organization: &OrganizationId,
        id: SnapshotId,
    ) -> Result<(), Fault> {
        let mut write = self.write().await?;
        remove(&mut write, FINISH, organization, id).await?;
        write.commit().await
    }

    async fn is_content_named(
        &self,
        organization: &OrganizationId,
        bucket: &str,
        digest: ContentDigest,
    ) -> Result<bool, Fault> {
        let query = sqlx::query(NAMED)
            .bind(organization.as_str())
            .bind(bucket)
            .bind(digest.to_string())
            .bind("");
        let row = query.fetch_optional(&self.readers).await.map_err(fault)?;
        Ok(row.is_some())
    }

    async fn unfinished_snapshots(&self, size: PageSize) -> Result<Vec<Snapshot>, Fault> {
        let query = sqlx::query(UNFINISHED).bind(i64::try_from(size.get()).unwrap_or(i64::MAX));
        let rows = query.fetch_all(&self.readers).await.map_err(fault)?;
        rows.iter().map(snapshot).collect()
    }

    async fn snapshot_bucket(
        &self,
        organization: &OrganizationId,
    ) -> Result<Option<Bucket>, Fault> {
        let query = sqlx::query(GET_BUCKET).bind(organization.as_str());
        let row = query.fetch_optional(&self.readers).await.map_err(fault)?;
        let read = |row: &SqliteRow| {
            Ok::<_, Fault>(Bucket {
                name: row.text("bucket")?,
                region: row.text("region")?,
            })
        };
        row.as_ref().map(read).transpose()
    }

    async fn set_snapshot_bucket(
        &self,
        organization: &OrganizationId,
        bucket: Option<Bucket>,
    ) -> Result<(), GetError> {
        let mut write = self.write().await?;
        if !organization::exists(write.connection(), organization).await? {
            return Err(GetError::NotFound);
        }
        let dropped = sqlx::query(DROP_BUCKET).bind(organization.as_str());
        let dropped = dropped.execute(write.connection()).await;
        dropped.map_err(fault)?;
        if let Some(Bucket { name, region }) = bucket {
            let put = sqlx::query(PUT_BUCKET).bind(organization.as_str());
            let put = put.bind(name).bind(region);
            put.execute(write.connection()).await.map_err(fault)?;
        }
        Ok(write.commit().await?)
    }
}

async fn begin_deletion(
    write: &mut Write,
    mut deleted: Snapshot,
    now: Timestamp,
) -> Result<Deletion, Fault> {
    let (organization, id) = (&deleted.organization, deleted.id);
    let is_needed = match deleted.content {
        Some(content) => {
            let place = (deleted.bucket.as_str(), content.digest);
            is_named(write, organization, place, id).await?
        }
        None => true,
    };
    if is_needed {
        remove(write, DELETE, organization, id).await?;
        return Ok(Deletion::Done);
    }
    deleted.status = Status::Deleting;
    deleted.stop_grace_ms = None;
    deleted.updated_at = now;
    update(write, &deleted).await?;
    Ok(Deletion::Remove(Box::new(deleted)))
}

/// Begins to forget all but the newest of those that failed. Whatever was stored of one
/// goes as that of any other.
async fn forget_failed(write: &mut Write, added: &Snapshot, kept: u64) -> Result<(), Fault> {
    let organization = &added.organization;
    let query = sqlx::query(FAILED_LONG_AGO)
        .bind(organization.as_str())
        .bind(signed(kept));
    let rows = query.fetch_all(write.connection()).await.map_err(fault)?;
    for row in rows {
        match get(write, organization, row.parsed("id")?).await {
            Ok(failed) => drop(begin_deletion(write, failed, added.created_at).await?),
            Err(GetError::NotFound) => {}
            Err(GetError::Fault(fault)) => return Err(fault),
        }
    }
    Ok(())
}

/// What there is of snapshots, and may be.
struct Usage {
    quota: Quota,
    in_flight: u64,
    organization: Kept,
    user: Kept,
}

impl Usage {
    fn of(&self, scope: Scope) -> Kept {
        match scope {
            Scope::Organization => self.organization,
            Scope::User => self.user,
        }
    }
}

async fn usage(write: &mut Write, snapshot: &Snapshot) -> Result<Usage, Fault> {
    let organization = &snapshot.organization;
    let connection = write.connection();
    let quota = organization::quota(connection, organization).await?;
    let row = counted(connection, organization, None).await?;
    let user = match &snapshot.user {
        Some(user) => kept(connection, organization, Some(user)).await?,
        None => Kept::default(),
    };
    Ok(Usage {
        quota,
        in_flight: positive(&row, "in_flight")?,
        organization: read_kept(&row)?,
        user,
    })
}

/// What an organization, or a user of it, has of snapshots.
pub(super) async fn kept(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    user: Option<&UserId>,
) -> Result<Kept, Fault> {
    read_kept(&counted(connection, organization, user).await?)
}

async fn counted(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    user: Option<&UserId>,
) -> Result<SqliteRow, Fault> {
    let query = match user {
        None => sqlx::query(COUNT).bind(organization.as_str()),
        Some(user) => sqlx::query(COUNT_OF_USER)
            .bind(organization.as_str())
            .bind(user.as_str()),
    };
    query.fetch_one(connection).await.map_err(fault)
}

fn read_kept(row: &SqliteRow) -> Result<Kept, Fault> {
    Ok(Kept {
        count: positive(row, "all_of_them")?,
        bytes: positive(row, "bytes")?,
    })
}

fn positive(row: &SqliteRow, column: &'static str) -> Result<u64, Fault> {
    Ok(row.number(column)?.max(0).unsigned_abs())
}

async fn by_key(write: &mut Write, wanted: &Snapshot) -> Result<Option<Snapshot>, Fault> {
    if wanted.idempotency_key.is_empty() {
        return Ok(None);
    }
    let query = sqlx::query(BY_KEY)
        .bind(wanted.organization.as_str())
        .bind(wanted.idempotency_key.as_str());
    let row = query.fetch_optional(write.connection()).await;
    row.map_err(fault)?.as_ref().map(snapshot).transpose()
}

/// The snapshot that is already being taken before the same sandbox is stopped.
async fn before_stop(write: &mut Write, wanted: &Snapshot) -> Result<Option<Snapshot>, Fault> {
    if wanted.trigger != Trigger::Stop {
        return Ok(None);
    }
    let query = sqlx::query(BEFORE_STOP)
        .bind(wanted.organization.as_str())
        .bind(wanted.source.to_string())
        .bind(Trigger::Stop.as_str());
    let row = query.fetch_optional(write.connection()).await;
    row.map_err(fault)?.as_ref().map(snapshot).transpose()
}

async fn is_named(
    write: &mut Write,
    organization: &OrganizationId,
    (bucket, digest): (&str, ContentDigest),
    but: SnapshotId,
) -> Result<bool, Fault> {
    let query = sqlx::query(NAMED)
        .bind(organization.as_str())
        .bind(bucket)
        .bind(digest.to_string())
        .bind(but.to_string());
    let row = query.fetch_optional(write.connection()).await;
    Ok(row.map_err(fault)?.is_some())
}

async fn get(
    write: &mut Write,
    organization: &OrganizationId,
    id: SnapshotId,
) -> Result<Snapshot, GetError> {
    let query = sqlx::query(GET).bind(organization.as_str());
    let query = query.bind(id.to_string());
    let row = query.fetch_optional(write.connection()).await;
    Ok(snapshot(&row.map_err(fault)?.ok_or(GetError::NotFound)?)?)
}

async fn remove(
    write: &mut Write,
    statement: &'static str,
    organization: &OrganizationId,
    id: SnapshotId,
) -> Result<(), Fault> {
    let query = sqlx::query(statement).bind(organization.as_str());
    let query = query.bind(id.to_string());
    let done = query.execute(write.connection()).await;
    done.map(|_| ()).map_err(fault)
}

async fn insert(write: &mut Write, added: &Snapshot) -> Result<(), Fault> {
    let Snapshot {
        id,
        organization,
        user,
        source,
        mount_bytes,
        trigger,
        idempotency_key,
        bucket,
        status,
        content,
        stop_grace_ms,
        created_at,
        updated_at,
        completed_at,
    } = added;
    let (digest, bytes, file_bytes) = columns(*content);
    sqlx::query(INSERT)
        .bind(id.to_string())
        .bind(organization.as_str())
        .bind(source.to_string())
        .bind(signed(*mount_bytes))
        .bind(trigger.as_str())
        .bind(idempotency_key.as_str())
        .bind(bucket.as_str())
        .bind(status.as_str())
        .bind(reason(status))
        .bind(digest)
        .bind(bytes)
        .bind(file_bytes)
        .bind(stop_grace_ms.map(signed))
        .bind(created_at.as_micros())
        .bind(updated_at.as_micros())
        .bind(completed_at.map(Timestamp::as_micros))
        .bind(user.as_ref().map_or("", UserId::as_str))
        .execute(write.connection())
        .await
        .map(|_| ())
        .map_err(fault)
}

async fn update(write: &mut Write, changed: &Snapshot) -> Result<(), Fault> {
    let (digest, bytes, file_bytes) = columns(changed.content);
    sqlx::query(UPDATE)
        .bind(changed.organization.as_str())
        .bind(changed.id.to_string())
        .bind(changed.status.as_str())
        .bind(reason(&changed.status))
        .bind(digest)
        .bind(bytes)
        .bind(file_bytes)
        .bind(changed.stop_grace_ms.map(signed))
        .bind(changed.updated_at.as_micros())
        .bind(changed.completed_at.map(Timestamp::as_micros))
        .bind(changed.idempotency_key.as_str())
        .execute(write.connection())
        .await
        .map(|_| ())
        .map_err(fault)
}

fn columns(content: Option<Content>) -> (Option<String>, Option<i64>, Option<i64>) {
    let Some(Content {
        digest,
        bytes,
        file_bytes,
    }) = content
    else {
        return (None, None, None);
    };
    (
        Some(digest.to_string()),
        Some(signed(bytes)),
        Some(signed(file_bytes)),
    )
}

fn reason(status: &Status) -> &str {
    match status {
        Status::Failed(reason) => reason,
        Status::Creating | Status::Ready | Status::Deleting => "",
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(row: &SqliteRow, column: &'static str) -> Result<u64, Fault> {
    let number = u64::try_from(row.number(column)?);
    number.map_err(|_| Unreadable::new("snapshot", column).into())
}

fn snapshot(row: &SqliteRow) -> Result<Snapshot, Fault> {
    let bad = |column| Fault::from(Unreadable::new("snapshot", column));
    let status = match row.text("status")?.as_str() {
        "creating" => Status::Creating,
        "ready" => Status::Ready,
        "failed" => Status::Failed(row.text("status_reason")?),
        "deleting" => Status::Deleting,
        _ => return Err(bad("status")),
    };
    let caused_by = row.text("caused_by")?;
    let mut triggers = Trigger::ALL.into_iter();
    let trigger = triggers.find(|trigger| trigger.as_str() == caused_by);
    let digest: Option<String> = row.try_get("digest").map_err(fault)?;
    let content = match digest {
        Some(digest) => Some(Content {
            digest: digest.parse().map_err(|_| bad("digest"))?,
            bytes: unsigned(row, "bytes")?,
            file_bytes: unsigned(row, "file_bytes")?,
        }),
        None => None,
    };
    let grace = row.optional_number("stop_grace_ms")?;
    Ok(Snapshot {
        id: row.parsed("id")?,
        organization: row.parsed("organization")?,
        user: match row.text("user_id")?.as_str() {
            "" => None,
            _ => Some(row.parsed("user_id")?),
        },
        source: row.parsed("source")?,
        mount_bytes: unsigned(row, "mount_bytes")?,
        trigger: trigger.ok_or_else(|| bad("caused_by"))?,
        idempotency_key: row.text("idempotency_key")?,
        bucket: row.text("bucket")?,
        status,
        content,
        stop_grace_ms: grace.map(|grace| grace.max(0).unsigned_abs()),
        created_at: row.instant("created_at")?,
        updated_at: row.instant("updated_at")?,
        completed_at: row.optional_instant("completed_at")?,
    })
}
