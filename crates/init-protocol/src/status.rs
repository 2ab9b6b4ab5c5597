//! The status file: how it went with the main process.
//!
//! Process 1 appends one frame when the main process runs and one when it has
//! ended, before it ends itself. So the host learns how it went even if it was
//! not there at the time. A frame that was cut off counts as not written.

use std::io;
use std::io::Read;

use bytes::Bytes;
use prost::Message;

use crate::answer::{ExitRecord, Started};
use crate::frame::{self, Assembler};
use crate::wire;
use crate::wire::StatusKind;

/// The most bytes of a status file that are read.
pub const STATUS_BYTES_MAX: u64 = 64 * 1024;

/// How it went with the main process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// That it runs or ran.
    pub started: Option<Started>,
    /// How it ended. `None` when process 1 itself is gone means that it was
    /// killed.
    pub exit: Option<ExitRecord>,
}

impl Status {
    /// Reads what is there.
    pub fn read(file: impl Read) -> io::Result<Self> {
        let mut bytes = Vec::new();
        file.take(STATUS_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(Self::parse(&bytes))
    }

    /// Parses what is there, up to what makes no sense.
    ///
    /// The first record of a kind counts, as process 1 writes each once.
    pub fn parse(mut bytes: &[u8]) -> Self {
        let mut status = Self::default();
        let mut frames = Assembler::default();
        while let Ok(Some(body)) = frames.push(&mut bytes) {
            let Ok(message) = wire::StatusFrame::decode(body) else {
                break;
            };
            status.add(message);
        }
        status
    }

    fn add(&mut self, message: wire::StatusFrame) {
        match message.kind {
            Some(StatusKind::Started(started)) => {
                self.started.get_or_insert(started.into());
            }
            Some(StatusKind::Exited(record)) if self.exit.is_none() => {
                self.exit = record.try_into().ok();
            }
            // Written by a later version, or a second time.
            Some(StatusKind::Exited(_)) | None => {}
        }
    }
}

/// The record that the main process runs.
pub fn started(started: Started) -> Bytes {
    record(StatusKind::Started(started.into()))
}

/// The record that the main process has ended.
pub fn exited(exit: ExitRecord) -> Bytes {
    record(StatusKind::Exited(exit.into()))
}

fn record(kind: StatusKind) -> Bytes {
    frame::encode(&wire::StatusFrame { kind: Some(kind) })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::answer::{Ended, Outcome};
    use crate::text::{Reason, UnixMicros};

    const STARTED: Started = Started {
        pid: 2,
        at: UnixMicros(7),
    };

    fn exit(outcome: Outcome) -> ExitRecord {
        ExitRecord {
            outcome,
            at: UnixMicros(9),
            asked: true,
        }
    }

    #[test]
    fn both_records_are_read_back() {
        let not_started = Outcome::NotStarted {
            code: 127,
            reason: Reason::new("no such command"),
        };
        for outcome in [
            Outcome::Ran(Ended::Code(0)),
            Outcome::Ran(Ended::KILLED),
            not_started,
        ] {
            let exit = exit(outcome);
            let bytes = [started(STARTED), exited(exit.clone())].concat();
            let status = Status::read(bytes.as_slice()).unwrap();
            assert_eq!(status.started, Some(STARTED));
            assert_eq!(status.exit, Some(exit));
        }
    }

    #[test]
    fn a_record_that_was_cut_off_counts_as_not_written() {
        let whole = [started(STARTED), exited(exit(Outcome::Ran(Ended::Code(3))))].concat();
        for len in started(STARTED).len()..whole.len() {
            let status = Status::parse(&whole[..len]);
            assert_eq!(status.started, Some(STARTED));
            assert_eq!(status.exit, None);
        }
    }

    #[test]
    fn the_first_exit_counts() {
        let first = exit(Outcome::Ran(Ended::Code(1)));
        let second = exit(Outcome::Ran(Ended::Code(2)));
        let status = Status::parse(&[exited(first.clone()), exited(second)].concat());
        assert_eq!(status.exit, Some(first));
    }

    proptest! {
        #[test]
        fn no_bytes_upset_the_reader(bytes in vec(any::<u8>(), 0..500)) {
            Status::parse(&bytes);
        }
    }
}
