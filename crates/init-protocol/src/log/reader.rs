//! Reads a log that somebody else writes at the same time.
//!
//! The writer may have been taken over by what runs in the sandbox: every number
//! in the files is bounded before it is used, and no call reads more than a
//! fixed amount. All calls block on the disk. Invariant: the offsets of what one
//! cursor yields only ever grow, and nothing between two pieces is left out
//! without their offsets showing it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

use super::{RECORD_DATA_MAX, Record, RecordKind};
use crate::text::{Stream, UnixMicros};

/// The most bytes that are looked through for line ends.
const LINES_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How often a place is looked for that the writer may give up meanwhile.
const LOOKS_MAX: usize = 4;

/// The most records that are looked through for a time.
const RECORDS_MAX: u64 = 16 * 1024 * 1024;

const BLOCK_BYTES: usize = 64 * 1024;
const RECORD_SIZE: u64 = Record::SIZE as u64;

/// Reads a log.
#[derive(Debug)]
pub struct Reader {
    data: File,
    index: File,
}

/// A place in a log. It stays good while the log grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The number of the next record.
    record: u64,
    /// How many of its bytes to pass over.
    skip: u32,
    /// No offset before this one is yielded any more.
    offset: u64,
}

/// Which bytes of a log there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset that is still kept.
    pub first_kept: u64,
    /// The offset behind the last byte.
    pub end: u64,
}

/// The next part of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes.
    Chunk(Chunk),
    /// Bytes that were never written, the disk being full perhaps.
    Lost {
        /// When they were read.
        at: UnixMicros,
        /// How many.
        bytes: u32,
    },
}

/// Bytes of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Where they begin.
    pub offset: u64,
    /// When they were read.
    pub at: UnixMicros,
    /// Where they were written to.
    pub stream: Stream,
    /// The bytes; not empty.
    pub data: Bytes,
}

/// Why a log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// What comes next is no longer kept. Another cursor can go on from there.
    #[error("the log before offset {first_kept} is no longer kept")]
    Gap {
        /// The first offset that is.
        first_kept: u64,
    },
    /// The offset lies behind the end.
    #[error("the log ends at offset {end}")]
    PastEnd {
        /// Where it ends.
        end: u64,
    },
    /// The files make no sense.
    #[error("the log is damaged")]
    Damaged,
    /// The disk failed.
    #[error("could not read the log")]
    Io(#[from] io::Error),
}

impl Reader {
    /// Reads these two files.
    pub fn new(data: File, index: File) -> Self {
        Self { data, index }
    }

    /// Which bytes there are by now.
    pub fn bounds(&self) -> Result<Bounds, ReadError> {
        let count = self.count()?;
        let first = self.first_record(count)?;
        let (Some(first), Some(last)) = (
            self.record(first)?,
            self.record(count.saturating_sub(1).max(first))?,
        ) else {
            return Ok(Bounds {
                first_kept: 0,
                end: 0,
            });
        };
        let end = end_of(&last).ok_or(ReadError::Damaged)?;
        match first.offset {
            offset if offset <= end => Ok(Bounds {
                first_kept: offset,
                end,
            }),
            _ => Err(ReadError::Damaged),
        }
    }

    /// The first byte that is kept.
    pub fn at_start(&self) -> Result<Cursor, ReadError> {
        let record = self.first_record(self.count()?)?;
        Ok(Cursor::before(record))
    }

    /// The first line that is kept whole, or the first byte of a log that is the rest of
    /// one line.
    pub fn at_first_line(&self) -> Result<Cursor, ReadError> {
        for _ in 0..LOOKS_MAX {
            let Bounds { first_kept, end } = self.bounds()?;
            let begin = self.line_from(first_kept, end)?;
            if begin == first_kept {
                break;
            }
            match self.at_offset(begin) {
                // Given up in between: then a later line is the first.
                Err(ReadError::Gap { .. }) => {}
                found => return found,
            }
        }
        self.at_start()
    }

    /// The end as it is now.
    pub fn at_end(&self) -> Result<Cursor, ReadError> {
        Ok(Cursor::before(self.count()?))
    }

