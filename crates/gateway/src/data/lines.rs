//! The text that a session of logs delivers, made from the log.
//!
//! With instants, each line begins with the one at which it was read, in a form
//! of fixed length. The place of a byte in a session therefore depends on the
//! log alone, and a part that is read again comes out at the same places.

use bytes::{BufMut as _, Bytes, BytesMut};
use palisade_backend::LogChunk;
use palisade_wire::timestamp::{FIXED_BYTES, format_fixed};

/// Makes the text of a session, piece by piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lines {
    /// Whether each line begins with an instant.
    is_stamped: bool,
    /// The place in the session.
    place: Place,
}

/// A place in a session and in its log, between two pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Bytes that the session delivered before this.
    pub(super) delivered: u64,
    /// Where in the log this is.
    pub(super) log_offset: u64,
    /// Whether a line begins here.
    pub(super) begins_line: bool,
}

impl Lines {
    /// Begins at a place.
    pub(super) fn at(place: Place, is_stamped: bool) -> Self {
        Self { is_stamped, place }
    }

    /// Where the next piece begins.
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// The text for the next piece of the log.
    pub(super) fn text(&mut self, chunk: LogChunk) -> Bytes {
        let LogChunk { offset, at, data } = chunk;
        let log_end = offset.saturating_add(data.len() as u64);
        let ends_line = data
            .last()
            .map_or(self.place.begins_line, |last| *last == b'\n');
        let text = if self.is_stamped {
            stamp(&data, &format_fixed(at), self.place.begins_line)
        } else {
            data
        };
        self.place = Place {
            delivered: self.place.delivered.saturating_add(text.len() as u64),
            log_offset: log_end,
            begins_line: ends_line,
        };
        text
    }
}

fn stamp(data: &[u8], instant: &str, begins_line: bool) -> Bytes {
    let lines = data.split_inclusive(|byte| *byte == b'\n').count();
    let mut text = BytesMut::with_capacity(data.len() + lines * (FIXED_BYTES + 1));
    let mut begins_line = begins_line;
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        if begins_line {
            text.put_slice(instant.as_bytes());
            text.put_u8(b' ');
        }
        text.put_slice(line);
        begins_line = true;
    }
    text.freeze()
}

#[cfg(test)]
mod tests {
    use palisade_model::clock::Timestamp;
    use proptest::prelude::*;

    use super::*;

    const START: Place = Place {
        delivered: 0,
        log_offset: 100,
        begins_line: true,
    };

    fn chunk(offset: u64, data: &[u8]) -> LogChunk {
        LogChunk {
            offset,
            at: Timestamp::from_micros(1_798_113_600_000_001),
            data: Bytes::copy_from_slice(data),
        }
    }

    #[test]
    fn each_line_begins_with_the_instant_at_which_it_was_read() {
        let mut lines = Lines::at(START, true);
        let stamp = "2026-12-24T12:00:00.000001Z ";
        assert_eq!(
            lines.text(chunk(100, b"a\nb")),
            format!("{stamp}a\n{stamp}b")
        );
        assert_eq!(lines.text(chunk(103, b"c\n")), "c\n");
        assert_eq!(lines.text(chunk(105, b"d")), format!("{stamp}d"));
        let place = lines.place();
        assert_eq!((place.log_offset, place.begins_line), (106, false));
        assert_eq!(place.delivered, 3 * stamp.len() as u64 + 6);
    }

    #[test]
    fn without_instants_the_log_is_passed_on_as_it_is() {
        let mut lines = Lines::at(START, false);
        assert_eq!(lines.text(chunk(100, b"\xff\n\0")), b"\xff\n\0".as_slice());
        assert_eq!(lines.place().delivered, 3);
    }

    proptest! {
        #[test]
        fn places_do_not_depend_on_how_the_log_was_cut(
            log in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut whole = Lines::at(START, true);
            let expected = whole.text(chunk(100, &log));
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(log.len() + 1)).collect();
            cuts.push(log.len());
            cuts.sort_unstable();
            let (mut cut, mut seen, mut from) = (Lines::at(START, true), Vec::new(), 0);
            for to in cuts {
                seen.extend_from_slice(&cut.text(chunk(100 + from as u64, &log[from..to])));
                from = to;
            }
            prop_assert_eq!(&seen[..], &expected[..]);
            if !log.is_empty() {
                prop_assert_eq!(cut.place(), whole.place());
            }
        }
    }
}
