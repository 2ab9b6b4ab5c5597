//! Layers as they should be, and layers that attack. They need root, as the
//! store does: owners and devices are real.

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rustix::fs::{Mode, OFlags};
use tar::EntryType;
use tempfile::TempDir;

use super::attribute::OPAQUE;
use super::*;
use crate::testing::{Archive, gzip};

/// A place to unpack, with a file outside that no layer may touch.
struct Place {
    folder: TempDir,
    limits: Limits,
    cancel: CancellationToken,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["tree", "trash", "outside"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("outside/secret"), "secret").unwrap();
        let limits = Limits {
            depth_max: 20,
            ..Limits::default()
        };
        Self {
            folder,
            limits,
            cancel: CancellationToken::new(),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("tree").join(path)
    }

    fn outside(&self) -> PathBuf {
        self.folder.path().join("outside")
    }

    fn unpack(&self, packed: &[u8]) -> Result<Unpacked, ImageError> {
        let open = |name| open(&self.folder.path().join(name));
        let target = Target {
            tree: open("tree"),
            trash: open("trash"),
        };
        let budget = Budget::new(&self.limits);
        let job = Job {
            limits: &self.limits,
            budget: &budget,
            cancel: &self.cancel,
            on_read: &|_| {},
        };
        unpack(Cursor::new(packed), target, &job)
    }

    /// Unpacks what must be refused, and checks that nothing got out.
    fn refuse(&self, archive: Archive) -> ImageError {
        let error = self.unpack(&archive.finish()).expect_err("must be refused");
        self.check_outside();
        error
    }

    fn check_outside(&self) {
        let entries: Vec<_> = fs::read_dir(self.outside()).unwrap().collect();
        assert_eq!(entries.len(), 1, "something was written outside");
        let secret = self.outside().join("secret");
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
        assert_eq!(fs::metadata(secret).unwrap().nlink(), 1);
    }
}

fn open(path: &Path) -> OwnedFd {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).unwrap()
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = Vec::with_capacity(64);
    let read = rustix::fs::lgetxattr(path, name, rustix::buffer::spare_capacity(&mut value));
    read.ok().map(|_| value)
}

fn is_hidden(path: &Path) -> bool {
    let stat = fs::symlink_metadata(path).unwrap();
    stat.file_type().is_char_device() && stat.rdev() == 0
}

#[test]
fn owners_modes_times_links_and_attributes_are_kept() {
    let place = Place::new();
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let archive = Archive::new()
        .entry("d", EntryType::Directory, b"", |header| {
            header.set_mode(0o1777);
            header.set_mtime(1000);
        })
        .pax(&[
            ("SCHILY.xattr.security.capability", capability),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
            ("mtime", b"77.5"),
        ])
        .entry("d/f", EntryType::Regular, b"content", |header| {
            header.set_mode(0o4755);
            header.set_uid(1234);
            header.set_gid(100_000);
        })
        .hardlink("d/h", "d/f")
        .symlink("l", "/outside/anything")
        .entry("p", EntryType::Fifo, b"", |header| header.set_mode(0o622))
        .finish();
    let unpacked = place.unpack(&archive).unwrap();
    assert_eq!(unpacked.layer, Digest::of(&archive));
    assert_eq!(unpacked.weight.entries, 5);

    let directory = fs::metadata(place.path("d")).unwrap();
    assert_eq!(
        (directory.mode() & 0o7777, directory.mtime()),
        (0o1777, 1000)
    );
    let file = fs::metadata(place.path("d/f")).unwrap();
    assert_eq!(
        (file.mode() & 0o7777, file.uid(), file.gid()),
        (0o4755, 1234, 100_000)
    );
    assert_eq!(
        (file.mtime(), file.mtime_nsec(), file.nlink()),
        (77, 500_000_000, 2)
    );
    assert_eq!(fs::metadata(place.path("d/h")).unwrap().ino(), file.ino());
    assert_eq!(
        xattr(&place.path("d/f"), "security.capability").unwrap(),
        capability
    );
    assert_eq!(xattr(&place.path("d/f"), "trusted.overlay.redirect"), None);
    let link = fs::read_link(place.path("l")).unwrap();
    assert_eq!(link, Path::new("/outside/anything"));
    let pipe = fs::symlink_metadata(place.path("p")).unwrap();
    assert!(pipe.file_type().is_fifo());
    assert_eq!(pipe.permissions().mode() & 0o777, 0o622);
}

