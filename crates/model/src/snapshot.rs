//! File systems of sandboxes, and the snapshots that are taken of them.
//!
//! ```text
//!  CREATING ─► READY ──► DELETING ─► gone
//!      └─────► FAILED ──────┘
//! ```
//!
//! A snapshot never changes once it is ready. Everything here is pure; where the
//! bytes lie is known by the digest alone.

use std::fmt;
use std::str::FromStr;

use crate::clock::Timestamp;
use crate::id::{SandboxId, SnapshotId};
use crate::name::{OrganizationId, UserId};

mod limits;
mod mount;
mod state;
mod wished;

pub use limits::{Beyond, Kept, SnapshotLimits};
pub use mount::{
    FileSystem, MOUNT_BYTES_DEFAULT, MOUNT_BYTES_MIN, MountPath, MountPathError, Restore,
};
pub use state::{Effect, SnapshotChange, Status};

/// The longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_MAX: usize = 256;

/// The SHA-256 of what was archived; two archives with one digest are one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentDigest([u8; 32]);

/// Text is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 64 lower-case hexadecimal digits")]
pub struct NotADigest;

impl ContentDigest {
    /// Takes the bytes of a SHA-256.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<&[u8]> for ContentDigest {
    type Error = NotADigest;

    fn try_from(bytes: &[u8]) -> Result<Self, NotADigest> {
        bytes.try_into().map(Self).map_err(|_| NotADigest)
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ContentDigest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 64 || !text.bytes().all(is_digit) {
            return Err(NotADigest);
        }
        let mut bytes = [0; 32];
        for (place, byte) in bytes.iter_mut().enumerate() {
            let pair = text.get(place * 2..place * 2 + 2).ok_or(NotADigest)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NotADigest)?;
        }
        Ok(Self(bytes))
    }
}

/// What was archived of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Of the archive.
    pub digest: ContentDigest,
    /// The size of the archive.
    pub bytes: u64,
    /// What the files in it hold together.
    pub file_bytes: u64,
}

/// What made somebody take a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// It was asked for by itself.
    Manual,
    /// It belongs to the end of its sandbox.
    Stop,
}

impl Trigger {
    /// Every trigger.
    pub const ALL: [Self; 2] = [Self::Manual, Self::Stop];

    /// The trigger as it is written down.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Stop => "stop",
        }
    }
}

/// The durable record of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The identity.
    pub id: SnapshotId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// The user whose sandbox it was taken of; unknown of some that are older than
    /// limits for users.
    pub user: Option<UserId>,
    /// The sandbox that it was taken of.
    pub source: SandboxId,
    /// The size of the file system that it was taken of.
    pub mount_bytes: u64,
    /// What made somebody take it.
    pub trigger: Trigger,
    /// How the caller tells a repeated request; may be empty.
    pub idempotency_key: String,
    /// The bucket that it lies in; empty for the server's own store.
    pub bucket: String,
    /// What became of it.
    pub status: Status,
    /// What it consists of, once that is known.
    pub content: Option<Content>,
    /// How long its sandbox may take to end, if that is still to be asked.
    pub stop_grace_ms: Option<u64>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last changed, or was last seen to be worked on.
    pub updated_at: Timestamp,
    /// When it became ready or failed.
    pub completed_at: Option<Timestamp>,
}

impl Snapshot {
    /// What a sandbox is filled with, if the snapshot is ready.
    pub fn restore(&self) -> Option<Restore> {
        match (&self.status, self.content) {
            (Status::Ready, Some(content)) => Some(Restore {
                snapshot: self.id,
                content,
            }),
            (Status::Ready | Status::Creating | Status::Failed(_) | Status::Deleting, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_prints_as_it_was_parsed() {
        let text = "0123456789abcdef".repeat(4);
        assert_eq!(text.parse::<ContentDigest>().unwrap().to_string(), text);
    }

    #[test]
    fn other_texts_are_no_digest() {
        let long = "0".repeat(65);
        let upper = "A".repeat(64);
        let wide = format!("é{}", "0".repeat(62));
        for text in ["", "00", long.as_str(), upper.as_str(), wide.as_str()] {
            assert_eq!(text.parse::<ContentDigest>(), Err(NotADigest), "{text}");
        }
    }
}
