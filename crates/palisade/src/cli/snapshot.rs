//! How much is kept of snapshots.

use std::path::PathBuf;

use clap::Args;
use palisade_model::quantity::Bytes;

/// What an organization may have of snapshots.
#[derive(Args, Clone, Debug)]
pub(crate) struct SnapshotArgs {
    /// The largest file system that a sandbox may have to itself
    #[arg(
        long,
        env = "PALISADE_FILE_SYSTEM_BYTES_MAX",
        default_value = "64Gi",
        value_name = "SIZE"
    )]
    pub(crate) file_system_bytes_max: Bytes,
    /// The most snapshots of an organization
    #[arg(long, env = "PALISADE_SNAPSHOTS_MAX", default_value_t = 1_000)]
    pub(crate) snapshots_max: u64,
    /// The most bytes that the snapshots of an organization may hold together
    #[arg(
        long,
        env = "PALISADE_SNAPSHOT_BYTES_MAX",
        default_value = "256Gi",
        value_name = "SIZE"
    )]
    pub(crate) snapshot_bytes_max: Bytes,
    /// The most snapshots of an organization that are taken at once
    #[arg(long, env = "PALISADE_SNAPSHOTS_AT_ONCE", default_value_t = 8)]
    pub(crate) snapshots_at_once: u64,
    /// A server of buckets that speaks the protocol of S3, such as
    /// `https://s3.us-east-1.amazonaws.com`
    #[arg(
        long,
        env = "PALISADE_S3_ENDPOINT",
        value_name = "URL",
        requires = "s3_credentials"
    )]
    pub(crate) s3_endpoint: Option<String>,
    /// The file with the key to it: `aws_access_key_id`, `aws_secret_access_key` and, if there is one,
    /// `aws_session_token`, each with = and its value on a line
    #[arg(long, env = "PALISADE_S3_CREDENTIALS", value_name = "FILE")]
    pub(crate) s3_credentials: Option<PathBuf>,
    /// Buckets are parts of the host name there, and not of the path
    #[arg(long, env = "PALISADE_S3_VIRTUAL_HOSTS")]
    pub(crate) s3_virtual_hosts: bool,
    /// The bucket in which the server keeps snapshots, in the place of its state directory
    #[arg(
        long,
        env = "PALISADE_SNAPSHOT_BUCKET",
        value_name = "NAME",
        requires = "s3_endpoint"
    )]
    pub(crate) snapshot_bucket: Option<String>,
    /// The region of that bucket
    #[arg(
        long,
        env = "PALISADE_SNAPSHOT_REGION",
        default_value = "us-east-1",
        value_name = "REGION"
    )]
    pub(crate) snapshot_region: String,
    /// A bucket that an organization may choose for its snapshots; repeatable
    #[arg(
        long = "snapshot-bucket-of",
        env = "PALISADE_SNAPSHOT_BUCKETS_OF",
        value_delimiter = ',',
        value_name = "ORGANIZATION=NAME",
        requires = "s3_endpoint"
    )]
    pub(crate) snapshot_buckets_of: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_people_write_them() {
        assert_eq!("2Gi".parse(), Ok(Bytes(2 << 30)));
        assert!("much".parse::<Bytes>().is_err());
    }
}
