//! Archives as tools write them, and as attackers do.

use proptest::prelude::*;
use tar::EntryType;

use super::*;
use crate::testing::Archive;

fn read(archive: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, ImageError> {
    let mut entries = Entries::new(archive, 20);
    let mut all = Vec::new();
    while let Some(entry) = entries.next()? {
        let mut content = Vec::new();
        let read = entries.read_to_end(&mut content);
        read.map_err(|error| ImageError::store("reading", error))?;
        all.push((entry, content));
    }
    Ok(all)
}

fn paths(archive: &[u8]) -> Vec<String> {
    let text =
        |(entry, _): &(Entry, _)| String::from_utf8_lossy(entry.path.as_bytes()).into_owned();
    read(archive).unwrap().iter().map(text).collect()
}

#[test]
fn entries_come_with_their_content_and_place() {
    let archive = Archive::new()
        .directory("d/")
        .file("d/f", b"hello")
        .symlink("l", "d/f")
        .hardlink("h", "/d/f")
        .finish();
    let all = read(&archive).unwrap();
    assert_eq!(all[0].0.kind, Kind::Directory);
    let (file, content) = &all[1];
    assert_eq!(
        (file.kind.clone(), content.as_slice()),
        (Kind::File, &b"hello"[..])
    );
    let place = usize::try_from(file.offset).unwrap();
    assert_eq!(&archive[place..place + 5], b"hello");
    assert_eq!(file.mtime.seconds, 1_600_000_000);
    assert_eq!(all[2].0.kind, Kind::Symlink(b"d/f".to_vec()));
    assert_eq!(
        all[3].0.kind,
        Kind::Hardlink(EntryPath::parse(b"d/f", 5).unwrap())
    );
}

#[test]
fn content_that_is_not_read_is_skipped() {
    let archive = Archive::new()
        .file("a", &[b'x'; 1000])
        .file("b", b"")
        .finish();
    assert_eq!(paths(&archive), ["a", "b"]);
}

#[test]
fn archives_of_the_tar_program_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let deep = format!("{}/{}", "a".repeat(120), "b".repeat(90));
    std::fs::create_dir_all(folder.path().join(&deep)).unwrap();
    std::fs::write(folder.path().join(&deep).join("file"), "content").unwrap();
    for format in ["gnu", "pax", "ustar"] {
        let output = std::process::Command::new("tar")
            .args(["-c", "--format", format, "-C"])
            .arg(folder.path())
            .arg(&deep)
            .output()
            .unwrap();
        let all = read(&output.stdout).unwrap();
        let (entry, content) = all.last().unwrap();
        assert_eq!(
            entry.path.as_bytes(),
            format!("{deep}/file").as_bytes(),
            "{format}"
        );
        assert_eq!(content, b"content", "{format}");
    }
}

#[test]
fn extended_headers_override_the_plain_one() {
    let archive = Archive::new()
        .pax(&[
            ("path", b"long/name"),
            ("uid", b"4000000"),
            ("mtime", b"12.5"),
            ("SCHILY.xattr.user.x", b"\0\n="),
        ])
        .file("short", b"x")
        .file("next", b"")
        .finish();
    let all = read(&archive).unwrap();
    let entry = &all[0].0;
    assert_eq!(entry.path.as_bytes(), b"long/name");
    assert_eq!(entry.uid, 4_000_000);
    assert_eq!(entry.mtime.nanoseconds, 500_000_000);
    assert_eq!(entry.xattrs, [(b"user.x".to_vec(), b"\0\n=".to_vec())]);
    // And only of the entry that follows.
    assert_eq!((all[1].0.uid, all[1].0.xattrs.len()), (0, 0));
}

#[test]
fn the_size_of_a_large_file_comes_from_the_extended_header() {
    let archive = Archive::new()
        .pax(&[("size", b"5")])
        .entry("f", EntryType::Regular, b"hello", |header| {
            header.set_size(0);
        })
        .file("g", b"")
        .finish();
    let all = read(&archive).unwrap();
    assert_eq!((all[0].0.bytes, all[0].1.as_slice()), (5, &b"hello"[..]));
    assert_eq!(all.len(), 2);
}

