//! The log of the main process: two files that process 1 appends to and the
//! host reads.
//!
//! The **data** file holds the bytes, standard output and standard error as they
//! were read. The **index** file holds one [`Record`] of 32 bytes for each read:
//! where its bytes begin, when they were read, how many, and from which stream.
//! Data is written first, then the record, so that what a record names is there.
//!
//! Old bytes are given up by punching holes from the front of both files, the
//! index first. The one byte before the first that is kept stays in the data
//! file, so that a reader knows whether a line begins there; in logs of older
//! writers it is zero, as in a hole. Offsets never change: a byte keeps its place
//! for as long as it is kept. A hole reads as zeros, and no record has a zero for its kind, so that
//! the first record that is kept can be found by bisection. The last record is
//! never given up: it tells where the log ends.
//!
//! Bytes that could not be written, as on a full disk, leave a record of their
//! number; they take no place among the offsets.

mod reader;

pub use reader::{Bounds, Chunk, Cursor, Piece, ReadError, Reader};

use crate::text::{Stream, UnixMicros};

/// The most bytes that one record stands for.
pub const RECORD_DATA_MAX: u32 = 64 * 1024;

/// One entry of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where the bytes begin in the data file.
    pub offset: u64,
    /// When they were read.
    pub at: UnixMicros,
    /// How many they are.
    pub len: u32,
    /// What became of them.
    pub kind: RecordKind,
}

/// What became of bytes that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// They are in the data file.
    Written(Stream),
    /// They could not be written.
    Lost,
    /// Something that only a later version understands. It takes no place among
    /// the offsets. Never zero.
    Other(u8),
}

impl Record {
    /// Bytes of a record in the file.
    pub const SIZE: usize = 32;

    /// The bytes for the file; those at the end are reserved, and zero.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let kind = match self.kind {
            RecordKind::Written(Stream::Stdout) => STDOUT,
            RecordKind::Written(Stream::Stderr) => STDERR,
            RecordKind::Lost => LOST,
            RecordKind::Other(kind) => kind,
        };
        let mut bytes = [0; Self::SIZE];
        bytes[0..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.at.0.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.len.to_le_bytes());
        bytes[20] = kind;
        bytes
    }

    /// Parses a record; `None` is a hole.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        let (offset, rest) = bytes.split_first_chunk()?;
        let (at, rest) = rest.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let kind = match *rest.first()? {
            STDOUT => RecordKind::Written(Stream::Stdout),
            STDERR => RecordKind::Written(Stream::Stderr),
            LOST => RecordKind::Lost,
            HOLE => return None,
            kind => RecordKind::Other(kind),
        };
        Some(Self {
            offset: u64::from_le_bytes(*offset),
            at: UnixMicros(i64::from_le_bytes(*at)),
            len: u32::from_le_bytes(*len),
            kind,
        })
    }
}

const HOLE: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const LOST: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_laid_out_as_written_down() {
        let record = Record {
            offset: 0x0102_0304_0506_0708,
            at: UnixMicros(-2),
            len: 0x0a0b_0c0d,
            kind: RecordKind::Written(Stream::Stderr),
        };
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&[8, 7, 6, 5, 4, 3, 2, 1]);
        bytes[8..16].copy_from_slice(&[0xfe, 255, 255, 255, 255, 255, 255, 255]);
        bytes[16..21].copy_from_slice(&[0x0d, 0x0c, 0x0b, 0x0a, 2]);
        assert_eq!(record.encode(), bytes);
        assert_eq!(Record::decode(&bytes), Some(record));
    }

    #[test]
    fn a_hole_is_no_record() {
        assert_eq!(Record::decode(&[0; 32]), None);
    }
}
