//! Room for one large request.
//!
//! A request is large once more than [`SMALL`] of it came, or it says that more will
//! come: whoever reads it makes room at once. Its berth is its handler's to hold.

use axum::body::Body;
use palisade_model::reason::{Code, Reason};
use palisade_model::refusal::Refusal;

use super::held::Scale;
use super::{Berth, Bulk, Measure, Opening, Taken};
use crate::gateway::MESSAGE_BYTES_MAX;
use crate::rest::PREFIX_LEN;

/// What nobody has to wait with.
const SMALL: usize = 64 * 1024;

/// How much of a message that is too large is looked at.
const OPENING_BYTES: usize = 512;

/// How large a request is known to be, and where its room goes.
struct Request {
    seen: usize,
    /// Whether its length comes before it, as in gRPC.
    is_prefixed: bool,
    berth: Berth,
}

impl Bulk {
    /// The same body, which waits before it is large; and the berth that it then has.
    pub(crate) fn measure(&self, body: Body, measure: Measure) -> (Body, Berth) {
        let berth = Berth::default();
        let scale = Request {
            seen: 0,
            is_prefixed: measure.is_prefixed,
            berth: berth.clone(),
        };
        let held = self.hold_back(body, scale, measure).in_time();
        (Body::new(held), berth)
    }
}

impl Scale for Request {
    fn is_done(&mut self) -> bool {
        false
    }

    fn weigh(&mut self, data: &[u8]) {
        let is_first = self.seen == 0;
        self.seen = self.seen.saturating_add(data.len());
        if let [_, a, b, c, d, head @ ..] = data
            && self.is_prefixed
            && is_first
        {
            let says = u32::from_be_bytes([*a, *b, *c, *d]);
            let says = usize::try_from(says).unwrap_or(usize::MAX);
            self.seen = self.seen.max(says.saturating_add(PREFIX_LEN));
            if says > MESSAGE_BYTES_MAX {
                self.berth.opened.set(Opening {
                    message_bytes: says,
                    head: head.iter().take(OPENING_BYTES).copied().collect(),
                });
            }
        }
    }

    fn needs_room(&self) -> bool {
        self.seen > SMALL && self.berth.taken.get().is_none()
    }

    fn set_waiting(&mut self, is_waiting: bool) {
        self.berth.wait.set(is_waiting);
    }

    fn take(&mut self, taken: Taken) {
        // Nobody else sets it.
        drop(self.berth.taken.set(taken));
    }

    fn too_late(&self, seconds: u64) -> Refusal {
        let text = format!("the request did not arrive whole within {seconds} s; nothing was done");
        Refusal::new(Reason::BackendUnavailable, text).with_code(Code::DeadlineExceeded)
    }
}

#[cfg(test)]
mod tests;
