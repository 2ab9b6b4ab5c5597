//! Room for large messages on streams that stay open.
//!
//! What clients of gRPC send by default needs none. A message that says that it will
//! be larger waits until there is room for it, and has that until the next one is
//! asked for: whoever serves the stream is done with it then.

use axum::body::Body;
use palisade_model::reason::{Code, Reason};
use palisade_model::refusal::Refusal;

use super::held::Scale;
use super::{Bulk, Measure, Taken};
use crate::rest::PREFIX_LEN;

/// What no message has to wait with: what peers of gRPC take by default.
const FREE: usize = 4 * 1024 * 1024;

/// Where in its messages a stream is.
#[derive(Debug, Default)]
struct Prefixes {
    head: [u8; PREFIX_LEN],
    /// How much of that has come.
    have: usize,
    /// The size of the message that is under way, and what is missing of it.
    size: usize,
    left: usize,
}

impl Prefixes {
    fn pass(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let missing = if self.left > 0 {
                self.left
            } else {
                PREFIX_LEN - self.have
            };
            let (now, later) = data.split_at(missing.min(data.len()));
            data = later;
            if self.left > 0 {
                self.left -= now.len();
                continue;
            }
            self.head[self.have..self.have + now.len()].copy_from_slice(now);
            self.have += now.len();
            if self.have == PREFIX_LEN {
                let [_, size @ ..] = self.head;
                let size = u32::from_be_bytes(size);
                self.size = usize::try_from(size).unwrap_or(usize::MAX);
                self.left = self.size;
                self.have = 0;
            }
        }
    }

    /// Whether a large message is under way.
    fn are_in_a_large_one(&self) -> bool {
        self.left > 0 && self.size > FREE
    }
}

/// The messages of a stream, and the room of the one that is under way.
#[derive(Default)]
struct Messages {
    prefixes: Prefixes,
    taken: Option<Taken>,
}

impl Bulk {
    /// The same body, whose messages wait before they are large.
    pub(crate) fn measure_messages(&self, body: Body, measure: Measure) -> Body {
        Body::new(self.hold_back(body, Messages::default(), measure))
    }
}

impl Scale for Messages {
    fn is_done(&mut self) -> bool {
        let is_done = !self.prefixes.are_in_a_large_one();
        if is_done {
            self.taken = None;
        }
        is_done
    }

    fn weigh(&mut self, data: &[u8]) {
        self.prefixes.pass(data);
    }

    fn needs_room(&self) -> bool {
        self.prefixes.are_in_a_large_one() && self.taken.is_none()
    }

    /// Nobody asks: a stream has no limit that it would count against.
    fn set_waiting(&mut self, _is_waiting: bool) {}

    fn take(&mut self, taken: Taken) {
        self.taken = Some(taken);
    }

    fn too_late(&self, seconds: u64) -> Refusal {
        let text = format!("a frame did not arrive whole within {seconds} s; send smaller ones");
        Refusal::new(Reason::BackendUnavailable, text).with_code(Code::DeadlineExceeded)
    }
}

#[cfg(test)]
mod tests;
