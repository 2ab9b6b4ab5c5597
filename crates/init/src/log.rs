//! Writes the log of the main process: the bytes, the index, and holes where
//! either was given up.
//!
//! The layout and the order of writing are those of
//! [`palisade_init_protocol::log`]. Both files can only be written, not read, so
//! what was written is remembered: not record by record but in coarse
//! [`Segment`]s, of which there are at most a few hundred. Old ones are given up
//! whole.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

use palisade_init_protocol::config::Limits;
use palisade_init_protocol::log::{Record, RecordKind};
use palisade_init_protocol::text::Stream;
use rustix::fs::{FallocateFlags, fallocate, fstat, ftruncate};
use rustix::io::Errno;

use crate::clock::unix_micros;

/// A segment ends when it has this share of what is kept.
const SEGMENTS: u64 = 64;

const RECORD_SIZE: u64 = Record::SIZE as u64;

/// Writes a log.
#[derive(Debug)]
pub(crate) struct Log {
    data: OwnedFd,
    index: OwnedFd,
    bytes_max: u64,
    records_max: u64,
    /// Where the next byte and the next record go.
    end: Position,
    /// Those that are kept, the oldest first. The last one is written to.
    segments: VecDeque<Segment>,
    /// Bytes that could not be written, and not yet be told.
    lost: u64,
}

/// A place in both files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    offset: u64,
    record: u64,
}

/// What is given up at once: from here to where the next one begins.
#[derive(Clone, Copy, Debug)]
struct Segment {
    begin: Position,
}

impl Log {
    /// Goes on where the files end.
    pub(crate) fn new(data: OwnedFd, index: OwnedFd, limits: &Limits) -> io::Result<Self> {
        let len = |file: &OwnedFd| -> io::Result<u64> {
            Ok(u64::try_from(fstat(file)?.st_size).unwrap_or(0))
        };
        let end = Position {
            offset: len(&data)?,
            record: len(&index)? / RECORD_SIZE,
        };
        Ok(Self {
            data,
            index,
            bytes_max: limits.log_bytes,
            records_max: limits.log_records.max(1),
            end,
            segments: VecDeque::from([Segment { begin: end }]),
            lost: 0,
        })
    }

    /// The offset behind the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.end.offset
    }

    /// Adds bytes as they were read, and gives up what is too much.
    pub(crate) fn append(&mut self, stream: Stream, bytes: &[u8]) {
        self.tell_loss();
        let written = write_all(&self.data, bytes);
        if written > 0 {
            let kind = RecordKind::Written(stream);
            if self.append_record(kind, written as u64) {
                self.end.offset += written as u64;
            } else {
                // Without a record the bytes do not exist.
                let _ = ftruncate(&self.data, self.end.offset);
                self.lost += written as u64;
            }
        }
        self.lost += (bytes.len() - written) as u64;
        self.tell_loss();
        self.give_up();
    }

    fn tell_loss(&mut self) {
        if self.lost > 0 && self.append_record(RecordKind::Lost, self.lost) {
            self.lost = 0;
        }
    }

    /// Writes a record, whole or not at all.
    fn append_record(&mut self, kind: RecordKind, len: u64) -> bool {
        let record = Record {
            offset: self.end.offset,
            at: unix_micros(),
            len: u32::try_from(len).unwrap_or(u32::MAX),
            kind,
        };
        if write_all(&self.index, &record.encode()) < Record::SIZE {
            let _ = ftruncate(&self.index, self.end.record * RECORD_SIZE);
            return false;
        }
        self.end.record += 1;
        true
    }

    fn give_up(&mut self) {
        let Some(last) = self.segments.back() else {
            return;
        };
        let bytes = self.end.offset - last.begin.offset;
        let records = self.end.record - last.begin.record;
        let is_full = bytes >= self.bytes_max / SEGMENTS || records >= self.records_max / SEGMENTS;
        while self.segments.len() > 1 && self.is_over() {
            self.segments.pop_front();
            if let Some(first) = self.segments.front() {
                self.punch(first.begin);
            }
        }
        if is_full && bytes + records > 0 {
            self.segments.push_back(Segment { begin: self.end });
        }
    }

    fn is_over(&self) -> bool {
        self.segments.front().is_some_and(|first| {
            self.end.offset - first.begin.offset > self.bytes_max
                || self.end.record - first.begin.record > self.records_max
        })
    }

    /// Gives up what lies before; the index first, as readers expect.
    fn punch(&self, first: Position) {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let index = fallocate(&self.index, flags, 0, first.record * RECORD_SIZE);
        // One byte less: it tells whether a line begins behind it. Where there are no
        // holes, the log grows: better than to lose its end.
        if index.is_ok() && first.offset > 1 {
            let _ = fallocate(&self.data, flags, 0, first.offset - 1);
        }
    }
}

/// Writes as much as the disk takes, and returns how much that was.
fn write_all(file: &OwnedFd, bytes: &[u8]) -> usize {
    let mut written = 0;
    while written < bytes.len() {
        match rustix::io::write(file, &bytes[written..]) {
            Ok(0) => break,
            Ok(more) => written += more,
            Err(Errno::INTR) => {}
            Err(_) => break,
        }
    }
    written
}

#[cfg(test)]
mod tests;
