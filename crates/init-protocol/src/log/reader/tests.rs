use std::io::Write;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What a log was made from.
#[derive(Debug, Default)]
struct Log {
    data: Vec<u8>,
    index: Vec<u8>,
    pieces: Vec<Piece>,
}

impl Log {
    fn write(&mut self, at: i64, stream: Stream, bytes: &[u8]) {
        let chunk = Chunk {
            offset: self.data.len() as u64,
            at: UnixMicros(at),
            stream,
            data: Bytes::copy_from_slice(bytes),
        };
        self.record(at, RecordKind::Written(stream), bytes.len());
        self.data.extend_from_slice(bytes);
        self.pieces.push(Piece::Chunk(chunk));
    }

    fn lose(&mut self, at: i64, bytes: usize) {
        self.record(at, RecordKind::Lost, bytes);
        self.pieces.push(Piece::Lost {
            at: UnixMicros(at),
            bytes: u32::try_from(bytes).unwrap(),
        });
    }

    fn record(&mut self, at: i64, kind: RecordKind, len: usize) {
        let record = Record {
            offset: self.data.len() as u64,
            at: UnixMicros(at),
            len: u32::try_from(len).unwrap(),
            kind,
        };
        self.index.extend_from_slice(&record.encode());
    }

    /// Gives up the first `records`, and their bytes but for the last.
    fn give_up(&mut self, records: usize) {
        self.index[..records * Record::SIZE].fill(0);
        let kept = &self.index[records * Record::SIZE..];
        let first = kept.first_chunk().and_then(Record::decode);
        let offset = first.map_or(self.data.len() as u64, |record| record.offset);
        let kept = usize::try_from(offset).unwrap();
        self.data[..kept.saturating_sub(1)].fill(0);
        self.pieces.drain(..records);
    }

    /// Where the first line begins that is kept whole; a log that is the rest of one
    /// line begins where it begins.
    fn first_line(&self) -> usize {
        let bounds = self.reader().bounds().unwrap();
        let kept = usize::try_from(bounds.first_kept).unwrap();
        if kept == 0 {
            return kept;
        }
        let line_end = self.data[kept - 1..].iter().position(|byte| *byte == b'\n');
        let begin = line_end.map(|at| kept + at);
        begin.filter(|at| *at < self.data.len()).unwrap_or(kept)
    }

