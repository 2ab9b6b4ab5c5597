//! Frames on their way to the host.
//!
//! Nothing here is bounded by itself: whoever fills it stops as soon as it is
//! not empty, so that at most one round of frames waits.

use std::collections::VecDeque;
use std::io;
use std::io::IoSlice;
use std::os::fd::AsFd;

use bytes::{Buf as _, Bytes};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};

use palisade_init_protocol::answer::Answer;
use palisade_init_protocol::frame::Frame;

/// Frames on their way to the host.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    frames: VecDeque<Frame>,
}

impl Outbox {
    /// Puts an answer at the end.
    pub(crate) fn push(&mut self, answer: Answer) {
        self.frames.push_back(answer.encode());
    }

    /// Sends a frame whose content is elsewhere; what of it has to wait is copied.
    ///
    /// That nobody is there is found by the next flush.
    pub(crate) fn send(&mut self, socket: impl AsFd, mut head: Bytes, mut content: &[u8]) {
        if self.frames.is_empty()
            && let Ok(sent) = send_once(socket, &[IoSlice::new(&head), IoSlice::new(content)])
        {
            let of_head = sent.min(head.len());
            head.advance(of_head);
            content.advance((sent - of_head).min(content.len()));
        }
        if !head.is_empty() || !content.is_empty() {
            let content = Bytes::copy_from_slice(content);
            self.frames.push_back(head.chain(content));
        }
    }

    /// Whether everything is on its way.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Sends as much as the socket takes; an error means that nobody is there.
    pub(crate) fn flush(&mut self, socket: impl AsFd) -> io::Result<()> {
        while let Some(frame) = self.frames.front_mut() {
            let mut slices = [IoSlice::new(&[]); 2];
            let count = frame.chunks_vectored(&mut slices);
            match send_once(&socket, &slices[..count]) {
                Ok(sent) => frame.advance(sent.min(frame.remaining())),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            if !frame.has_remaining() {
                self.frames.pop_front();
            }
        }
        Ok(())
    }
}

fn send_once(socket: impl AsFd, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), flags)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    use palisade_init_protocol::frame::Assembler;
    use palisade_init_protocol::text::Stream;

    use super::*;

    #[test]
    fn what_a_socket_does_not_take_waits_and_nothing_is_lost() {
        let (host, mut reader) = UnixStream::pair().unwrap();
        reader.set_nonblocking(true).unwrap();
        let mut outbox = Outbox::default();
        let content: Vec<u8> = (0..=250).cycle().take(600_000).collect();
        let head = Answer::output_head(Stream::Stderr, content.len());
        outbox.send(&host, head, &content);
        assert!(!outbox.is_empty(), "more than a socket holds");
        outbox.push(Answer::Pong);
        let (mut frames, mut answers, mut buffer) = (Assembler::default(), Vec::new(), [0; 9999]);
        while answers.len() < 2 {
            outbox.flush(&host).unwrap();
            let read = reader.read(&mut buffer).unwrap();
            let mut bytes = &buffer[..read];
            while !bytes.is_empty() {
                let body = frames.push(&mut bytes).unwrap();
                answers.extend(body.and_then(|body| Answer::decode(body).unwrap()));
            }
        }
        assert!(outbox.is_empty());
        let Answer::Output { stream, data } = &answers[0] else {
            panic!("{answers:?}");
        };
        assert_eq!(*stream, Stream::Stderr);
        assert!(data.bytes() == &content, "the same bytes");
        assert_eq!(answers[1], Answer::Pong);
    }
}