#[test]
fn packed_layers_have_two_digests() {
    let place = Place::new();
    let archive = Archive::new().file("f", b"x").finish();
    let packed = gzip(&archive);
    let unpacked = place.unpack(&packed).unwrap();
    assert_eq!(unpacked.blob, Digest::of(&packed));
    assert_eq!(unpacked.layer, Digest::of(&archive));
}

#[test]
fn directories_that_no_entry_describes_are_roots() {
    let place = Place::new();
    place
        .unpack(&Archive::new().file("a/b/f", b"x").finish())
        .unwrap();
    let stat = fs::metadata(place.path("a/b")).unwrap();
    assert_eq!(
        (stat.mode() & 0o7777, stat.uid(), stat.mtime()),
        (0o755, 0, 0)
    );
}

#[test]
fn directories_that_anyone_may_write_to_are_so_without_an_entry() {
    let place = Place::new();
    let archive = Archive::new()
        .file("tmp/f", b"x")
        .file("var/tmp/f", b"x")
        .file("root/.profile", b"x")
        .file("a/tmp/f", b"x");
    place.unpack(&archive.finish()).unwrap();
    for (path, expected) in [
        ("tmp", 0o1777),
        ("var", 0o755),
        ("var/tmp", 0o1777),
        ("root", 0o700),
        ("a/tmp", 0o755),
    ] {
        let mode = fs::metadata(place.path(path)).unwrap().mode();
        assert_eq!(mode & 0o7777, expected, "{path}");
    }
}

#[test]
fn the_root_of_the_image_can_be_described() {
    let place = Place::new();
    let archive = Archive::new().entry("./", EntryType::Directory, b"", |header| {
        header.set_mode(0o700);
        header.set_uid(5);
    });
    place.unpack(&archive.finish()).unwrap();
    let stat = fs::metadata(place.path("")).unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.uid()), (0o700, 5));
}

#[test]
fn paths_out_of_the_image_are_refused() {
    for archive in [
        Archive::new().file("../outside/x", b"x"),
        Archive::new().file("a/../../outside/x", b"x"),
        Archive::new().directory("../outside/d"),
        Archive::new().symlink("../outside/l", "x"),
        Archive::new()
            .pax(&[("path", b"../outside/x")])
            .file("f", b"x"),
        Archive::new().file("a/..", b"x"),
        Archive::new()
            .entry("x", EntryType::GNULongName, b"../outside/x\0", |_| {})
            .file("f", b"x"),
        Archive::new().file("../outside/.wh.secret", b""),
    ] {
        let error = Place::new().refuse(archive);
        assert!(matches!(error, ImageError::Hostile { .. }), "{error}");
    }
}

#[test]
fn an_absolute_path_lands_inside() {
    let place = Place::new();
    let outside = place.outside();
    let absolute = outside.to_str().unwrap().to_owned();
    let archive = Archive::new().pax(&[("path", format!("{absolute}/x").as_bytes())]);
    place.unpack(&archive.file("f", b"x").finish()).unwrap();
    place.check_outside();
    assert!(place.path(&format!("{}/x", &absolute[1..])).exists());
}

#[test]
fn writing_through_a_link_stays_inside() {
    let place = Place::new();
    let outside = place.outside();
    let target = outside.to_str().unwrap();
    // The kernel takes the tree as the root, so that this is a missing directory.
    place.refuse(Archive::new().symlink("l", target).file("l/x", b"x"));
    let up = "../".repeat(10) + &target[1..];
    Place::new().refuse(Archive::new().symlink("l", &up).file("l/x", b"x"));
    let chain = Archive::new()
        .symlink("a", "b")
        .symlink("b", target)
        .file("a/x", b"x");
    Place::new().refuse(chain);
    let circle = Archive::new()
        .symlink("a", "b")
        .symlink("b", "a")
        .file("a/x", b"x");
    Place::new().refuse(circle);
    let proc = Archive::new()
        .symlink("a", "/proc/self/cwd")
        .file("a/x", b"x");
    Place::new().refuse(proc);
}

#[test]
fn a_link_inside_of_the_image_is_followed() {
    let place = Place::new();
    let archive = Archive::new()
        .directory("usr/lib")
        .symlink("lib", "usr/lib")
        .symlink("abs", "/usr/../usr/lib")
        .file("lib/a", b"a")
        .file("abs/b", b"b");
    place.unpack(&archive.finish()).unwrap();
    assert!(place.path("usr/lib/a").exists() && place.path("usr/lib/b").exists());
}

#[test]
fn a_file_over_a_link_replaces_the_link() {
    let place = Place::new();
    let secret = place.outside().join("secret");
    let archive = Archive::new()
        .symlink("f", secret.to_str().unwrap())
        .file("f", b"mine")
        .symlink("d", place.outside().to_str().unwrap());
    place.unpack(&archive.finish()).unwrap();
    place.check_outside();
    assert_eq!(fs::read(place.path("f")).unwrap(), b"mine");
}