    fn reader(&self) -> Reader {
        Reader::new(file(&self.data), file(&self.index))
    }
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn rest(reader: &Reader, cursor: Cursor) -> Vec<Piece> {
    rest_in_steps(reader, cursor, usize::MAX)
}

fn rest_in_steps(reader: &Reader, mut cursor: Cursor, bytes_max: usize) -> Vec<Piece> {
    std::iter::from_fn(|| reader.next(&mut cursor, bytes_max).unwrap()).collect()
}

fn text(pieces: &[Piece]) -> Vec<u8> {
    let data = pieces.iter().flat_map(|piece| match piece {
        Piece::Chunk(chunk) => chunk.data.to_vec(),
        Piece::Lost { .. } => Vec::new(),
    });
    data.collect()
}

fn three_lines() -> Log {
    let mut log = Log::default();
    log.write(10, Stream::Stdout, b"one\ntw");
    log.write(20, Stream::Stderr, b"o\n");
    log.write(30, Stream::Stdout, b"three");
    log
}

fn logs() -> impl Strategy<Value = Log> {
    let bytes = vec(prop::sample::select(b"ab\n".to_vec()), 0..12);
    let written = (0..100_i64, any::<bool>(), bytes);
    vec(written, 0..30).prop_map(|pieces| {
        let mut log = Log::default();
        for (at, is_stderr, bytes) in pieces {
            match (bytes.is_empty(), is_stderr) {
                (true, _) => log.lose(at, 5),
                (false, true) => log.write(at, Stream::Stderr, &bytes),
                (false, false) => log.write(at, Stream::Stdout, &bytes),
            }
        }
        log
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(log in logs()) {
        let reader = log.reader();
        prop_assert_eq!(rest(&reader, reader.at_start().unwrap()), log.pieces);
    }

    #[test]
    fn what_is_kept_is_read_back(mut log in logs(), given_up in any::<prop::sample::Index>()) {
        log.give_up(given_up.index(log.pieces.len().max(1)));
        let reader = log.reader();
        prop_assert_eq!(rest(&reader, reader.at_start().unwrap()), log.pieces);
    }

    #[test]
    fn every_offset_that_is_kept_can_be_read_from(
        mut log in logs(),
        given_up in any::<prop::sample::Index>(),
        bytes_max in 1_usize..5,
    ) {
        log.give_up(given_up.index(log.pieces.len().max(1)));
        let reader = log.reader();
        let Bounds { first_kept, end } = reader.bounds().unwrap();
        for offset in first_kept..=end {
            let cursor = reader.at_offset(offset).unwrap();
            let pieces = rest_in_steps(&reader, cursor, bytes_max);
            prop_assert_eq!(text(&pieces), &log.data[usize::try_from(offset).unwrap()..]);
        }
        if let Some(given_up) = first_kept.checked_sub(1) {
            let gap = reader.at_offset(given_up);
            let is_told = matches!(gap, Err(ReadError::Gap { first_kept: at }) if at == first_kept);
            prop_assert!(is_told);
        }
        let past = reader.at_offset(end + 1);
        let is_told = matches!(past, Err(ReadError::PastEnd { end: at }) if at == end);
        prop_assert!(is_told);
    }

    #[test]
    fn what_is_kept_begins_with_a_line(mut log in logs(), given_up in any::<prop::sample::Index>()) {
        log.give_up(given_up.index(log.pieces.len().max(1)));
        let reader = log.reader();
        let read = text(&rest(&reader, reader.at_first_line().unwrap()));
        prop_assert_eq!(read, &log.data[log.first_line()..]);
    }

    #[test]
    fn a_tail_is_the_last_whole_lines_of_what_is_kept(
        mut log in logs(),
        given_up in any::<prop::sample::Index>(),
        lines in 0_u32..8,
    ) {
        log.give_up(given_up.index(log.pieces.len().max(1)));
        let reader = log.reader();
        let tail = text(&rest(&reader, reader.at_tail(lines).unwrap()));
        let kept = &log.data[log.first_line()..];
        let all: Vec<&[u8]> = kept.split_inclusive(|byte| *byte == b'\n').collect();
        let wanted = &all[all.len().saturating_sub(lines as usize)..];
        prop_assert_eq!(tail, wanted.concat());
    }

    #[test]
    fn a_time_finds_the_first_piece_that_is_not_older(mut log in logs(), given_up in any::<prop::sample::Index>(), since in 0..110_i64) {
        log.give_up(given_up.index(log.pieces.len().max(1)));
        let reader = log.reader();
        let cursor = reader.at_time(UnixMicros(since)).unwrap();
        let is_old = |piece: &&Piece| match piece {
            Piece::Chunk(Chunk { at, .. }) | Piece::Lost { at, .. } => at.0 < since,
        };
        let wanted: Vec<Piece> = log.pieces.iter().skip_while(is_old).cloned().collect();
        let begin = log.data.len() - text(&wanted).len();
        let wanted = &log.data[begin.max(log.first_line())..];
        prop_assert_eq!(text(&rest(&reader, cursor)), wanted);
    }

    #[test]
    fn no_files_upset_the_reader(
        data in vec(any::<u8>(), 0..200),
        index in vec(prop_oneof![Just(0_u8), Just(1), Just(255), any::<u8>()], 0..400),
        offset in any::<u64>(),
    ) {
        let reader = Reader::new(file(&data), file(&index));
        let cursors = [
            reader.at_start(),
            reader.at_first_line(),
            reader.at_end(),
            reader.at_offset(offset),
            reader.at_tail(3),
            reader.at_time(UnixMicros(5)),
        ];
        for mut cursor in cursors.into_iter().flatten() {
            let mut pieces = 0;
            while let Ok(Some(_)) = reader.next(&mut cursor, 10) {
                pieces += 1;
                prop_assert!(pieces <= data.len() + index.len());
            }
        }
    }
}

#[test]
fn a_log_of_which_nobody_knows_whether_a_line_begins_there_begins_with_the_next() {
    let mut log = Log::default();
    for line in [b"one\n", b"two\n", b"six\n"] {
        log.write(10, Stream::Stdout, line);
    }
    log.give_up(1);
    let read = |log: &Log| {
        let reader = log.reader();
        text(&rest(&reader, reader.at_first_line().unwrap()))
    };
    assert_eq!(read(&log), b"two\nsix\n");
    // As an older writer left it.
    log.data[3] = 0;
    assert_eq!(read(&log), b"six\n");
}

#[test]
fn a_line_that_is_longer_than_what_is_kept_is_not_given_up_for_its_beginning() {
    for end in [&b""[..], b"\n"] {
        let mut log = Log::default();
        log.write(10, Stream::Stdout, b"one lo");
        log.write(20, Stream::Stdout, b"ng line");
        log.write(30, Stream::Stdout, &[b" without an end", end].concat());
        log.give_up(1);
        let reader = log.reader();
        let kept = [b"ng line without an end", end].concat();
        for cursor in [
            reader.at_first_line(),
            reader.at_tail(5),
            reader.at_time(UnixMicros(5)),
        ] {
            assert_eq!(text(&rest(&reader, cursor.unwrap())), kept);
        }
    }
}

#[test]
fn a_cursor_at_the_end_sees_what_comes_later() {
    let mut log = three_lines();
    let reader = log.reader();
    let mut cursor = reader.at_end().unwrap();
    assert_eq!(reader.next(&mut cursor, 100).unwrap(), None);
    log.write(40, Stream::Stdout, b"more");
    let later = log.reader();
    assert_eq!(text(&rest(&later, cursor)), b"more");
}

#[test]
fn a_cursor_into_what_was_given_up_says_where_to_go_on() {
    let mut log = three_lines();
    let mut cursor = log.reader().at_start().unwrap();
    log.give_up(2);
    let gap = log.reader().next(&mut cursor, 100);
    assert!(matches!(gap, Err(ReadError::Gap { first_kept: 8 })));
}

#[test]
fn a_half_written_record_is_not_there_yet() {
    let mut log = three_lines();
    log.index.truncate(log.index.len() - 1);
    let reader = log.reader();
    let read = rest(&reader, reader.at_start().unwrap());
    assert_eq!(text(&read), b"one\ntwo\n");
}

#[test]
fn a_record_of_a_later_version_is_passed_over() {
    let mut log = three_lines();
    log.record(40, RecordKind::Other(99), 1 << 30);
    log.write(50, Stream::Stdout, b"!");
    let reader = log.reader();
    let read = rest(&reader, reader.at_start().unwrap());
    assert_eq!(text(&read), b"one\ntwo\nthree!");
    assert_eq!(reader.bounds().unwrap().end, 14);
}

#[test]
fn bytes_without_a_record_show_as_a_jump_of_the_offsets() {
    let mut log = three_lines();
    log.data.extend_from_slice(b"???");
    log.write(40, Stream::Stdout, b"more");
    let reader = log.reader();
    let cursor = reader.at_offset(14).unwrap();
    let read = rest(&reader, cursor);
    assert!(matches!(
        &read[..],
        [Piece::Chunk(Chunk { offset: 16, .. })]
    ));
}

#[test]
fn a_record_that_lies_is_found_out() {
    let lies = [
        // Bytes that are not there.
        (0, 20, RecordKind::Written(Stream::Stdout)),
        // More than any record stands for.
        (0, RECORD_DATA_MAX + 1, RecordKind::Written(Stream::Stdout)),
        // No bytes at all, which would never end.
        (0, 0, RecordKind::Written(Stream::Stdout)),
        // An end that no offset reaches.
        (u64::MAX, 2, RecordKind::Written(Stream::Stdout)),
    ];
    for (offset, len, kind) in lies {
        let at = UnixMicros(0);
        let record = Record {
            offset,
            at,
            len,
            kind,
        };
        let reader = Reader::new(file(b"0123456789"), file(&record.encode()));
        let mut cursor = reader.at_start().unwrap();
        let found = reader.next(&mut cursor, 100);
        assert!(
            matches!(found, Err(ReadError::Damaged)),
            "{record:?}: {found:?}"
        );
    }
}

#[test]
fn offsets_that_go_back_are_found_out() {
    let mut log = three_lines();
    log.record(40, RecordKind::Written(Stream::Stdout), 5);
    let again = log.index.clone();
    log.index.extend_from_slice(&again);
    let reader = Reader::new(file(&[b'x'; 100]), file(&log.index));
    let mut cursor = reader.at_start().unwrap();
    let yielded = std::iter::from_fn(|| match reader.next(&mut cursor, 100) {
        Ok(piece) => piece,
        Err(error) => {
            assert!(matches!(error, ReadError::Damaged));
            None
        }
    });
    assert_eq!(yielded.count(), 4);
}

#[test]
fn a_file_of_nothing_but_holes_costs_no_time() {
    let (data, index) = (file(b""), file(b""));
    data.set_len(1 << 42).unwrap();
    index.set_len(1 << 42).unwrap();
    let reader = Reader::new(data, index);
    let empty = Bounds {
        first_kept: 0,
        end: 0,
    };
    assert_eq!(reader.bounds().unwrap(), empty);
    for cursor in [
        reader.at_start(),
        reader.at_first_line(),
        reader.at_tail(9),
        reader.at_time(UnixMicros(0)),
    ] {
        assert_eq!(rest(&reader, cursor.unwrap()), []);
    }
}
