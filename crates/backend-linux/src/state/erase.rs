//! Removing what sandboxes have written, however they arranged it.
//!
//! Directories may be nested deeper than any path, stack or descriptor limit
//! reaches. So nothing descends: what is in a directory moves up, and then it is
//! empty. Links are removed and never followed.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;

/// Removes a file; succeeds if there is none.
pub(super) fn file(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Removes a directory and everything in it; succeeds if there is none.
pub(super) fn tree(path: &Path) -> io::Result<()> {
    let top = match File::open(path) {
        Ok(top) => OwnedFd::from(top),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut moved = 0_u64;
    // Each round removes every directory that the round before found or moved up.
    while empty(&top, &top, &mut moved)? {}
    std::fs::remove_dir(path)
}

/// Removes what is in `directory`; tells whether anything was left in `top`.
///
/// Directories that are not empty move up into `top` under a new name, unless
/// `directory` is `top`: there, what is in them moves up.
fn empty(directory: &OwnedFd, top: &OwnedFd, moved: &mut u64) -> io::Result<bool> {
    let is_top = std::ptr::eq(directory, top);
    let mut is_anything_left = false;
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") || unlink(directory, name)? {
            continue;
        }
        is_anything_left = true;
        if is_top {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
            let inner = openat(top, name, flags, Mode::empty())?;
            empty(&inner, top, moved)?;
            unlinkat(top, name, AtFlags::REMOVEDIR)?;
        } else {
            move_up(directory, name, top, moved)?;
        }
    }
    Ok(is_anything_left)
}

/// Removes a file or an empty directory; `false` if it is one that is not.
fn unlink(directory: &OwnedFd, name: &std::ffi::CStr) -> io::Result<bool> {
    match unlinkat(directory.as_fd(), name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        Err(Errno::ISDIR) => {}
        Err(error) => return Err(error.into()),
    }
    match unlinkat(directory.as_fd(), name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn move_up(
    directory: &OwnedFd,
    name: &std::ffi::CStr,
    top: &OwnedFd,
    moved: &mut u64,
) -> io::Result<()> {
    loop {
        *moved += 1;
        let new = format!(".moved-{moved}");
        match renameat(directory, name, top, new.as_str()) {
            Ok(()) => return Ok(()),
            // A sandbox may have chosen the same name.
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::mkdirat;

    use super::*;

    #[test]
    fn links_are_removed_and_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "").unwrap();
        let place = tempfile::tempdir().unwrap();
        let tree_path = place.path().join("tree");
        fs::create_dir_all(tree_path.join("a/b")).unwrap();
        symlink(outside.path(), tree_path.join("a/b/link")).unwrap();
        symlink(outside.path(), tree_path.join("link")).unwrap();
        tree(&tree_path).unwrap();
        assert!(!tree_path.exists());
        assert!(outside.path().join("kept").exists());
    }

    #[test]
    fn no_depth_is_too_deep() {
        let place = tempfile::tempdir().unwrap();
        let tree_path = place.path().join("tree");
        fs::create_dir(&tree_path).unwrap();
        let mut at = OwnedFd::from(File::open(&tree_path).unwrap());
        for _ in 0..1_500 {
            mkdirat(&at, "deep", Mode::RWXU).unwrap();
            mkdirat(&at, ".moved-1", Mode::RWXU).unwrap();
            at = openat(&at, "deep", OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        tree(&tree_path).unwrap();
        assert!(!tree_path.exists());
    }

    #[test]
    fn removing_what_is_not_there_succeeds() {
        let place = tempfile::tempdir().unwrap();
        tree(&place.path().join("none")).unwrap();
        file(&place.path().join("none")).unwrap();
    }
}