#[test]
fn a_directory_entry_over_a_link_does_not_change_the_target() {
    let place = Place::new();
    let before = fs::metadata(place.outside()).unwrap().mode();
    let target = place.outside();
    let archive = Archive::new().symlink("d", target.to_str().unwrap()).entry(
        "d",
        EntryType::Directory,
        b"",
        |header| header.set_mode(0o777),
    );
    let _ = place.unpack(&archive.finish());
    place.check_outside();
    assert_eq!(fs::metadata(place.outside()).unwrap().mode(), before);
}

#[test]
fn hard_links_to_the_outside_are_refused() {
    let place = Place::new();
    let outside = place.outside();
    let target = outside.to_str().unwrap();
    let secret = format!("{target}/secret");
    for archive in [
        Archive::new().hardlink("h", "../outside/secret"),
        Archive::new().hardlink("h", &secret),
        Archive::new()
            .symlink("l", target)
            .hardlink("h", "l/secret"),
        Archive::new().hardlink("h", "missing"),
        Archive::new().directory("d").hardlink("h", "d"),
        Archive::new().hardlink("h", "/"),
        Archive::new().file(".wh.w", b"").hardlink("h", "w"),
    ] {
        let error = place.refuse(archive);
        assert!(matches!(error, ImageError::Hostile { .. }), "{error}");
    }
    // A hard link to a link is one more name of the link; writing replaces it.
    let archive = Archive::new()
        .symlink("l", &secret)
        .hardlink("h", "l")
        .file("h", b"mine");
    Place::new().unpack(&archive.finish()).unwrap();
    place.check_outside();
}

#[test]
fn a_hard_link_to_itself_keeps_the_file() {
    let place = Place::new();
    let archive = Archive::new().file("f", b"x").hardlink("f", "f");
    place.unpack(&archive.finish()).unwrap();
    assert_eq!(fs::read(place.path("f")).unwrap(), b"x");
}

#[test]
fn devices_are_refused_except_in_dev_where_they_are_left_out() {
    let error = Place::new().refuse(Archive::new().device("sda", 8, 0));
    assert!(error.to_string().contains("device"), "{error}");
    Place::new().refuse(Archive::new().device("fake-whiteout", 0, 0));
    let place = Place::new();
    let archive = Archive::new()
        .device("./dev/null", 1, 3)
        .device("dev/x", 0, 0)
        .file("f", b"");
    place.unpack(&archive.finish()).unwrap();
    assert!(!place.path("dev").exists() && place.path("f").exists());
}

#[test]
fn whiteouts_become_those_of_the_overlay() {
    let place = Place::new();
    let archive = Archive::new()
        .file("d/.wh.gone", b"")
        .file("o/.wh..wh..opq", b"")
        .file("o/new", b"x")
        .file(".wh..wh.plnk", b"")
        .file(".wh.top", b"");
    let unpacked = place.unpack(&archive.finish()).unwrap();
    assert!(is_hidden(&place.path("d/gone")) && is_hidden(&place.path("top")));
    assert_eq!(xattr(&place.path("o"), OPAQUE).unwrap(), b"y");
    assert_eq!(xattr(&place.path("d"), OPAQUE), None);
    assert!(!unpacked.is_opaque && !place.path(".wh..wh.plnk").exists());
}

#[test]
fn a_whiteout_beside_its_successor_hides_only_what_is_below() {
    for archive in [
        Archive::new().file("d/f", b"x").file(".wh.d", b""),
        Archive::new().file(".wh.d", b"").file("d/f", b"x"),
        Archive::new()
            .file(".wh.d", b"")
            .directory("d")
            .file("d/f", b"x"),
    ] {
        let place = Place::new();
        place.unpack(&archive.finish()).unwrap();
        assert_eq!(fs::read(place.path("d/f")).unwrap(), b"x");
        assert_eq!(xattr(&place.path("d"), OPAQUE).unwrap(), b"y");
    }
    for archive in [
        Archive::new().file("f", b"x").file(".wh.f", b""),
        Archive::new().file(".wh.f", b"").file("f", b"x"),
    ] {
        let place = Place::new();
        place.unpack(&archive.finish()).unwrap();
        assert_eq!(fs::read(place.path("f")).unwrap(), b"x");
    }
}

#[test]
fn whiteouts_without_a_usable_name_are_refused() {
    for name in ["d/.wh.", "d/.wh..", "d/.wh..."] {
        Place::new().refuse(Archive::new().file(name, b""));
    }
}