    /// The byte at an offset.
    pub fn at_offset(&self, offset: u64) -> Result<Cursor, ReadError> {
        let Bounds { first_kept, end } = self.bounds()?;
        if offset < first_kept {
            return Err(ReadError::Gap { first_kept });
        }
        if offset > end {
            return Err(ReadError::PastEnd { end });
        }
        let count = self.count()?;
        let record = bisect(count, |number| {
            // A hole that has just come up lies before what is looked for.
            let end = self.record(number)?.and_then(|record| end_of(&record));
            Ok(end.is_none_or(|end| end <= offset))
        })?;
        let skip = match self.record(record)? {
            Some(found) => u32::try_from(offset.saturating_sub(found.offset)),
            None => Ok(0),
        };
        Ok(Cursor {
            record,
            skip: skip.map_err(|_| ReadError::Damaged)?,
            offset,
        })
    }

    /// The beginning of the last `lines` lines, or of those of them that are kept whole.
    ///
    /// A last line without an end counts as one.
    pub fn at_tail(&self, lines: u32) -> Result<Cursor, ReadError> {
        if lines == 0 {
            return self.at_end();
        }
        let Bounds { first_kept, end } = self.bounds()?;
        let floor = first_kept.max(end.saturating_sub(LINES_BYTES_MAX));
        let floor = self.line_from(floor, end)?;
        let offset = self.line_start(floor, end, lines)?;
        match self.at_offset(offset) {
            // Given up in between: then what is kept is less than was wanted.
            Err(ReadError::Gap { .. }) => self.at_first_line(),
            found => found,
        }
    }

    /// The first bytes that were read at this instant or later, in a log that begins
    /// with its first whole line.
    pub fn at_time(&self, since: UnixMicros) -> Result<Cursor, ReadError> {
        let count = self.count()?;
        let begin = self.at_first_line()?;
        let mut number = self.first_record(count)?;
        if count - number > RECORDS_MAX {
            return Err(ReadError::Damaged);
        }
        // One by one: the clock may have been set back in between.
        let mut block = vec![0; BLOCK_BYTES];
        while number < count {
            let len = self
                .index
                .read_at(&mut block, number.saturating_mul(RECORD_SIZE))?;
            let (records, _) = block[..len].as_chunks();
            let is_new = |bytes: &[u8; Record::SIZE]| {
                Record::decode(bytes).is_some_and(|record| record.at >= since)
            };
            if let Some(found) = records.iter().position(is_new) {
                let found = Cursor::before(number + found as u64);
                return Ok(found.not_before(begin));
            }
            if records.is_empty() {
                break;
            }
            number += records.len() as u64;
        }
        Ok(Cursor::before(number))
    }

    /// The next piece, with at most `bytes_max` bytes; `None` at the end as it is
    /// now.
    pub fn next(&self, cursor: &mut Cursor, bytes_max: usize) -> Result<Option<Piece>, ReadError> {
        let count = self.count()?;
        while cursor.record < count {
            let Some(record) = self.record(cursor.record)? else {
                return Err(self.gap());
            };
            match record.kind {
                RecordKind::Other(_) => cursor.step(),
                RecordKind::Lost => {
                    cursor.step();
                    let (at, bytes) = (record.at, record.len);
                    return Ok(Some(Piece::Lost { at, bytes }));
                }
                RecordKind::Written(stream) => {
                    let data = self.written(cursor, &record, bytes_max)?;
                    let chunk = cursor.pass(&record, stream, data);
                    return Ok(Some(Piece::Chunk(chunk)));
                }
            }
        }
        Ok(None)
    }

    /// The bytes at the cursor, which lies in `record`.
    fn written(
        &self,
        cursor: &Cursor,
        record: &Record,
        bytes_max: usize,
    ) -> Result<Vec<u8>, ReadError> {
        let left = record.len.checked_sub(cursor.skip);
        let (Some(_), Some(left)) = (end_of(record), left) else {
            return Err(ReadError::Damaged);
        };
        let begin = record.offset + u64::from(cursor.skip);
        if left == 0 || record.len > RECORD_DATA_MAX || begin < cursor.offset {
            return Err(ReadError::Damaged);
        }
        let mut data = vec![0; bytes_max.max(1).min(left as usize)];
        match self.data.read_exact_at(&mut data, begin) {
            // The index is given up first: if the record is still there, so were
            // the bytes.
            Ok(()) if self.record(cursor.record)? == Some(*record) => Ok(data),
            Ok(()) => Err(self.gap()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ReadError::Damaged),
            Err(error) => Err(error.into()),
        }
    }

