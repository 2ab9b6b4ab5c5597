//! Frames: a length of four bytes, most significant first, and that many bytes
//! of one protobuf message.
//!
//! Nothing here knows what is inside. Invariant: no length beyond
//! [`FRAME_BYTES_MAX`] is ever waited for, and memory is taken for bytes that
//! arrived, or for one frame of the usual size ahead of them.

use bytes::buf::Chain;
use bytes::{Buf as _, Bytes};
use prost::Message;

/// The most bytes of input, output or file content that one frame carries.
pub const DATA_BYTES_MAX: usize = 1024 * 1024;

/// The most bytes that a frame may have behind its length.
///
/// The margin holds what surrounds a full [`DATA_BYTES_MAX`].
pub const FRAME_BYTES_MAX: usize = DATA_BYTES_MAX + 64 * 1024;

const PREFIX_BYTES: usize = 4;

/// The most memory that is taken ahead of the bytes for it: a frame of the usual size.
const AHEAD_BYTES_MAX: usize = 68 * 1024;

/// A frame says that it is longer than any frame may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {len} bytes was announced; at most {FRAME_BYTES_MAX} are allowed")]
pub struct FrameTooLong {
    /// What it says.
    pub len: usize,
}

/// Puts frames together from however few bytes arrive at once.
///
/// It takes no byte behind the end of the frame, so that the rest of a stream
/// can be handed to somebody else.
#[derive(Debug, Default)]
pub struct Assembler {
    prefix: [u8; PREFIX_BYTES],
    prefix_len: usize,
    body: Vec<u8>,
}

impl Assembler {
    /// How many bytes may be pushed before there is something to decide.
    ///
    /// Never zero.
    pub fn missing(&self) -> usize {
        if self.prefix_len < PREFIX_BYTES {
            PREFIX_BYTES - self.prefix_len
        } else {
            self.body_len().saturating_sub(self.body.len()).max(1)
        }
    }

    /// Where the rest of a frame is to be read to whose length is known, and how much of
    /// it: what is read there needs no copying. A push of nothing then takes the frame.
    pub fn rest(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        let len = self.body_len();
        if self.prefix_len < PREFIX_BYTES || len > FRAME_BYTES_MAX {
            return None;
        }
        let missing = len
            .checked_sub(self.body.len())
            .filter(|&missing| missing > 0)?;
        self.body.reserve(missing.min(AHEAD_BYTES_MAX));
        Some((&mut self.body, missing))
    }

    /// Whether a frame has begun that is not complete.
    pub fn is_inside_frame(&self) -> bool {
        self.prefix_len > 0
    }

    /// Takes bytes off the front of `input` until a frame is complete or
    /// nothing is left.
    ///
    /// After an error the stream has no meaning any more.
    pub fn push(&mut self, input: &mut &[u8]) -> Result<Option<Bytes>, FrameTooLong> {
        let prefix = take(input, PREFIX_BYTES - self.prefix_len);
        self.prefix[self.prefix_len..self.prefix_len + prefix.len()].copy_from_slice(prefix);
        self.prefix_len += prefix.len();
        if self.prefix_len < PREFIX_BYTES {
            return Ok(None);
        }
        let len = self.body_len();
        if len > FRAME_BYTES_MAX {
            return Err(FrameTooLong { len });
        }
        self.body
            .extend_from_slice(take(input, len - self.body.len()));
        if self.body.len() < len {
            return Ok(None);
        }
        self.prefix_len = 0;
        Ok(Some(Bytes::from(std::mem::take(&mut self.body))))
    }

    fn body_len(&self) -> usize {
        // Platforms where this could fail do not run sandboxes.
        usize::try_from(u32::from_be_bytes(self.prefix)).unwrap_or(usize::MAX)
    }
}

/// Cuts at most `len` bytes off the front.
fn take<'a>(input: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(len.min(input.len()));
    *input = rest;
    taken
}

/// A frame on its way: what is before its content, and the content, which is not copied.
pub type Frame = Chain<Bytes, Bytes>;

/// A frame as one piece, which copies its content.
pub fn whole(mut frame: Frame) -> Bytes {
    frame.copy_to_bytes(frame.remaining())
}

/// A message as a frame.
pub(crate) fn encode(message: &impl Message) -> Bytes {
    let len = message.encoded_len();
    debug_assert!(len <= FRAME_BYTES_MAX, "a frame of {len} bytes is refused");
    let mut frame = prefix(len, len);
    message.encode(&mut frame).expect("a vector grows");
    Bytes::from(frame)
}

