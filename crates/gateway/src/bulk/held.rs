//! A body of which nothing large is handed on before there is room for it.
//!
//! What is large, when, and who holds the room is for its [`Scale`] to say. This is
//! how it is waited for: with one piece that was read and is held back.
//!
//! Invariant: a piece that makes a body large is handed on only with room. Waiting for
//! room and arriving have the limit of a call each.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use palisade_model::refusal::Refusal;
use tokio::time::{self, Sleep};

use super::{Bulk, Measure, Refused, Taken, Turn, no_room};
use crate::context::status;

pub(super) type Piece = Option<Result<Frame<Bytes>, axum::BoxError>>;

/// What is large about a body.
pub(super) trait Scale {
    /// Whether what had room is done with, so that it is given back.
    fn is_done(&mut self) -> bool;

    /// Weighs what comes next.
    fn weigh(&mut self, data: &[u8]);

    /// Whether what came is large and has no room yet.
    fn needs_room(&self) -> bool;

    /// Whether it waits for room from now on.
    fn set_waiting(&mut self, is_waiting: bool);

    /// The room that it waited for.
    fn take(&mut self, taken: Taken);

    /// What is said to whoever took too long to send it.
    fn too_late(&self, seconds: u64) -> Refusal;
}

/// A body that waits for room before it grows large.
pub(super) struct HeldBack<S> {
    body: Body,
    scale: S,
    /// Read, and not handed on yet.
    held: Option<Piece>,
    /// Set when there has to be room, until there is.
    turn: Option<Turn>,
    /// When there has to be room, and then when all has to have arrived.
    late: Option<Pin<Box<Sleep>>>,
    bulk: Bulk,
    measure: Measure,
}

impl Bulk {
    /// The same body, which waits before it is large as this scale tells.
    pub(super) fn hold_back<S>(&self, body: Body, scale: S, measure: Measure) -> HeldBack<S> {
        HeldBack {
            body,
            scale,
            held: None,
            turn: None,
            late: None,
            bulk: self.clone(),
            measure,
        }
    }
}

impl<S: Scale> HeldBack<S> {
    /// The same, which has to arrive in time from now on, large or not.
    pub(super) fn in_time(mut self) -> Self {
        self.restart_clock();
        self
    }

    fn restart_clock(&mut self) {
        self.late = Some(Box::pin(time::sleep(self.measure.limit)));
    }

    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.late {
            Some(late) => late.as_mut().poll(context),
            None => Poll::Pending,
        }
    }

    /// Reads what is held back next; an error if it does not come in time.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        if self.held.is_some() {
            return Poll::Ready(Ok(()));
        }
        if self.scale.is_done() {
            self.late = None;
        }
        let Poll::Ready(piece) = Pin::new(&mut self.body).poll_frame(context) else {
            ready!(self.poll_late(context));
            let seconds = self.measure.limit.as_secs();
            return Poll::Ready(Err(self.scale.too_late(seconds)));
        };
        if let Some(Ok(frame)) = &piece
            && let Some(data) = frame.data_ref()
        {
            self.scale.weigh(data);
        }
        self.held = Some(piece.map(|frame| frame.map_err(Into::into)));
        Poll::Ready(Ok(()))
    }

    /// Waits for room if it is needed; an error if too many do already, or too long.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        if !self.scale.needs_room() {
            return Poll::Ready(Ok(()));
        }
        if self.turn.is_none() {
            self.turn = self.bulk.turn(&self.measure.organization);
            if self.late.is_none() {
                self.restart_clock();
            }
        }
        let Some(turn) = &mut self.turn else {
            return Poll::Ready(Err(no_room()));
        };
        let Poll::Ready(taken) = turn.as_mut().poll(context) else {
            self.scale.set_waiting(true);
            ready!(self.poll_late(context));
            return Poll::Ready(Err(no_room()));
        };
        self.turn = None;
        let Some(taken) = taken else {
            // Nobody closes the room.
            return Poll::Ready(Err(no_room()));
        };
        self.scale.set_waiting(false);
        self.scale.take(taken);
        // What was held back is not the client's delay.
        self.restart_clock();
        Poll::Ready(Ok(()))
    }

    /// What is read instead of the rest of the body.
    fn refused(&self, refusal: Refusal) -> axum::BoxError {
        let status = status(&refusal.clone().into(), &self.measure.request_id);
        Refused { refusal, status }.into()
    }
}

impl<S: Scale + Unpin> http_body::Body for HeldBack<S> {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Piece> {
        if let Err(refusal) = ready!(self.poll_next(context)) {
            return Poll::Ready(Some(Err(self.refused(refusal))));
        }
        if let Err(refusal) = ready!(self.poll_room(context)) {
            return Poll::Ready(Some(Err(self.refused(refusal))));
        }
        Poll::Ready(self.held.take().flatten())
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // What is held was counted off by the body already.
        if self.held.is_some() {
            return SizeHint::default();
        }
        self.body.size_hint()
    }
}
