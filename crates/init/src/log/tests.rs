//! What is written is what the reader of the host reads.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::MetadataExt as _;

use palisade_init_protocol::log::{Piece, Reader};
use tempfile::TempDir;

use super::*;

fn open(folder: &TempDir, limits: Limits) -> (Log, Reader) {
    let file = |name: &str| {
        let mut options = OpenOptions::new();
        let path = folder.path().join(name);
        options.append(true).create(true).open(path).unwrap()
    };
    let log = Log::new(file("data").into(), file("index").into(), &limits).unwrap();
    let read = |name: &str| File::open(folder.path().join(name)).unwrap();
    (log, Reader::new(read("data"), read("index")))
}

fn limits(log_bytes: u64, log_records: u64) -> Limits {
    Limits {
        log_bytes,
        log_records,
        ..Limits::DEFAULT
    }
}

fn read_all(reader: &Reader) -> Vec<(Stream, Vec<u8>)> {
    let mut cursor = reader.at_start().unwrap();
    let mut seen = Vec::new();
    while let Some(Piece::Chunk(chunk)) = reader.next(&mut cursor, usize::MAX).unwrap() {
        seen.push((chunk.stream, chunk.data.to_vec()));
    }
    seen
}

#[test]
fn what_was_written_is_read_back_piece_by_piece() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, reader) = open(&folder, Limits::DEFAULT);
    log.append(Stream::Stdout, b"one\n");
    log.append(Stream::Stderr, b"\0\xff");
    assert_eq!(log.end(), 6);
    let expected = [
        (Stream::Stdout, b"one\n".to_vec()),
        (Stream::Stderr, b"\0\xff".to_vec()),
    ];
    assert_eq!(read_all(&reader), expected);
}

#[test]
fn a_log_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(&folder, Limits::DEFAULT);
    log.append(Stream::Stdout, b"before ");
    let (mut log, reader) = open(&folder, Limits::DEFAULT);
    log.append(Stream::Stdout, b"after");
    assert_eq!(log.end(), 12);
    assert_eq!(read_all(&reader).len(), 2);
}

#[test]
fn the_oldest_bytes_are_given_up() {
    const LIMIT: u64 = 1024 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let (mut log, reader) = open(&folder, limits(LIMIT, u64::MAX));
    for round in 0..100_u8 {
        log.append(Stream::Stdout, &vec![round; 64 * 1024]);
        let bounds = reader.bounds().unwrap();
        assert_eq!(bounds.end, u64::from(round + 1) * 64 * 1024);
        let kept = bounds.end - bounds.first_kept;
        assert!(kept <= LIMIT, "{kept} bytes are kept");
        assert!(kept >= bounds.end.min(LIMIT) * 9 / 10, "only {kept} are");
    }
    let seen = read_all(&reader);
    assert_eq!(seen.last().unwrap().1, vec![99; 64 * 1024]);
    let on_disk = std::fs::metadata(folder.path().join("data"))
        .unwrap()
        .blocks()
        * 512;
    assert!(on_disk <= 2 * LIMIT, "{on_disk} bytes on the disk");
    assert!(log.segments.len() < 200);
}

#[test]
fn a_line_with_which_the_log_begins_is_known_to_be_whole() {
    const LINE: usize = 4 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let (mut log, reader) = open(&folder, limits(256 * 1024, u64::MAX));
    let mut line = vec![b'x'; LINE];
    line[LINE - 1] = b'\n';
    for _ in 0..500 {
        log.append(Stream::Stdout, &line);
    }
    let first_kept = reader.bounds().unwrap().first_kept;
    assert!(first_kept > 0);
    let mut cursor = reader.at_first_line().unwrap();
    let first = reader.next(&mut cursor, LINE).unwrap();
    assert!(matches!(first, Some(Piece::Chunk(chunk)) if chunk.offset == first_kept));
}

#[test]
fn the_oldest_records_are_given_up() {
    const LIMIT: u64 = 1000;
    let folder = tempfile::tempdir().unwrap();
    let (mut log, reader) = open(&folder, limits(u64::MAX, LIMIT));
    for _ in 0..5000 {
        log.append(Stream::Stdout, b"x");
    }
    let kept = read_all(&reader).len() as u64;
    assert!((LIMIT * 9 / 10..=LIMIT).contains(&kept), "{kept} are kept");
}

#[test]
fn the_last_record_is_kept_however_large_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, reader) = open(&folder, limits(1, 1));
    for round in 0..10_u8 {
        log.append(Stream::Stdout, &[round; 5000]);
        assert_eq!(read_all(&reader), [(Stream::Stdout, vec![round; 5000])]);
    }
}

#[test]
fn what_cannot_be_written_leaves_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(&folder, Limits::DEFAULT);
    let good = std::mem::replace(&mut log.data, File::open("/dev/full").unwrap().into());
    log.append(Stream::Stdout, b"12345");
    log.data = good;
    log.append(Stream::Stdout, b"ok");
    let (_, reader) = open(&folder, Limits::DEFAULT);
    let mut cursor = reader.at_start().unwrap();
    let mut next = || reader.next(&mut cursor, 100).unwrap();
    assert!(matches!(next(), Some(Piece::Lost { bytes: 5, .. })));
    assert!(matches!(next(), Some(Piece::Chunk(chunk)) if chunk.offset == 0));
    assert_eq!(next(), None);
}
