//! Room for large messages on streams that stay open.
//!
//! What clients of gRPC send by default needs none. A message that says that it will
//! be larger waits until there is room for it, and has that until the next one is
//! asked for: whoever serves the stream is done with it then.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::Frame;
use palisade_model::reason::{Code, Reason};
use palisade_model::refusal::Refusal;
use tokio::time::{self, Sleep};

use super::{Bulk, Measure, Piece, Taken, Turn, no_room};
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

/// A body whose messages wait for room before they grow large.
struct Messages {
    body: Body,
    prefixes: Prefixes,
    /// Read, and not handed on yet.
    held: Option<Piece>,
    /// Set when there has to be room, until there is.
    turn: Option<Turn>,
    taken: Option<Taken>,
    /// When a large message has to have room, and then to have arrived.
    late: Option<Pin<Box<Sleep>>>,
    bulk: Bulk,
    measure: Measure,
}

impl Bulk {
    /// The same body, whose messages wait before they are large.
    pub(crate) fn measure_messages(&self, body: Body, measure: Measure) -> Body {
        Body::new(Messages {
            body,
            prefixes: Prefixes::default(),
            held: None,
            turn: None,
            taken: None,
            late: None,
            bulk: self.clone(),
            measure,
        })
    }
}

/// What is said to whoever took too long to send a message.
fn too_late(limit: Duration) -> Refusal {
    let seconds = limit.as_secs();
    let text = format!("a frame did not arrive whole within {seconds} s; send smaller ones");
    Refusal::new(Reason::BackendUnavailable, text).with_code(Code::DeadlineExceeded)
}

impl Messages {
    fn is_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.late {
            Some(late) => late.as_mut().poll(context),
            None => Poll::Pending,
        }
    }

    fn begin_to_wait(&mut self) {
        self.late = Some(Box::pin(time::sleep(self.measure.limit)));
    }

    /// Waits for room if it is needed; an error if too many do already.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        if !self.prefixes.are_in_a_large_one() || self.taken.is_some() {
            return Poll::Ready(Ok(()));
        }
        if self.turn.is_none() {
            self.turn = self.bulk.turn(&self.measure.organization);
            self.begin_to_wait();
        }
        let Some(turn) = &mut self.turn else {
            return Poll::Ready(Err(no_room()));
        };
        let taken = ready!(turn.as_mut().poll(context));
        self.turn = None;
        self.taken = taken;
        // What we held back is not the client's delay.
        self.begin_to_wait();
        match self.taken {
            Some(_) => Poll::Ready(Ok(())),
            // Nobody closes it.
            None => Poll::Ready(Err(no_room())),
        }
    }
}

impl http_body::Body for Messages {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Piece> {
        if self.held.is_none() {
            if !self.prefixes.are_in_a_large_one() {
                (self.taken, self.late) = (None, None);
            }
            let Poll::Ready(piece) = Pin::new(&mut self.body).poll_frame(context) else {
                ready!(self.is_late(context));
                return self.measure.refused(too_late(self.measure.limit));
            };
            let piece: Piece = piece.map(|frame| frame.map_err(Into::into));
            if let Some(Ok(data)) = piece
                .as_ref()
                .map(|frame| frame.as_ref().map(Frame::data_ref))
                && let Some(data) = data.cloned()
            {
                self.prefixes.pass(&data);
            }
            self.held = Some(piece);
        }
        match self.poll_room(context) {
            Poll::Ready(Ok(())) => Poll::Ready(self.held.take().flatten()),
            Poll::Ready(Err(refusal)) => self.measure.refused(refusal),
            Poll::Pending => {
                ready!(self.is_late(context));
                self.measure.refused(no_room())
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests;
