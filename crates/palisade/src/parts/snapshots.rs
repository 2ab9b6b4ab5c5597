//! Where snapshots of file systems are kept, and how much of them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use palisade_blob::{BlobError, Blobs, DirectoryBlobs, S3Key, S3Server};
use palisade_gateway::{BadBucket, Buckets, SnapshotSettings};
use palisade_model::name::OrganizationId;
use palisade_model::snapshot::SnapshotLimits;

use crate::cli::SnapshotArgs;
use crate::state_dir::{StateDir, read_secret};

/// How long a snapshot may take for which nobody set a limit.
const TAKE_TIME: Duration = Duration::from_mins(10);

/// How many snapshots that failed are told of for one organization.
const FAILED_KEPT: u64 = 1_000;

/// The buckets that organizations may choose.
#[derive(Debug)]
struct Allowed {
    server: S3Server,
    buckets: BTreeSet<(OrganizationId, String)>,
}

#[async_trait]
impl Buckets for Allowed {
    async fn open(
        &self,
        organization: &OrganizationId,
        name: &str,
        region: &str,
    ) -> Result<Arc<dyn Blobs>, BadBucket> {
        // The server's key may open buckets of others as well.
        let wanted = (organization.clone(), name.to_owned());
        if !self.buckets.contains(&wanted) {
            let why = "the operator does not let the organization use it".to_owned();
            return Err(BlobError::Denied(why).into());
        }
        Ok(Arc::new(self.server.open(name, region).await?))
    }
}

/// Opens what is needed; nobody else may have the state directory.
pub(crate) async fn open(
    args: &SnapshotArgs,
    state: &StateDir,
) -> anyhow::Result<SnapshotSettings> {
    let server = server(args)?;
    let own: Arc<dyn Blobs> = match (&server, &args.snapshot_bucket) {
        (Some(server), Some(name)) => {
            let opened = server.open(name, &args.snapshot_region).await;
            Arc::new(opened.with_context(|| format!("could not open the bucket {name:?}"))?)
        }
        (_, None) => {
            let place = state.snapshots();
            let own = DirectoryBlobs::open(place.clone());
            Arc::new(own.with_context(|| format!("could not open {}", place.display()))?)
        }
        (None, Some(_)) => bail!("--snapshot-bucket needs --s3-endpoint"),
    };
    let buckets = server
        .map(|server| allowed(server, &args.snapshot_buckets_of))
        .transpose()?;
    Ok(SnapshotSettings {
        own,
        own_bucket: args.snapshot_bucket.clone(),
        buckets,
        limits: SnapshotLimits {
            count: args.snapshots_max,
            bytes: args.snapshot_bytes_max.0,
            in_flight: args.snapshots_at_once,
            failed: FAILED_KEPT,
        },
        mount_bytes_max: args.file_system_bytes_max.0,
        take_time: TAKE_TIME,
    })
}

fn server(args: &SnapshotArgs) -> anyhow::Result<Option<S3Server>> {
    let Some(endpoint) = &args.s3_endpoint else {
        return Ok(None);
    };
    let Some(path) = &args.s3_credentials else {
        bail!("--s3-endpoint needs --s3-credentials");
    };
    let key = key(path)?;
    let server = S3Server::new(endpoint, !args.s3_virtual_hosts, key);
    Ok(Some(server.context("--s3-endpoint")?))
}

fn allowed(server: S3Server, texts: &[String]) -> anyhow::Result<Arc<dyn Buckets>> {
    let pair = |text: &String| {
        let Some((organization, name)) = text.split_once('=') else {
            bail!("--snapshot-bucket-of {text:?} must read ORGANIZATION=NAME");
        };
        let organization: OrganizationId = organization
            .parse()
            .with_context(|| format!("--snapshot-bucket-of {text:?}"))?;
        Ok((organization, name.to_owned()))
    };
    let buckets = texts.iter().map(pair).collect::<anyhow::Result<_>>()?;
    Ok(Arc::new(Allowed { server, buckets }))
}

/// Reads a file as the tools of AWS write it.
fn key(path: &Path) -> anyhow::Result<S3Key> {
    let Some(text) = read_secret(path)? else {
        bail!("there are no credentials in {}", path.display());
    };
    let value = |wanted: &str| {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        let mut values = pairs.filter(|(key, _)| key.trim() == wanted);
        values.next().map(|(_, value)| value.trim().to_owned())
    };
    let needed =
        |wanted: &str| value(wanted).with_context(|| format!("{} has no {wanted}", path.display()));
    Ok(S3Key {
        id: needed("aws_access_key_id")?,
        secret: needed("aws_secret_access_key")?,
        token: value("aws_session_token"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_the_tools_of_aws_write_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("credentials");
        let text = "[default]\naws_access_key_id = me\naws_secret_access_key=a=b\n";
        std::fs::write(&path, text).unwrap();
        let read = key(&path).unwrap();
        assert_eq!((read.id.as_str(), read.secret.as_str()), ("me", "a=b"));
        assert_eq!(read.token, None);
        assert!(!format!("{read:?}").contains("a=b"));
        std::fs::write(&path, "aws_access_key_id = me").unwrap();
        assert!(key(&path).is_err());
    }
}
