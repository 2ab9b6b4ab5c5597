//! The output of a command that its client may not have.
//!
//! ```text
//!   dropped │ handed over, kept │ not handed over yet
//!           └─ window_bytes ────┘
//! ```
//!
//! What is handed to the transport may still be lost on the way, and the
//! protocol has no word for what arrived. So the newest part of it is kept, and
//! a client that comes back gets all of that once more, frame by frame with the
//! instants of the first time. These grow from frame to frame, so that a client
//! can tell what it has already.
//!
//! Invariant: what was not handed over is never dropped. What was handed over
//! and is dropped has arrived, unless the client was cut off soon after: then
//! [`Replay::has_gap`] says so.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use palisade_model::clock::Timestamp;
use palisade_wire::v1beta2::OutputKind;
use tokio::time::Instant;

use super::budget::Share;

/// A connection that is dead is given up within this time, so that what was
/// handed over so long before its client was cut off has arrived. More than the
/// keep-alive of the server's connections takes.
pub(super) const ARRIVED_AFTER: Duration = Duration::from_mins(1);
/// What a frame costs besides its bytes.
const FRAME_COST_BYTES: usize = 128;
/// Bytes of smaller frames are copied: they may be a small part of a buffer,
/// which would be kept with them.
const COPIED_BYTES_MAX: usize = 4 * 1024;

/// What a command wrote, as far as it is kept.
#[derive(Debug)]
pub(super) struct Replay {
    pieces: VecDeque<Piece>,
    /// How many of them were handed over; the first ones.
    handed: usize,
    /// What those cost that were not.
    waiting_bytes: usize,
    window_bytes: usize,
    share: Share,
    /// When the newest one that is dropped was handed over.
    dropped: Option<Instant>,
    last_at: Timestamp,
}

/// One frame of output.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) kind: OutputKind,
    pub(super) data: Bytes,
    pub(super) at: Timestamp,
    handed_at: Option<Instant>,
}

impl Replay {
    /// Keeps up to `window_bytes` of what was handed over.
    pub(super) fn new(window_bytes: usize, share: Share) -> Self {
        Self {
            pieces: VecDeque::new(),
            handed: 0,
            waiting_bytes: 0,
            window_bytes,
            share,
            dropped: None,
            last_at: Timestamp::EPOCH,
        }
    }

    /// Takes in a frame; `now` or the next instant that no frame has yet is its own.
    pub(super) fn push(&mut self, kind: OutputKind, data: Bytes, now: Timestamp) {
        let next = self.last_at.saturating_add(Duration::from_micros(1));
        self.last_at = now.max(next);
        let data = if data.len() <= COPIED_BYTES_MAX {
            Bytes::copy_from_slice(&data)
        } else {
            data
        };
        let piece = Piece {
            kind,
            data,
            at: self.last_at,
            handed_at: None,
        };
        self.waiting_bytes += piece.cost();
        self.share.take(piece.cost());
        self.pieces.push_back(piece);
    }

    /// The next frame to hand over.
    pub(super) fn next(&self) -> Option<&Piece> {
        self.pieces.get(self.handed)
    }

    /// The next frame was handed over.
    pub(super) fn pass(&mut self, now: Instant) {
        if let Some(piece) = self.pieces.get_mut(self.handed) {
            piece.handed_at = Some(now);
            self.waiting_bytes -= piece.cost();
            self.handed += 1;
        }
        self.drop_oldest();
    }

    fn drop_oldest(&mut self) {
        while self.handed > 0 && self.keeps_too_much() {
            let Some(piece) = self.pieces.pop_front() else {
                return;
            };
            self.handed -= 1;
            self.share.give_back(piece.cost());
            self.dropped = piece.handed_at.max(self.dropped);
        }
    }

    fn keeps_too_much(&self) -> bool {
        let kept = self.share.bytes().saturating_sub(self.waiting_bytes);
        kept > self.window_bytes || self.share.is_full()
    }