#[test]
fn a_size_on_something_without_content_is_ignored() {
    let archive = Archive::new()
        .entry("d", EntryType::Directory, b"", |header| {
            header.set_size(4096);
        })
        .file("f", b"x")
        .finish();
    assert_eq!(paths(&archive), ["d", "f"]);
}

#[test]
fn records_that_would_fill_the_memory_are_refused() {
    for kind in [
        EntryType::XHeader,
        EntryType::GNULongName,
        EntryType::GNULongLink,
    ] {
        let archive = Archive::new()
            .entry("x", kind, b"", |header| header.set_size(1 << 40))
            .finish();
        assert!(
            matches!(read(&archive), Err(ImageError::TooLarge { .. })),
            "{kind:?}"
        );
    }
    let endless = (0..100).fold(Archive::new(), |archive, _| {
        archive.pax(&[("comment", b"x")])
    });
    assert!(matches!(
        read(&endless.finish()),
        Err(ImageError::Malformed { .. })
    ));
}

#[test]
fn impossible_owners_sizes_and_links_are_refused() {
    let owner = Archive::new().pax(&[("uid", b"4294967295")]).file("f", b"");
    let link = Archive::new().symlink("l", "");
    let size = Archive::new()
        .pax(&[("size", b"18446744073709551615")])
        .file("f", b"");
    let up = Archive::new().hardlink("h", "../../etc/passwd");
    for archive in [owner, link, size, up] {
        assert!(read(&archive.finish()).is_err());
    }
}

#[test]
fn an_archive_that_was_cut_or_changed_is_malformed() {
    let whole = Archive::new().file("a", &[b'x'; 600]).bytes();
    for cut in [100, 512, 700, 1111] {
        assert!(
            matches!(read(&whole[..cut]), Err(ImageError::Malformed { .. })),
            "{cut}"
        );
    }
    let mut changed = whole;
    changed[0] ^= 1;
    assert!(matches!(read(&changed), Err(ImageError::Malformed { .. })));
}

#[test]
fn an_archive_may_end_with_the_content_of_its_last_entry() {
    let whole = Archive::new().file("a", &[b'x'; 600]).bytes();
    for end in [1112, 1300, 1535, 1536] {
        let all = read(&whole[..end]).unwrap();
        assert_eq!(all.len(), 1, "{end}");
        assert_eq!(all[0].1, [b'x'; 600], "{end}");
    }
}

#[test]
fn sparse_and_unknown_entries_are_refused_by_name() {
    for kind in [EntryType::GNUSparse, EntryType::new(b'V')] {
        let archive = Archive::new().entry("f", kind, b"", |_| {}).finish();
        assert!(
            matches!(read(&archive), Err(ImageError::Unsupported { .. })),
            "{kind:?}"
        );
    }
}

proptest! {
    #[test]
    fn no_change_of_an_archive_makes_the_reader_panic_or_hang(
        place in 0_usize..4096, value in any::<u8>(), cut in 0_usize..4096
    ) {
        let mut archive = Archive::new()
            .pax(&[("path", b"p"), ("mtime", b"1.5")])
            .file("a", b"content")
            .symlink("l", "a")
            .finish();
        let place = place % archive.len();
        archive[place] = value;
        // The checksum would refuse nearly all of them, so make it right again.
        for start in (0..archive.len() - 511).step_by(512) {
            let mut header = Header::new_old();
            header.as_mut_bytes().copy_from_slice(&archive[start..start + 512]);
            if header.as_bytes()[0] != 0 {
                header.set_cksum();
                archive[start..start + 512].copy_from_slice(header.as_bytes());
            }
        }
        archive.truncate(archive.len() - cut % archive.len());
        let _ = read(&archive);
    }
}