    /// Where the first line begins that begins at `from` or later; `from` itself if none
    /// does before `end`.
    fn line_from(&self, from: u64, end: u64) -> Result<u64, ReadError> {
        let mut at = from.saturating_sub(1);
        let last = end.min(from.saturating_add(LINES_BYTES_MAX));
        let mut block = vec![0; BLOCK_BYTES];
        while from > 0 && at < last {
            // At most `BLOCK_BYTES`, and so is what a conversion that fails leaves.
            let left = usize::try_from(last - at).unwrap_or(BLOCK_BYTES);
            let block = &mut block[..left.min(BLOCK_BYTES)];
            self.data.read_exact_at(block, at)?;
            if let Some(found) = block.iter().position(|byte| *byte == b'\n') {
                let begin = at + found as u64 + 1;
                return Ok(Some(begin).filter(|begin| *begin < end).unwrap_or(from));
            }
            at += block.len() as u64;
        }
        Ok(from)
    }

    /// Where the last `lines` lines before `end` begin, not before `floor`.
    fn line_start(&self, floor: u64, end: u64, lines: u32) -> Result<u64, ReadError> {
        let mut wanted = lines as usize;
        // The end of the last line does not begin another one.
        let mut top = end.saturating_sub(1);
        let mut block = vec![0; BLOCK_BYTES];
        while top > floor {
            let base = floor.max(top.saturating_sub(BLOCK_BYTES as u64));
            // At most `BLOCK_BYTES`, by the line above.
            let block = &mut block[..usize::try_from(top - base).unwrap_or(0)];
            self.data.read_exact_at(block, base)?;
            let ends = (0..block.len()).rev().filter(|at| block[*at] == b'\n');
            let ends: Vec<usize> = ends.take(wanted).collect();
            match ends.last() {
                Some(found) if ends.len() == wanted => return Ok(base + *found as u64 + 1),
                Some(_) | None => wanted -= ends.len(),
            }
            top = base;
        }
        Ok(floor)
    }

    /// How many records there are; one that is half written does not count.
    fn count(&self) -> Result<u64, ReadError> {
        Ok(self.index.metadata()?.len() / RECORD_SIZE)
    }

    /// The number of the first record that is kept.
    fn first_record(&self, count: u64) -> Result<u64, ReadError> {
        bisect(count, |number| Ok(self.record(number)?.is_none()))
    }

    /// A record; `None` is a hole, or lies behind the end.
    fn record(&self, number: u64) -> Result<Option<Record>, ReadError> {
        let mut bytes = [0; Record::SIZE];
        let offset = number.checked_mul(RECORD_SIZE).ok_or(ReadError::Damaged)?;
        match self.index.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(Record::decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn gap(&self) -> ReadError {
        match self.bounds() {
            Ok(Bounds { first_kept, .. }) => ReadError::Gap { first_kept },
            Err(error) => error,
        }
    }
}

impl Cursor {
    /// This place or the other one, whichever lies further on.
    #[must_use]
    pub fn later(self, other: Self) -> Self {
        if (other.record, other.skip) > (self.record, self.skip) {
            other
        } else {
            self
        }
    }

    fn before(record: u64) -> Self {
        Self {
            record,
            skip: 0,
            offset: 0,
        }
    }

    /// The later one of two; `begin`, if both are in one record.
    fn not_before(self, begin: Self) -> Self {
        if self.record <= begin.record {
            begin
        } else {
            self
        }
    }

    fn step(&mut self) {
        self.record += 1;
        self.skip = 0;
    }

    /// Moves behind `data`, which lies at the cursor.
    fn pass(&mut self, record: &Record, stream: Stream, data: Vec<u8>) -> Chunk {
        let offset = record.offset + u64::from(self.skip);
        self.offset = offset + data.len() as u64;
        if self.offset >= record.offset + u64::from(record.len) {
            self.step();
        } else {
            self.skip += u32::try_from(data.len()).unwrap_or(u32::MAX);
        }
        Chunk {
            offset,
            at: record.at,
            stream,
            data: Bytes::from(data),
        }
    }
}

/// The offset behind what a record names; `None` if no file reaches that far.
fn end_of(record: &Record) -> Option<u64> {
    let end = match record.kind {
        RecordKind::Written(_) => record.offset.checked_add(record.len.into()),
        RecordKind::Lost | RecordKind::Other(_) => Some(record.offset),
    };
    end.filter(|end| i64::try_from(*end).is_ok())
}

/// The first number below `count` that `is_before` is not true of.
fn bisect(
    count: u64,
    is_before: impl Fn(u64) -> Result<bool, ReadError>,
) -> Result<u64, ReadError> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests;
