//! What goes in comes out, and nothing else does.

use std::fs::{self, File, Permissions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use tempfile::{TempDir, tempdir};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::error::ImageError;

const LIMITS: DirectoryLimits = DirectoryLimits {
    entries_max: 1_000,
    file_bytes_max: 64 << 20,
};

fn packed_with(directory: &Path, limits: &DirectoryLimits) -> Result<(Vec<u8>, Packed), PackError> {
    let mut archive = Vec::new();
    let root = File::open(directory).unwrap();
    let cancel = CancellationToken::new();
    let packed = pack(root.as_fd(), &mut archive, limits, &cancel)?;
    Ok((archive, packed))
}

fn packed(directory: &Path) -> (Vec<u8>, Packed) {
    packed_with(directory, &LIMITS).unwrap()
}

fn unpacked(archive: &[u8]) -> Result<(TempDir, Filled), ImageError> {
    let place = tempdir().unwrap();
    for name in ["tree", "trash"] {
        fs::create_dir(place.path().join(name)).unwrap();
    }
    let open = |name| OwnedFd::from(File::open(place.path().join(name)).unwrap());
    let filled = unpack(
        archive,
        (open("tree"), open("trash")),
        &LIMITS,
        &CancellationToken::new(),
    )?;
    Ok((place, filled))
}

/// Everything about a tree that should survive, one line for each name.
fn described(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(path) = waiting.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let mut content = String::new();
        if meta.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            waiting.extend(entries.map(|entry| entry.unwrap().path()));
        } else if meta.is_symlink() {
            content = format!("{:?}", fs::read_link(&path).unwrap());
        } else {
            let mut bytes = Vec::new();
            File::open(&path).unwrap().read_to_end(&mut bytes).unwrap();
            content = crate::digest::Digest::of(&bytes).hex();
        }
        let below = path.strip_prefix(root).unwrap();
        let time = (meta.mtime(), meta.mtime_nsec());
        lines.push(format!(
            "{below:?} {:o} {}:{} {time:?} {content}",
            meta.mode(),
            meta.uid(),
            meta.gid()
        ));
    }
    lines.sort();
    lines
}

#[test]
fn everything_about_a_directory_survives() {
    let place = tempdir().unwrap();
    let root = place.path();
    fs::create_dir_all(root.join("a/empty")).unwrap();
    fs::write(root.join("a/script"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("a/script"), Permissions::from_mode(0o4755)).unwrap();
    fs::hard_link(root.join("a/script"), root.join("second name")).unwrap();
    symlink("/etc/passwd", root.join("a/link")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    fs::write(root.join("line\nbreak\x1b[31m"), "odd").unwrap();
    fs::write(root.join(".wh.kept"), "no whiteout").unwrap();
    let long = "n".repeat(200);
    fs::create_dir(root.join(&long)).unwrap();
    fs::write(root.join(&long).join(&long), vec![7; 300_000]).unwrap();
    std::os::unix::fs::chown(root.join("a/empty"), Some(1_000), Some(70)).unwrap();

    let (archive, told) = packed(root);
    let (restored, filled) = unpacked(&archive).unwrap();
    let tree = restored.path().join("tree");
    assert_eq!(described(&tree), described(root));
    assert_eq!(filled.bytes, archive.len() as u64);
    assert_eq!(filled.digest, crate::digest::Digest::of(&archive));
    assert_eq!(told.left_out, 0);
    let inode = |path: &str| fs::metadata(tree.join(path)).unwrap().ino();
    assert_eq!(inode("a/script"), inode("second name"));
    // The same again, from another place.
    assert_eq!(packed(&tree).0, archive);
}

#[test]
fn a_hole_stays_one() {
    const LEN: u64 = 32 << 20;
    let place = tempdir().unwrap();
    let mut file = File::create(place.path().join("sparse")).unwrap();
    file.seek(SeekFrom::Start(LEN - 5)).unwrap();
    file.write_all(b"\0end\0").unwrap();
    drop(file);
    let (archive, _) = packed(place.path());
    let (restored, _) = unpacked(&archive).unwrap();
    let meta = fs::metadata(restored.path().join("tree/sparse")).unwrap();
    assert_eq!(meta.len(), LEN);
    assert!(meta.blocks() * 512 < LEN / 8, "{} blocks", meta.blocks());
    let content = fs::read(restored.path().join("tree/sparse")).unwrap();
    assert!(content.ends_with(b"\0\0end\0"));
}

#[test]
fn what_no_archive_can_hold_is_left_out_and_counted() {
    let place = tempdir().unwrap();
    let _listener = UnixListener::bind(place.path().join("socket")).unwrap();
    fs::write(place.path().join("file"), "kept").unwrap();
    let (archive, told) = packed(place.path());
    assert_eq!(told.left_out, 1);
    let (restored, _) = unpacked(&archive).unwrap();
    assert!(restored.path().join("tree/file").exists());
    assert!(!restored.path().join("tree/socket").exists());
}

#[test]
fn a_directory_beyond_a_bound_is_refused_with_the_place() {
    let place = tempdir().unwrap();
    fs::write(place.path().join("large"), vec![0; 100]).unwrap();
    let few = DirectoryLimits {
        entries_max: 1,
        ..LIMITS
    };
    let small = DirectoryLimits {
        file_bytes_max: 99,
        ..LIMITS
    };
    for limits in [few, small] {
        let refused = packed_with(place.path(), &limits);
        assert!(matches!(refused, Err(PackError::Beyond { .. })));
    }
    let mut deep = place.path().to_owned();
    for _ in 0..=DEPTH_MAX {
        deep.push("d");
        fs::create_dir(&deep).unwrap();
    }
    let refused = packed_with(place.path(), &LIMITS).unwrap_err();
    assert!(
        refused.to_string().contains("within each other"),
        "{refused}"
    );
}

#[test]
fn an_archive_that_was_changed_has_another_digest_or_cannot_be_read() {
    let place = tempdir().unwrap();
    fs::write(place.path().join("file"), "what it was").unwrap();
    let (archive, _) = packed(place.path());
    let original = crate::digest::Digest::of(&archive);
    let cut = archive.get(..archive.len() - 1).unwrap().to_vec();
    let longer = [archive.clone(), vec![0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]].concat();
    for changed in [cut, longer] {
        if let Ok((_, filled)) = unpacked(&changed) {
            assert_ne!(filled.digest, original);
        }
    }
}

#[test]
fn a_device_in_an_archive_is_refused() {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Char);
    header.set_path("null").unwrap();
    header.set_size(0);
    header.set_mode(0o666);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    let mut archive = tar::Builder::new(Vec::new());
    archive.append(&header, std::io::empty()).unwrap();
    let refused = unpacked(&archive.into_inner().unwrap());
    assert!(matches!(refused, Err(ImageError::Hostile { .. })));
}

#[test]
fn what_nobody_wants_any_more_ends() {
    let place = tempdir().unwrap();
    fs::write(place.path().join("file"), "x").unwrap();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let root = File::open(place.path()).unwrap();
    let ended = pack(root.as_fd(), Vec::new(), &LIMITS, &cancel);
    assert!(matches!(ended, Err(PackError::Cancelled)));
}
