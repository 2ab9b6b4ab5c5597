//! Sealed records: two bytes of length, most significant first, and that many
//! bytes of which the last ones are a tag.
//!
//! The two directions know nothing of each other, so that each can be moved on
//! by a task of its own.

use std::fmt;
use std::sync::Arc;

use snow::StatelessTransportState;

use crate::Broken;

/// The most bytes that one record carries.
pub const PLAIN_BYTES_MAX: usize = SEALED_BYTES_MAX - TAG_BYTES;

const PREFIX_BYTES: usize = 2;
const TAG_BYTES: usize = 16;
/// What the length can say.
const SEALED_BYTES_MAX: usize = 0xffff;

/// Seals what is sent.
pub struct Sealer {
    state: Arc<StatelessTransportState>,
    /// The number of the next record. None is used twice.
    number: u64,
}

/// Opens what was received.
pub struct Opener {
    state: Arc<StatelessTransportState>,
    number: u64,
    /// Received, and not opened yet.
    sealed: Vec<u8>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Sealer");
        shown.field("number", &self.number).finish_non_exhaustive()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Opener");
        shown.field("number", &self.number).finish_non_exhaustive()
    }
}

impl Sealer {
    pub(crate) fn new(state: Arc<StatelessTransportState>) -> Self {
        Self { state, number: 0 }
    }

    /// Puts records of these bytes behind what is there.
    pub fn seal(&mut self, bytes: &[u8], into: &mut Vec<u8>) -> Result<(), Broken> {
        for plain in bytes.chunks(PLAIN_BYTES_MAX) {
            let sealed_len = plain.len() + TAG_BYTES;
            let prefix = u16::try_from(sealed_len).map_err(|_| Broken)?;
            into.extend_from_slice(&prefix.to_be_bytes());
            let begin = into.len();
            into.resize(begin + sealed_len, 0);
            let written = self
                .state
                .write_message(self.number, plain, &mut into[begin..]);
            written.map_err(|_| Broken)?;
            self.number = self.number.checked_add(1).ok_or(Broken)?;
        }
        Ok(())
    }
}

impl Opener {
    pub(crate) fn new(state: Arc<StatelessTransportState>) -> Self {
        Self {
            state,
            number: 0,
            sealed: Vec::new(),
        }
    }

    /// Takes what was received. Bounded by whoever calls: he pushes no more while
    /// there is a record to take.
    pub fn push(&mut self, received: &[u8]) {
        self.sealed.extend_from_slice(received);
    }

    /// Puts the bytes of the next record behind what is there, and returns whether
    /// there was one.
    ///
    /// After an error the connection has no meaning any more.
    pub fn next(&mut self, into: &mut Vec<u8>) -> Result<bool, Broken> {
        let Some((prefix, rest)) = self.sealed.split_first_chunk::<PREFIX_BYTES>() else {
            return Ok(false);
        };
        let len = usize::from(u16::from_be_bytes(*prefix));
        if len <= TAG_BYTES {
            return Err(Broken);
        }
        let Some(record) = rest.get(..len) else {
            return Ok(false);
        };
        let begin = into.len();
        into.resize(begin + len - TAG_BYTES, 0);
        let opened = self
            .state
            .read_message(self.number, record, &mut into[begin..]);
        if opened.is_err() {
            into.truncate(begin);
            return Err(Broken);
        }
        self.number = self.number.checked_add(1).ok_or(Broken)?;
        self.sealed.drain(..PREFIX_BYTES + len);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::handshake::tests::connected;

    const KEY: [u8; 32] = [3; 32];

    fn opened(opener: &mut Opener, received: &[u8]) -> Result<Vec<u8>, Broken> {
        let mut plain = Vec::new();
        opener.push(received);
        while opener.next(&mut plain)? {}
        Ok(plain)
    }

    proptest! {
        // Each has a handshake of its own, which takes its time without optimisation.
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn bytes_arrive_as_they_were_sealed_wherever_they_are_cut(
            parts in vec(vec(any::<u8>(), 0..300), 0..8),
            cut in 1_usize..97,
        ) {
            let [(mut sealer, _), (_, mut opener)] = connected(&KEY);
            let mut sealed = Vec::new();
            for part in &parts {
                sealer.seal(part, &mut sealed).unwrap();
            }
            let mut plain = Vec::new();
            for piece in sealed.chunks(cut) {
                plain.extend(opened(&mut opener, piece).unwrap());
            }
            prop_assert_eq!(plain, parts.concat());
        }

        #[test]
        fn a_byte_that_was_changed_is_found_out(at in any::<prop::sample::Index>(), by in 1_u8..) {
            let [(mut sealer, _), (_, mut opener)] = connected(&KEY);
            let mut sealed = Vec::new();
            sealer.seal(b"some bytes of a secret", &mut sealed).unwrap();
            let at = at.index(sealed.len());
            sealed[at] ^= by;
            // A longer length waits for more; nothing ever comes out.
            let plain = opened(&mut opener, &sealed);
            prop_assert!(plain.is_err() || plain == Ok(Vec::new()));
        }

        #[test]
        fn garbage_upsets_nobody(bytes in vec(any::<u8>(), 0..2000)) {
            let [(_, mut opener), _] = connected(&KEY);
            let plain = opened(&mut opener, &bytes);
            prop_assert!(plain.is_err() || plain == Ok(Vec::new()));
        }
    }

    #[test]
    fn more_than_one_record_holds_arrives_as_well() {
        let [(mut caller, _), (_, mut opener)] = connected(&KEY);
        let long: Vec<u8> = (0..=255).cycle().take(3 * PLAIN_BYTES_MAX + 1).collect();
        let mut sealed = Vec::new();
        caller.seal(&long, &mut sealed).unwrap();
        assert!(opened(&mut opener, &sealed) == Ok(long));
    }

    #[test]
    fn a_record_that_is_left_out_or_comes_twice_is_found_out() {
        let [(mut caller, _), (_, mut opener)] = connected(&KEY);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        caller.seal(b"one", &mut first).unwrap();
        caller.seal(b"two", &mut second).unwrap();
        assert_eq!(opened(&mut opener, &second), Err(Broken));
        let [(mut caller, _), (_, mut opener)] = connected(&KEY);
        first.clear();
        caller.seal(b"one", &mut first).unwrap();
        assert_eq!(opened(&mut opener, &first), Ok(b"one".to_vec()));
        assert_eq!(opened(&mut opener, &first), Err(Broken));
    }

    #[test]
    fn what_one_end_sealed_it_does_not_take_back() {
        let [(mut sealer, mut opener), _] = connected(&KEY);
        let mut record = Vec::new();
        sealer.seal(b"mirror", &mut record).unwrap();
        assert_eq!(opened(&mut opener, &record), Err(Broken));
    }

    #[test]
    fn a_record_without_content_is_none() {
        let [(_, mut opener), _] = connected(&KEY);
        assert_eq!(opened(&mut opener, &[0, 0]), Err(Broken));
        let [(_, mut opener), _] = connected(&KEY);
        assert_eq!(opened(&mut opener, &[0, 16]), Err(Broken));
    }
}
