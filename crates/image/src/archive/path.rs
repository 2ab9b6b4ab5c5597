//! Paths of entries in archives.
//!
//! An [`EntryPath`] can only lead down from the root of the image: it holds no
//! `..`, no NUL, no empty part. Symbolic links on the way are not its business;
//! whoever opens it must keep inside the root.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::ImageError;

/// A path below the root of an image; empty for the root itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct EntryPath(Vec<u8>);

/// Longest path, in bytes; Linux takes no longer one in a system call.
const BYTES_MAX: usize = 4095;
/// Longest part of a path, in bytes.
const PART_BYTES_MAX: usize = 255;

impl EntryPath {
    /// Checks a path. A leading `/` or `./` means the root of the image.
    pub(crate) fn parse(raw: &[u8], depth_max: usize) -> Result<Self, ImageError> {
        let refuse = |why| Err(ImageError::hostile(raw, why));
        if raw.len() > BYTES_MAX {
            return refuse("has too long a path");
        }
        if raw.contains(&0) {
            return refuse("has a NUL byte in its path");
        }
        let mut path = Vec::with_capacity(raw.len());
        let mut depth = 0;
        for part in raw.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => continue,
                b".." => return refuse("leads out of the image"),
                _ if part.len() > PART_BYTES_MAX => return refuse("has too long a name"),
                _ => {}
            }
            if depth > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(part);
            depth += 1;
        }
        if depth > depth_max {
            return refuse("lies in too many directories");
        }
        Ok(Self(path))
    }

    /// Whether this is the root of the image.
    pub(crate) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes, without a slash at either end.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path for system calls; `.` for the root.
    pub(crate) fn as_path(&self) -> &Path {
        let bytes: &[u8] = if self.is_root() { b"." } else { &self.0 };
        Path::new(OsStr::from_bytes(bytes))
    }

    /// The directory and the name in it; `None` for the root.
    pub(crate) fn split(&self) -> Option<(Self, &[u8])> {
        if self.is_root() {
            return None;
        }
        let cut = self.0.iter().rposition(|byte| *byte == b'/');
        Some(match cut {
            Some(cut) => (Self(self.0[..cut].to_vec()), &self.0[cut + 1..]),
            None => (Self(Vec::new()), &self.0),
        })
    }

    /// Whether the first part is `name`.
    pub(crate) fn is_in(&self, name: &[u8]) -> bool {
        self.0.split(|byte| *byte == b'/').next() == Some(name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(raw: &[u8]) -> Option<Vec<u8>> {
        EntryPath::parse(raw, 8).ok().map(|path| path.0)
    }

    #[test]
    fn spellings_of_one_path_are_one_path() {
        for raw in [&b"a/b"[..], b"/a/b", b"./a//b/", b"a/./b"] {
            assert_eq!(parse(raw).as_deref(), Some(&b"a/b"[..]));
        }
        for raw in [&b""[..], b".", b"./", b"/"] {
            assert_eq!(parse(raw).as_deref(), Some(&b""[..]));
        }
    }

    #[test]
    fn paths_that_could_lead_elsewhere_are_refused() {
        let long = vec![b'a'; 256];
        let deep = b"a/".repeat(9);
        for raw in [
            &b".."[..],
            b"../a",
            b"a/../b",
            b"a/..",
            b"/..",
            b"a\0b",
            &long,
            &deep,
        ] {
            assert_eq!(parse(raw), None);
        }
    }

    #[test]
    fn a_path_splits_into_directory_and_name() {
        let path = EntryPath::parse(b"a/b/c", 8).unwrap();
        let (directory, name) = path.split().unwrap();
        assert_eq!((directory.as_bytes(), name), (&b"a/b"[..], &b"c"[..]));
        assert!(path.is_in(b"a") && !path.is_in(b"b"));
        assert!(EntryPath::parse(b"/", 8).unwrap().split().is_none());
    }

    proptest! {
        #[test]
        fn a_parsed_path_has_only_plain_parts(raw in proptest::collection::vec(
            prop_oneof![Just(b'/'), Just(b'.'), any::<u8>()], 0..40)
        ) {
            if let Some(path) = parse(&raw).filter(|path| !path.is_empty()) {
                for part in path.split(|byte| *byte == b'/') {
                    prop_assert!(!part.is_empty() && part != b"." && part != b"..");
                    prop_assert!(!part.contains(&0));
                }
            }
        }
    }
}
