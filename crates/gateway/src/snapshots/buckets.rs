//! Where an organization keeps its snapshots: the server's own store, or a bucket.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use palisade_blob::{BlobError, Blobs};
use palisade_model::name::OrganizationId;
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::tenant::{Principal, Role};
use palisade_store::GetError;
use palisade_store::snapshot::Bucket;
use palisade_wire::proto::v1beta2 as pb;
use tracing::info;

use super::failure::store_reason;
use super::{SnapshotSettings, Snapshots};
use crate::error::{ApiError, ApiResult, invalid};

/// The longest name of a bucket, as S3 has it.
const NAME_LEN: std::ops::RangeInclusive<usize> = 3..=63;
/// The longest name of a region that is taken.
const REGION_LEN_MAX: usize = 64;

/// The way of this server to buckets.
#[async_trait]
pub trait Buckets: Debug + Send + Sync + 'static {
    /// Opens a bucket, and finds out whether it can be used.
    async fn open(
        &self,
        organization: &OrganizationId,
        name: &str,
        region: &str,
    ) -> Result<Arc<dyn Blobs>, BadBucket>;
}

/// A bucket cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the bucket cannot be used")]
pub struct BadBucket(#[from] pub BlobError);

impl Snapshots {
    pub(crate) async fn current_bucket(
        &self,
        organization: &OrganizationId,
    ) -> ApiResult<Option<Bucket>> {
        Ok(self.tools.store.snapshot_bucket(organization).await?)
    }

    pub(super) async fn open_bucket(
        &self,
        organization: &OrganizationId,
        bucket: &Bucket,
    ) -> ApiResult<Arc<dyn Blobs>> {
        let Some(buckets) = &self.settings()?.buckets else {
            return Err(unavailable(
                &bucket.name,
                "this server has no access to buckets configured",
                None,
            ));
        };
        let opened = buckets
            .open(organization, &bucket.name, &bucket.region)
            .await;
        opened.map_err(|BadBucket(error)| {
            let why = match &error {
                BlobError::NotFound => "it does not exist",
                BlobError::Denied(_) => "it refuses this server",
                BlobError::KeyRefused(_) => "it does not take the key of this server",
                BlobError::Throttled => "it has too much to do for now",
                BlobError::Unreachable(_) => "it cannot be reached",
                BlobError::Length { .. } | BlobError::Full | BlobError::Failed(_) => "it failed",
            };
            unavailable(&bucket.name, why, Some(error))
        })
    }

    pub(crate) async fn get_bucket(
        &self,
        caller: &Principal,
    ) -> ApiResult<pb::FileSystemSnapshotBucketConfig> {
        let settings = self.settings()?;
        let bucket = self.current_bucket(&caller.organization).await?;
        Ok(config_message(bucket, settings))
    }

    pub(crate) async fn set_bucket(
        &self,
        caller: &Principal,
        request: pb::SetFileSystemSnapshotBucketConfigRequest,
    ) -> ApiResult<pb::FileSystemSnapshotBucketConfig> {
        let settings = self.settings()?;
        if caller.role != Role::SandboxAdmin {
            let message = "only a sandbox_admin may say where snapshots are kept";
            return Err(Refusal::new(Reason::PermissionDenied, message).into());
        }
        let bucket = parse(request)?;
        if let Some(bucket) = &bucket {
            self.open_bucket(&caller.organization, bucket).await?;
        }
        let set = &self.tools.store;
        let set = set.set_snapshot_bucket(&caller.organization, bucket.clone());
        set.await.map_err(|error| match error {
            GetError::NotFound => ApiError::from(Refusal::internal()),
            GetError::Fault(fault) => fault.into(),
        })?;
        info!(organization = %caller.organization, "snapshots are kept elsewhere from now on");
        Ok(config_message(bucket, settings))
    }
}

fn parse(request: pb::SetFileSystemSnapshotBucketConfigRequest) -> ApiResult<Option<Bucket>> {
    let pb::SetFileSystemSnapshotBucketConfigRequest {
        bucket_name: name,
        region,
    } = request;
    if name.is_empty() {
        if region.is_empty() {
            return Ok(None);
        }
        return Err(invalid("region", "is given without a bucket_name"));
    }
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_name = NAME_LEN.contains(&name.len())
        && name
            .bytes()
            .all(|byte| is_inner(byte) || matches!(byte, b'-' | b'.'))
        && name.bytes().next().is_some_and(is_inner)
        && name.bytes().last().is_some_and(is_inner)
        && !name.contains("..");
    if !is_name {
        return Err(invalid(
            "bucket_name",
            "must have 3 to 63 lower-case letters, digits, '-' or '.', with a letter or digit at both ends",
        ));
    }
    let is_region = !region.is_empty()
        && region.len() <= REGION_LEN_MAX
        && region.bytes().all(|byte| is_inner(byte) || byte == b'-');
    if !is_region {
        return Err(invalid(
            "region",
            "is needed with a bucket_name, such as us-east-1",
        ));
    }
    Ok(Some(Bucket { name, region }))
}

fn config_message(
    bucket: Option<Bucket>,
    settings: &SnapshotSettings,
) -> pb::FileSystemSnapshotBucketConfig {
    let effective_bucket_name = settings.effective(bucket.as_ref());
    match bucket {
        Some(Bucket { name, region }) => pb::FileSystemSnapshotBucketConfig {
            effective_bucket_name,
            bucket_name: name,
            region,
            mode: pb::FileSystemSnapshotBucketMode::BringYourOwn.into(),
        },
        None => pb::FileSystemSnapshotBucketConfig {
            bucket_name: String::new(),
            region: String::new(),
            mode: pb::FileSystemSnapshotBucketMode::CwManaged.into(),
            effective_bucket_name,
        },
    }
}

fn unavailable(bucket: &str, why: &str, cause: Option<BlobError>) -> ApiError {
    let reason = cause.as_ref().and_then(store_reason);
    let refusal = Refusal::new(
        reason.unwrap_or(Reason::FssBucketUnavailable),
        format!("bucket {bucket:?} cannot be used: {why}"),
    );
    ApiError {
        refusal: refusal.with("object_bucket", bucket),
        cause: cause.map(|cause| Arc::new(cause) as Arc<dyn std::error::Error + Send + Sync>),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str, region: &str) -> ApiResult<Option<Bucket>> {
        parse(pb::SetFileSystemSnapshotBucketConfigRequest {
            bucket_name: name.to_owned(),
            region: region.to_owned(),
        })
    }

    #[test]
    fn nothing_means_the_store_of_the_server() {
        assert_eq!(parsed("", "").unwrap(), None);
    }

    #[test]
    fn a_bucket_has_a_name_and_a_region() {
        let bucket = parsed("my-bucket.1", "us-east-1").unwrap().unwrap();
        assert_eq!(bucket.region, "us-east-1");
        for (name, region) in [
            ("", "us-east-1"),
            ("my-bucket", ""),
            ("my-bucket", "us east"),
            ("ab", "r"),
            ("-ab", "r"),
            ("Upper", "r"),
            ("a/../b", "r"),
            ("a..b", "r"),
        ] {
            let error = parsed(name, region).unwrap_err();
            assert_eq!(
                error.refusal.reason,
                Reason::InvalidRequest,
                "{name} {region}"
            );
        }
    }
}
