//! Frames on their way to the host.
//!
//! Nothing here is bounded by itself: whoever fills it stops as soon as it is
//! not empty, so that at most one round of frames waits.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;

use bytes::{Buf as _, Bytes};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use palisade_init_protocol::answer::Answer;

/// Frames on their way to the host.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    frames: VecDeque<Bytes>,
}

impl Outbox {
    /// Puts an answer at the end.
    pub(crate) fn push(&mut self, answer: Answer) {
        self.frames.push_back(answer.encode());
    }

    /// Whether everything is on its way.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Sends as much as the socket takes; an error means that nobody is there.
    pub(crate) fn flush(&mut self, socket: impl AsFd) -> io::Result<()> {
        while let Some(frame) = self.frames.front_mut() {
            match send(&socket, frame, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(sent) => frame.advance(sent.min(frame.len())),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            if frame.is_empty() {
                self.frames.pop_front();
            }
        }
        Ok(())
    }
}
