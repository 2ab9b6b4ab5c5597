//! Where a sandbox is in its life, and which moves there are.
//!
//! ```text
//! CREATING ─► PENDING ─► RUNNING ─► TERMINATING ─► COMPLETED | FAILED | TERMINATED
//!     └──────────┴──────────┴──► FAILED | COMPLETED       RUNNING ⇄ PAUSED
//! ```
//!
//! Terminal states are never left. An observation that arrives late, twice or
//! out of order changes nothing: [`Status::observe`] is idempotent and the
//! higher `observed` number wins. A wish to freeze or to go on changes no state:
//! the sandbox is PAUSED once its runner says so.

use crate::clock::Timestamp;
use crate::sandbox::{Status, StopWish};

/// Where a sandbox is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Admitted; no backend knows of it yet.
    Creating,
    /// A backend is making it.
    Pending,
    /// Its main process runs.
    Running,
    /// It is frozen.
    Paused,
    /// It was asked to end and has not yet.
    Terminating,
    /// Its main process ended by itself or after a stop.
    Completed(Exit),
    /// It could not start, or its surroundings failed.
    Failed(Option<Exit>),
    /// It was ended by force or by its lifetime.
    Terminated(Option<Exit>),
}

/// How a process ended, as a shell counts: 128 and the signal for a killed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Exit(pub i32);

/// A state without what hangs on it, for lists and filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// See [`State::Creating`].
    Creating,
    /// See [`State::Pending`].
    Pending,
    /// See [`State::Running`].
    Running,
    /// See [`State::Paused`].
    Paused,
    /// See [`State::Terminating`].
    Terminating,
    /// See [`State::Completed`].
    Completed,
    /// See [`State::Failed`].
    Failed,
    /// See [`State::Terminated`].
    Terminated,
}

impl State {
    /// The state without what hangs on it.
    pub fn phase(self) -> Phase {
        match self {
            Self::Creating => Phase::Creating,
            Self::Pending => Phase::Pending,
            Self::Running => Phase::Running,
            Self::Paused => Phase::Paused,
            Self::Terminating => Phase::Terminating,
            Self::Completed(_) => Phase::Completed,
            Self::Failed(_) => Phase::Failed,
            Self::Terminated(_) => Phase::Terminated,
        }
    }

    /// Whether the sandbox is over.
    pub fn is_terminal(self) -> bool {
        self.phase().is_terminal()
    }

    /// How its main process ended, once that is known.
    pub fn exit(self) -> Option<Exit> {
        match self {
            Self::Completed(exit) => Some(exit),
            Self::Failed(exit) | Self::Terminated(exit) => exit,
            Self::Creating | Self::Pending | Self::Running | Self::Paused | Self::Terminating => {
                None
            }
        }
    }
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 8] = [
        Self::Creating,
        Self::Pending,
        Self::Running,
        Self::Paused,
        Self::Terminating,
        Self::Completed,
        Self::Failed,
        Self::Terminated,
    ];

    /// Whether a sandbox in this phase is over.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Terminated => true,
            Self::Creating | Self::Pending | Self::Running | Self::Paused | Self::Terminating => {
                false
            }
        }
    }

    /// The phase as the wire spells it, without its prefix.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Terminating => "TERMINATING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Terminated => "TERMINATED",
        }
    }

    /// How far along a life this is; no observation moves a sandbox back.
    fn rank(self) -> u8 {
        match self {
            Self::Creating => 0,
            Self::Pending => 1,
            Self::Running | Self::Paused => 2,
            Self::Terminating => 3,
            Self::Completed | Self::Failed | Self::Terminated => 4,
        }
    }
}

/// What a runner reports of one sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Grows with every report about this sandbox.
    pub number: u64,
    /// What was seen.
    pub state: State,
    /// Why, in words for a person; may be empty.
    pub reason: String,
    /// When the main process started, once it has.
    pub started_at: Option<Timestamp>,
    /// Where it can be reached from outside; may be empty.
    pub service_address: String,
}

/// Why a record did or did not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The record changed.
    Changed,
    /// The record stays as it was: the news was old, or told nothing new.
    Unchanged,
}

impl Status {
    /// The status of a sandbox that was just admitted.
    pub fn admitted() -> Self {
        Self {
            state: State::Creating,
            reason: String::new(),
            observed: 0,
            stop: None,
            is_pause_wished: false,
            started_at: None,
            ended_at: None,
            service_address: String::new(),
        }
    }

    /// Takes in what a runner saw at `now`.
    ///
    /// A sandbox that was asked to end shows as terminating until it is over,
    /// whatever the runner still sees of it.
    pub fn observe(&mut self, seen: Observation, now: Timestamp) -> Effect {
        let stale = seen.number <= self.observed;
        let backwards = seen.state.phase().rank() < self.state.phase().rank();
        if self.state.is_terminal() || stale || backwards {
            return Effect::Unchanged;
        }
        self.observed = seen.number;
        self.state = if self.stop.is_some() && !seen.state.is_terminal() {
            State::Terminating
        } else {
            seen.state
        };
        self.reason = seen.reason;
        self.started_at = self.started_at.or(seen.started_at);
        if !seen.service_address.is_empty() {
            self.service_address = seen.service_address;
        }
        if self.state.is_terminal() {
            self.ended_at = Some(now);
        }
        Effect::Changed
    }

    /// Takes in that somebody wants it to end.
    ///
    /// A second wish can shorten the grace and never lengthen it.
    pub fn wish_stop(&mut self, wish: StopWish) -> Effect {
        if self.state.is_terminal() {
            return Effect::Unchanged;
        }
        let deadline = |wish: &StopWish| wish.at.saturating_add(wish.grace);
        let sooner = self
            .stop
            .is_none_or(|earlier| deadline(&wish) < deadline(&earlier));
        if sooner {
            self.stop = Some(wish);
        }
        let moved = self.state != State::Terminating;
        self.state = State::Terminating;
        self.is_pause_wished = false;
        if sooner || moved {
            Effect::Changed
        } else {
            Effect::Unchanged
        }
    }

    /// Takes in whether somebody wants it to be frozen.
    ///
    /// Only what runs can be frozen, and what is to end cannot; then the wish is
    /// passed over, and the state says why.
    pub fn wish_pause(&mut self, is_wished: bool) -> Effect {
        let can_follow = matches!(self.state, State::Running | State::Paused);
        if !can_follow || self.is_pause_wished == is_wished {
            return Effect::Unchanged;
        }
        self.is_pause_wished = is_wished;
        Effect::Changed
    }

    /// Whether the sandbox is frozen exactly if somebody wants it to be.
    pub fn is_as_paused_as_wished(&self) -> bool {
        match self.state {
            State::Running => !self.is_pause_wished,
            State::Paused => self.is_pause_wished,
            State::Creating
            | State::Pending
            | State::Terminating
            | State::Completed(_)
            | State::Failed(_)
            | State::Terminated(_) => true,
        }
    }

    /// Ends the life from the outside, for a sandbox that no runner will report.
    pub fn close(&mut self, state: State, reason: String, now: Timestamp) -> Effect {
        if self.state.is_terminal() || !state.is_terminal() {
            return Effect::Unchanged;
        }
        self.state = state;
        self.reason = reason;
        self.ended_at = Some(now);
        Effect::Changed
    }
}

#[cfg(test)]
mod tests;
