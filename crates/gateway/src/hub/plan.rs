//! What a runner must be told about one sandbox: a pure decision.
//!
//! ```text
//! record            told nothing      told to launch     told to stop
//! live              Launch            nothing            nothing
//! live, to end      Stop              Stop               Stop, if sooner
//! over              nothing           nothing            nothing
//! ```
//!
//! What has the launch and is not to end is told to freeze or to go on when it
//! is not as wished and was not told so over this connection.
//!
//! What is over is removed once its logs are not kept any longer; that hangs on
//! the time alone and is the business of [`super::wishes`].

use std::time::Duration;

use palisade_model::clock::Timestamp;
use palisade_model::sandbox::Status;

/// What a runner was told about a sandbox over one connection, or holds since
/// before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// It has the launch.
    pub(super) launch: bool,
    /// When it must have ended.
    pub(super) stop_by: Option<Timestamp>,
    /// Whether it was told to be frozen, or to go on.
    pub(super) paused: Option<bool>,
}

/// What to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Say {
    /// Make it exist.
    Launch,
    /// Ask it to end within this time.
    Stop(Duration),
    /// Freeze it, or let it go on.
    SetPaused(bool),
    /// It knows everything.
    Nothing,
}

/// Decides from the record and from what was told.
pub(super) fn plan(status: &Status, told: Told, now: Timestamp) -> Say {
    if status.state.is_terminal() {
        return Say::Nothing;
    }
    match status.stop {
        Some(wish) => {
            let by = wish.at.saturating_add(wish.grace);
            if told.stop_by.is_some_and(|told| told <= by) {
                Say::Nothing
            } else {
                Say::Stop(by.saturating_since(now))
            }
        }
        None if !told.launch => Say::Launch,
        None if told.paused == Some(status.is_pause_wished) => Say::Nothing,
        // What it was told last is the opposite; or nothing, and it is.
        None if told.paused.is_some() || !status.is_as_paused_as_wished() => {
            Say::SetPaused(status.is_pause_wished)
        }
        None => Say::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use palisade_model::sandbox::{Exit, State, StopWish};

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000);

    fn to_end(grace_secs: u64) -> Status {
        Status {
            stop: Some(StopWish {
                grace: Duration::from_secs(grace_secs),
                at: NOW,
            }),
            ..Status::admitted()
        }
    }

    #[test]
    fn a_launch_is_told_once_on_a_connection() {
        let told = Told {
            launch: true,
            ..Told::default()
        };
        assert_eq!(plan(&Status::admitted(), Told::default(), NOW), Say::Launch);
        assert_eq!(plan(&Status::admitted(), told, NOW), Say::Nothing);
    }

    #[test]
    fn what_should_end_is_not_launched_any_more() {
        let say = plan(&to_end(3), Told::default(), NOW);
        assert_eq!(say, Say::Stop(Duration::from_secs(3)));
    }

    #[test]
    fn a_stop_is_told_again_only_if_it_is_sooner() {
        let told = |secs| Told {
            launch: true,
            stop_by: Some(NOW.saturating_add(Duration::from_secs(secs))),
            paused: None,
        };
        assert_eq!(plan(&to_end(3), told(3), NOW), Say::Nothing);
        assert_eq!(
            plan(&to_end(1), told(3), NOW),
            Say::Stop(Duration::from_secs(1))
        );
    }

    fn running(state: State, is_pause_wished: bool) -> Status {
        Status {
            state,
            is_pause_wished,
            ..Status::admitted()
        }
    }

    #[test]
    fn a_wish_to_freeze_is_told_once_and_so_is_its_end() {
        let told = |paused| Told {
            launch: true,
            stop_by: None,
            paused,
        };
        let wished = running(State::Running, true);
        assert_eq!(plan(&wished, told(None), NOW), Say::SetPaused(true));
        assert_eq!(plan(&wished, told(Some(true)), NOW), Say::Nothing);
        // It was frozen, told or not, and should go on.
        for state in [State::Running, State::Paused] {
            let say = plan(&running(state, false), told(Some(true)), NOW);
            assert_eq!(say, Say::SetPaused(false));
        }
        let say = plan(&running(State::Paused, false), told(None), NOW);
        assert_eq!(say, Say::SetPaused(false));
    }

    #[test]
    fn what_is_as_wished_is_told_nothing() {
        let told = Told {
            launch: true,
            ..Told::default()
        };
        for (state, wish) in [(State::Running, false), (State::Paused, true)] {
            assert_eq!(plan(&running(state, wish), told, NOW), Say::Nothing);
        }
    }

    #[test]
    fn nothing_is_told_of_what_is_over() {
        let status = Status {
            state: State::Completed(Exit(0)),
            ..to_end(3)
        };
        assert_eq!(plan(&status, Told::default(), NOW), Say::Nothing);
    }
}
