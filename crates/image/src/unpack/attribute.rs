//! Owners, modes and extended attributes of what is unpacked.
//!
//! Attributes that mean something to this host rather than to the image are
//! left out: `trusted.*` above all, with which a layer could tell the overlay
//! file system where to look, and labels of security modules.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Gid, Mode, Uid, XattrFlags};
use rustix::io::Errno;

use crate::archive::Entry;
use crate::error::ImageError;

/// Tells the overlay file system not to look further down.
pub(super) const OPAQUE: &str = "trusted.overlay.opaque";

pub(super) fn set_owner_and_mode(file: impl AsFd, entry: &Entry) -> Result<(), ImageError> {
    let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
    rustix::fs::fchown(&file, Some(uid), Some(gid)).map_err(failed)?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode)).map_err(failed)
}

pub(super) fn set_owner_at(
    parent: impl AsFd,
    name: &OsStr,
    entry: &Entry,
) -> Result<(), ImageError> {
    let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(parent, name, Some(uid), Some(gid), flags).map_err(failed)
}

/// Root's, with `mode` whatever the umask is.
pub(super) fn set_implicit(directory: impl AsFd, mode: Mode) -> Result<(), ImageError> {
    rustix::fs::fchown(&directory, Some(Uid::ROOT), Some(Gid::ROOT)).map_err(failed)?;
    rustix::fs::fchmod(&directory, mode).map_err(failed)
}

pub(super) fn set_xattrs(file: impl AsFd, entry: &Entry) -> Result<(), ImageError> {
    for (name, value) in entry.xattrs.iter().filter(|(name, _)| is_kept(name)) {
        let name = OsStr::from_bytes(name);
        match rustix::fs::fsetxattr(&file, name, value, XattrFlags::empty()) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::RANGE | Errno::TOOBIG | Errno::PERM) => {
                return Err(ImageError::hostile(
                    entry.path.as_bytes(),
                    "has an extended attribute that the kernel does not take",
                ));
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

/// Links and pipes cannot carry the attributes that we keep.
pub(super) fn refuse_xattrs(entry: &Entry) -> Result<(), ImageError> {
    if entry.xattrs.iter().any(|(name, _)| is_kept(name)) {
        return Err(ImageError::hostile(
            entry.path.as_bytes(),
            "has an extended attribute that only files and directories can have",
        ));
    }
    Ok(())
}

pub(super) fn set_opaque(directory: impl AsFd) -> Result<(), ImageError> {
    rustix::fs::fsetxattr(directory, OPAQUE, b"y", XattrFlags::empty()).map_err(failed)
}

/// File capabilities, and what programs store for themselves; but not what the
/// overlay file system reads when it is mounted without privileges.
fn is_kept(name: &[u8]) -> bool {
    name == b"security.capability"
        || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay.") && !name.contains(&0))
}

fn failed(error: Errno) -> ImageError {
    if error == Errno::OPNOTSUPP {
        return ImageError::Unsupported {
            what: "the file system of the image store (no extended attributes)".to_owned(),
            instead: "put the store on ext4, xfs or btrfs",
        };
    }
    ImageError::store("setting attributes of an unpacked file", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_that_steer_the_host_are_not_kept() {
        for name in [
            "trusted.overlay.redirect",
            "trusted.overlay.opaque",
            "user.overlay.opaque",
            "security.selinux",
            "system.posix_acl_access",
        ] {
            assert!(!is_kept(name.as_bytes()), "{name}");
        }
        assert!(is_kept(b"security.capability") && is_kept(b"user.mime_type"));
    }
}