/// What is before `len` bytes of content in a frame whose message is nothing else; `empty`
/// is that message without content.
pub(crate) fn head(empty: &impl Message, len: usize) -> Bytes {
    // Without content, the length of it is the last byte.
    let mut before = empty.encode_to_vec();
    before.pop();
    prost::encode_length_delimiter(len, &mut before).expect("a vector grows");
    let body_len = before.len() + len;
    debug_assert!(
        body_len <= FRAME_BYTES_MAX,
        "a frame of {body_len} bytes is refused"
    );
    let mut head = prefix(body_len, before.len());
    head.extend_from_slice(&before);
    Bytes::from(head)
}

/// The length of a frame, with room behind it.
fn prefix(len: usize, room: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(PREFIX_BYTES + room);
    frame.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn framed(body: &[u8]) -> Vec<u8> {
        let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        frame.extend_from_slice(body);
        frame
    }

    proptest! {
        #[test]
        fn frames_survive_being_cut_anywhere(
            bodies in vec(vec(any::<u8>(), 0..300), 0..8),
            cuts in vec(1_usize..50, 1..200),
        ) {
            let stream: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
            let mut assembler = Assembler::default();
            let mut seen: Vec<Vec<u8>> = Vec::new();
            let mut rest = stream.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let mut piece = take(&mut rest, *cut);
                while !piece.is_empty() {
                    seen.extend(assembler.push(&mut piece).unwrap().map(|body| body.to_vec()));
                }
            }
            prop_assert_eq!(seen, bodies);
            prop_assert!(!assembler.is_inside_frame());
        }

        #[test]
        fn no_byte_behind_the_frame_is_asked_for(
            body in vec(any::<u8>(), 0..300),
            rest in vec(any::<u8>(), 0..50),
        ) {
            let stream = [framed(&body), rest.clone()].concat();
            let mut assembler = Assembler::default();
            let mut left = stream.as_slice();
            let frame = loop {
                let missing = assembler.missing();
                prop_assert!(missing > 0);
                let mut piece = take(&mut left, missing);
                if let Some(frame) = assembler.push(&mut piece).unwrap() {
                    break frame;
                }
            };
            prop_assert_eq!(frame, body);
            prop_assert_eq!(left, rest);
        }

        #[test]
        fn a_cut_stream_ends_inside_a_frame(body in vec(any::<u8>(), 1..300), cut in any::<prop::sample::Index>()) {
            let stream = framed(&body);
            let mut piece = &stream[..cut.index(stream.len())];
            let mut assembler = Assembler::default();
            let inside = !piece.is_empty();
            prop_assert_eq!(assembler.push(&mut piece).unwrap(), None);
            prop_assert_eq!(assembler.is_inside_frame(), inside);
        }
    }

    #[test]
    fn a_huge_length_is_refused_before_memory_is_taken() {
        let mut assembler = Assembler::default();
        let mut input: &[u8] = &[0xff, 0xff, 0xff, 0xff, 1, 2, 3];
        let refused = assembler.push(&mut input);
        assert_eq!(refused, Err(FrameTooLong { len: 0xffff_ffff }));
        assert_eq!(assembler.body.capacity(), 0);
    }

    #[test]
    fn a_frame_is_read_to_where_it_stays() {
        let (mut assembler, stream) = (Assembler::default(), framed(&vec![7; 100_000]));
        assert!(assembler.rest().is_none(), "its length is not known");
        assert_eq!(assembler.push(&mut &stream[..10]), Ok(None));
        let mut unread = &stream[10..];
        while let Some((body, missing)) = assembler.rest() {
            assert_eq!(missing, unread.len());
            assert!(body.capacity() <= body.len() + 2 * AHEAD_BYTES_MAX);
            body.extend_from_slice(take(&mut unread, 30_000));
        }
        let body = assembler.push(&mut [].as_slice()).unwrap().unwrap();
        assert_eq!(body, vec![7; 100_000]);
        assert!(assembler.rest().is_none() && !assembler.is_inside_frame());
    }

    #[test]
    fn an_announced_length_alone_takes_no_memory() {
        let mut assembler = Assembler::default();
        let announced = u32::try_from(FRAME_BYTES_MAX).unwrap().to_be_bytes();
        assert_eq!(assembler.push(&mut announced.as_slice()), Ok(None));
        assert_eq!(assembler.body.capacity(), 0);
        assert_eq!(assembler.missing(), FRAME_BYTES_MAX);
    }
}
