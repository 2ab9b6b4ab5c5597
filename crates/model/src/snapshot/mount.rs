//! The file system of its own that a sandbox can have.

use std::fmt;
use std::str::FromStr;

use super::Content;
use crate::id::SnapshotId;

/// The smallest file system that can be made.
pub const MOUNT_BYTES_MIN: u64 = 1 << 20;
/// The size of one for which none is asked.
pub const MOUNT_BYTES_DEFAULT: u64 = 1 << 30;

/// Where it is mounted: an absolute path that hides nothing a sandbox needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MountPath(String);

/// A path at which nothing can be mounted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MountPathError {
    /// It does not begin at the root.
    #[error("must be an absolute path of a directory, such as /workspace")]
    NotAbsolute,
    /// It is the root itself.
    #[error("must not be /; name a directory below it, such as /workspace")]
    Root,
    /// It is longer than the kernel takes.
    #[error("has {len} bytes; at most {} are allowed", MountPath::LEN_MAX)]
    TooLong {
        /// How long it is.
        len: usize,
    },
    /// A part of it is empty, goes up, or is longer than a name may be.
    #[error("must not have empty parts, '.', '..' or names of more than 255 bytes")]
    BadPart,
    /// It has characters that no path should have.
    #[error("must not contain control characters")]
    BadChar,
    /// Something else is there.
    #[error("must not lie in {0}, which belongs to the system")]
    Reserved(&'static str),
}

impl MountPath {
    /// The longest path, in bytes.
    pub const LEN_MAX: usize = 1_024;

    /// What belongs to the system.
    const RESERVED: [&'static str; 4] = ["/proc", "/sys", "/dev", "/etc"];

    /// Takes a path; one slash at its end means nothing.
    pub fn new(text: &str) -> Result<Self, MountPathError> {
        if text.len() > Self::LEN_MAX {
            return Err(MountPathError::TooLong { len: text.len() });
        }
        let below = text.strip_prefix('/').ok_or(MountPathError::NotAbsolute)?;
        if below.chars().any(char::is_control) {
            return Err(MountPathError::BadChar);
        }
        let below = below.strip_suffix('/').unwrap_or(below);
        if below.is_empty() {
            return Err(MountPathError::Root);
        }
        let is_name =
            |name: &str| !name.is_empty() && name != "." && name != ".." && name.len() <= 255;
        if !below.split('/').all(is_name) {
            return Err(MountPathError::BadPart);
        }
        let path = Self(format!("/{below}"));
        match Self::RESERVED.iter().find(|place| path.is_in(place)) {
            Some(place) => Err(MountPathError::Reserved(place)),
            None => Ok(path),
        }
    }

    /// The path, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is this directory, or lies in it.
    fn is_in(&self, directory: &str) -> bool {
        let below = self.0.strip_prefix(directory);
        below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }

    /// Whether what is at `path` would be hidden, or would have to be a
    /// directory on the way.
    pub fn collides_with(&self, path: &str) -> bool {
        let below = path.strip_prefix(self.as_str());
        let is_hidden = below.is_some_and(|below| below.is_empty() || below.starts_with('/'));
        is_hidden || self.is_in(path)
    }
}

impl fmt::Display for MountPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for MountPath {
    type Err = MountPathError;

    fn from_str(text: &str) -> Result<Self, MountPathError> {
        Self::new(text)
    }
}

/// A file system that a sandbox has to itself, of which snapshots are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Where it is.
    pub mount_path: MountPath,
    /// How large it is; enforced, whatever is written.
    pub bytes: u64,
    /// What is in it when the main process starts; nothing without.
    pub restore: Option<Restore>,
}

/// The content that a file system is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restore {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// What it consists of.
    pub content: Content,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_kept_without_its_last_slash() {
        for text in ["/workspace", "/workspace/"] {
            assert_eq!(MountPath::new(text).unwrap().as_str(), "/workspace");
        }
        assert_eq!(
            MountPath::new("/srv/data set").unwrap().as_str(),
            "/srv/data set"
        );
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_refused() {
        use MountPathError as E;
        let long = format!("/{}", "a/".repeat(600));
        for (text, error) in [
            ("", E::NotAbsolute),
            ("workspace", E::NotAbsolute),
            ("/", E::Root),
            ("//", E::Root),
            ("/a//b", E::BadPart),
            ("/a/../b", E::BadPart),
            ("/./a", E::BadPart),
            ("/a\nb", E::BadChar),
            (long.as_str(), E::TooLong { len: long.len() }),
        ] {
            assert_eq!(MountPath::new(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn what_belongs_to_the_system_is_refused_with_all_below_it() {
        for text in ["/proc", "/proc/1", "/sys/", "/dev/shm", "/etc", "/etc/ssl"] {
            let refused = MountPath::new(text);
            assert!(
                matches!(refused, Err(MountPathError::Reserved(_))),
                "{text}"
            );
        }
        assert!(MountPath::new("/etcetera").is_ok());
    }

    #[test]
    fn a_file_below_above_or_at_the_path_collides() {
        let path = MountPath::new("/work/space").unwrap();
        for other in ["/work/space", "/work/space/x", "/work"] {
            assert!(path.collides_with(other), "{other}");
        }
        for other in ["/work/spaces", "/work/x", "/other"] {
            assert!(!path.collides_with(other), "{other}");
        }
    }
}