#[test]
fn an_opaque_root_is_told() {
    let unpacked = Place::new().unpack(&Archive::new().file(".wh..wh..opq", b"").finish());
    assert!(unpacked.unwrap().is_opaque);
}

#[test]
fn later_entries_replace_earlier_ones() {
    let place = Place::new();
    let archive = Archive::new()
        .file("x/y/f", b"1")
        .file("x", b"2")
        .directory("x")
        .file("x/g", b"3")
        .file("x/g", b"4");
    place.unpack(&archive.finish()).unwrap();
    assert_eq!(fs::read(place.path("x/g")).unwrap(), b"4");
    assert!(!place.path("x/y").exists());
}

#[test]
fn a_replaced_directory_is_not_written_into_through_the_cache() {
    let place = Place::new();
    let archive = Archive::new()
        .file("a/b/f", b"1")
        .symlink("a", place.outside().to_str().unwrap())
        .file("a/b/g", b"2");
    place.refuse(archive);
    place.check_outside();
}

#[test]
fn a_file_in_the_way_of_a_directory_is_an_error() {
    let error = Place::new().refuse(Archive::new().file("a", b"").file("a/b", b""));
    assert!(matches!(error, ImageError::Hostile { .. }), "{error}");
}

#[test]
fn depth_is_bounded_also_through_links() {
    let deep = "d/".repeat(20) + "f";
    Place::new().refuse(Archive::new().file(&deep, b""));
    let half = "d/".repeat(12);
    let archive = Archive::new()
        .directory(&half)
        .symlink("l", &half)
        .file(&format!("l/{}f", "e/".repeat(12)), b"");
    let error = Place::new().refuse(archive);
    assert!(
        error.to_string().contains("too many directories"),
        "{error}"
    );
}

#[test]
fn a_bomb_ends_at_the_limit() {
    let mut place = Place::new();
    place.limits.unpacked_bytes_max = 1 << 20;
    let zeros = vec![0; 4 << 20];
    let inside = gzip(&Archive::new().file("f", &zeros).finish());
    let behind = gzip(&[Archive::new().finish(), zeros.clone()].concat());
    let packed = zstd::encode_all(&zeros[..], 1).unwrap();
    for bomb in [inside, behind, packed] {
        let error = place.unpack(&bomb).unwrap_err();
        assert!(matches!(error, ImageError::TooLarge { .. }), "{error}");
    }
    let written = fs::metadata(place.path("f")).unwrap().len();
    assert!(written <= 1 << 20, "{written} bytes were written");
}

#[test]
fn too_many_entries_are_refused() {
    let mut place = Place::new();
    place.limits.entries_max = 10;
    let archive = (0..11).fold(Archive::new(), |archive, n| {
        archive.file(&n.to_string(), b"")
    });
    assert!(matches!(place.refuse(archive), ImageError::TooLarge { .. }));
}

#[test]
fn cancelling_ends_the_work() {
    let place = Place::new();
    place.cancel.cancel();
    let result = place.unpack(&Archive::new().file("f", b"").finish());
    assert!(matches!(result, Err(ImageError::Cancelled)));
}

#[test]
fn damaged_packing_is_told_as_such() {
    let mut packed = gzip(&Archive::new().file("f", &[7; 5000]).finish());
    packed.truncate(packed.len() - 6);
    let error = Place::new().unpack(&packed).unwrap_err();
    assert!(matches!(error, ImageError::Malformed { .. }), "{error}");
}

/// What an attacker may put together from names that meet each other.
fn step() -> impl Strategy<Value = (u8, String, String)> {
    let part = prop_oneof![
        Just("a"),
        Just("b"),
        Just(".."),
        Just("."),
        Just(".wh.a"),
        Just(".wh..wh..opq")
    ];
    let path = proptest::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"));
    let target = prop_oneof![
        path.clone(),
        path.clone().prop_map(|path| format!("/{path}")),
        Just("../../../outside".to_owned()),
        Just("../outside/secret".to_owned())
    ];
    (0_u8..5, path, target)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn no_sequence_of_entries_reaches_the_outside(
        steps in proptest::collection::vec(step(), 1..12)
    ) {
        let place = Place::new();
        let archive = steps.iter().fold(Archive::new(), |archive, (kind, path, target)| {
            match kind {
                0 => archive.file(path, b"attack"),
                1 => archive.directory(path),
                2 => archive.symlink(path, target),
                3 => archive.hardlink(path, target),
                _ => archive.device(path, 1, 3),
            }
        });
        let _ = place.unpack(&archive.finish());
        place.check_outside();
    }
}