    /// Everything that is kept is to be handed over once more.
    pub(super) fn rewind(&mut self) {
        self.handed = 0;
        self.waiting_bytes = self.share.bytes();
    }

    /// Whether something may be lost of a client that was cut off then.
    pub(super) fn has_gap(&self, cut_at: Instant) -> bool {
        self.dropped
            .is_some_and(|dropped| cut_at.saturating_duration_since(dropped) < ARRIVED_AFTER)
    }

    /// Whether more may be taken in while nobody is there to hand it to.
    pub(super) fn takes_more(&self) -> bool {
        self.waiting_bytes < self.window_bytes && !self.share.is_full()
    }

    /// What is kept costs so much.
    pub(super) fn bytes(&self) -> usize {
        self.share.bytes()
    }
}

impl Piece {
    fn cost(&self) -> usize {
        self.data.len() + FRAME_COST_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::super::budget::Budget;
    use super::*;

    const FRAME: usize = 1_000 - FRAME_COST_BYTES;

    fn replay(window_bytes: usize) -> Replay {
        let budget = Budget::new(1 << 20);
        Replay::new(window_bytes, budget.share(&"acme".parse().unwrap()))
    }

    fn push(replay: &mut Replay, fill: u8) {
        let data = vec![fill; FRAME].into();
        replay.push(OutputKind::Stdout, data, Timestamp::EPOCH);
    }

    fn hand_over(replay: &mut Replay) -> Vec<u8> {
        let mut seen = Vec::new();
        while let Some(piece) = replay.next() {
            seen.push(piece.data[0]);
            replay.pass(Instant::now());
        }
        seen
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_not_have_arrived_is_handed_over_once_more() {
        let mut replay = replay(3_000);
        (0..3).for_each(|fill| push(&mut replay, fill));
        assert_eq!(hand_over(&mut replay), [0, 1, 2]);
        push(&mut replay, 3);
        replay.rewind();
        assert_eq!(hand_over(&mut replay), [0, 1, 2, 3]);
        replay.rewind();
        assert_eq!(hand_over(&mut replay), [1, 2, 3], "the window is full");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_dropped_long_before_the_cut_is_no_gap() {
        let mut replay = replay(1_000);
        assert!(!replay.has_gap(Instant::now()));
        (0..2).for_each(|fill| push(&mut replay, fill));
        hand_over(&mut replay);
        assert!(replay.has_gap(Instant::now()));
        tokio::time::advance(ARRIVED_AFTER).await;
        assert!(!replay.has_gap(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_handed_over_is_never_dropped() {
        let mut replay = replay(2_000);
        (0..9).for_each(|fill| push(&mut replay, fill));
        assert!(!replay.takes_more());
        assert_eq!(hand_over(&mut replay), (0..9).collect::<Vec<_>>());
        assert_eq!(replay.bytes(), 2_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_budget_keeps_nothing_that_was_handed_over() {
        let budget = Budget::new(2_000);
        let share = || budget.share(&"acme".parse().unwrap());
        let mut other = share();
        other.take(1_000);
        let mut replay = Replay::new(1 << 20, share());
        assert!(!replay.takes_more());
        push(&mut replay, 1);
        assert_eq!(hand_over(&mut replay), [1]);
        assert_eq!(replay.bytes(), 0);
        assert!(replay.has_gap(Instant::now()));
    }

    #[test]
    fn instants_grow_from_frame_to_frame() {
        let mut replay = replay(1 << 20);
        let micros = |micros| Timestamp::from_micros(micros);
        for now in [5, 5, 3, 9] {
            replay.push(OutputKind::Stderr, "x".into(), micros(now));
        }
        let seen: Vec<_> = replay.pieces.iter().map(|piece| piece.at).collect();
        assert_eq!(seen, [5, 6, 7, 9].map(micros));
    }
}
