//! What to do about one sandbox: a pure decision.
//!
//! ```text
//!            wished: exist          wished: end            wished: gone
//! absent     Ensure                 Settled (refused)      Settled
//! starting   wait                   Stop                   Remove
//! running    wait, or Stop at the   Stop                   Remove
//!            end of its lifetime;
//!            Pause if wished so
//! paused     as running; Resume  Stop                   Remove
//!            once not wished so
//! stopping   wait                   Stop, if sooner        Remove
//! over       Settled                Settled                Remove
//! ```

use std::time::Duration;

use palisade_backend::View;
use palisade_model::clock::Timestamp;
use palisade_model::sandbox::State;

use crate::ending::Ending;

/// How long the main process may take to end when its lifetime is over.
pub(crate) const LIFETIME_GRACE: Duration = Duration::from_secs(10);

/// What the user of a sandbox that is frozen reads.
const PAUSED: &str = "paused on request; its memory is kept, and it goes on when it is resumed";

/// What is wished of a sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// How long it may live, counted from its start.
    pub(crate) max_lifetime: Option<Duration>,
    /// When it must have ended, once somebody asked for that.
    pub(crate) stop_by: Option<Timestamp>,
    /// Whether it should be frozen; `None` until the gateway said so, and until
    /// then it is left as it is.
    pub(crate) paused: Option<bool>,
    /// Whether everything of it should be freed.
    pub(crate) is_unwanted: bool,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Make it exist.
    Ensure,
    /// Ask it to end within this time.
    Stop(Duration),
    /// Freeze it.
    Pause,
    /// Let it go on.
    Resume,
    /// Free everything of it.
    Remove,
    /// Look again when something changes, or at this instant.
    WaitUntil(Option<Timestamp>),
}

/// Decides from what is wished, what is seen and the last deadline that the
/// backend was told.
pub(crate) fn plan(
    wanted: Wanted,
    seen: Option<&View>,
    told: Option<Timestamp>,
    now: Timestamp,
) -> Action {
    let Some(view) = seen else {
        let settled = wanted.is_unwanted || wanted.stop_by.is_some();
        return if settled {
            Action::WaitUntil(None)
        } else {
            Action::Ensure
        };
    };
    if wanted.is_unwanted {
        return Action::Remove;
    }
    if view.is_over() {
        return Action::WaitUntil(None);
    }
    // What is overdue is due now: the backend was told no earlier instant.
    let stop_by = earliest(wanted.stop_by, lifetime_stop(wanted, view, now)).map(|by| by.max(now));
    match stop_by {
        Some(by) if told.is_none_or(|told| by < told) => Action::Stop(by.saturating_since(now)),
        Some(_) => Action::WaitUntil(None),
        None => freezing(wanted, view).unwrap_or(Action::WaitUntil(lifetime_end(wanted, view))),
    }
}

fn freezing(wanted: Wanted, view: &View) -> Option<Action> {
    match (view, wanted.paused) {
        (View::Running { .. }, Some(true)) => Some(Action::Pause),
        (View::Paused { .. }, Some(false)) => Some(Action::Resume),
        (View::Running { .. }, Some(false) | None)
        | (View::Paused { .. }, Some(true) | None)
        | (
            View::Starting(_) | View::Stopping { .. } | View::Ended { .. } | View::Failed { .. },
            _,
        ) => None,
    }
}

fn earliest(left: Option<Timestamp>, right: Option<Timestamp>) -> Option<Timestamp> {
    left.into_iter().chain(right).min()
}

fn lifetime_end(wanted: Wanted, view: &View) -> Option<Timestamp> {
    match view {
        View::Running { since, .. } | View::Paused { since, .. } => {
            Some(since.saturating_add(wanted.max_lifetime?))
        }
        View::Starting(_) | View::Stopping { .. } | View::Ended { .. } | View::Failed { .. } => {
            None
        }
    }
}

/// The deadline that the end of the lifetime sets, once it has come.
fn lifetime_stop(wanted: Wanted, view: &View, now: Timestamp) -> Option<Timestamp> {
    let end = lifetime_end(wanted, view)?;
    (end <= now).then(|| now.saturating_add(LIFETIME_GRACE))
}

/// What the gateway is told of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) state: State,
    pub(crate) reason: String,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) service_address: String,
}

/// Puts a view into the words of the gateway.
pub(crate) fn report(view: &View, wanted: Wanted) -> Report {
    let plain = |state, reason: &str, started_at| Report {
        state,
        reason: reason.to_owned(),
        started_at,
        service_address: String::new(),
    };
    match view {
        View::Starting(what) => plain(State::Pending, what, None),
        View::Running { since, address } => Report {
            service_address: address.clone(),
            ..plain(State::Running, "", Some(*since))
        },
        View::Paused { since, address } => Report {
            service_address: address.clone(),
            ..plain(State::Paused, PAUSED, Some(*since))
        },
        View::Stopping { since } => plain(State::Terminating, "", *since),
        View::Failed { reason, .. } => plain(State::Failed(None), reason, None),
        View::Ended {
            since,
            at,
            exit,
            reason,
            stopped,
        } => {
            let ending = Ending {
                exit: *exit,
                stopped: *stopped,
                is_overdue: wanted.stop_by.is_some_and(|by| by <= *at),
            };
            let lifetime_over = *stopped && outlived(*since, *at, wanted.max_lifetime);
            let lifetime = wanted.max_lifetime.filter(|_| lifetime_over);
            let (state, reason) = ended(ending, reason, lifetime);
            plain(state, &reason, *since)
        }
    }
}

/// Whether a sandbox that was stopped had reached the end of its lifetime.
///
/// Inferred from the times and not remembered, so that it is also right after
/// a restart.
fn outlived(since: Option<Timestamp>, at: Timestamp, max_lifetime: Option<Duration>) -> bool {
    match (since, max_lifetime) {
        (Some(since), Some(lifetime)) => since.saturating_add(lifetime) <= at,
        (None, _) | (_, None) => false,
    }
}

fn ended(ending: Ending, reason: &str, lifetime: Option<Duration>) -> (State, String) {
    let exit = ending.exit;
    if let Some(lifetime) = lifetime {
        let reason = format!("ended at its maximum lifetime of {} s", lifetime.as_secs());
        return (State::Terminated(exit), reason);
    }
    let told = match reason {
        "" => ending.words(),
        reason => reason.to_owned(),
    };
    match exit {
        Some(exit) => (State::Completed(exit), told),
        None if ending.stopped => (State::Terminated(None), told),
        None if reason.is_empty() => {
            let reason = "the main process vanished without an exit code";
            (State::Failed(None), reason.to_owned())
        }
        None => (State::Failed(None), reason.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use palisade_model::sandbox::Exit;
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

    fn running() -> View {
        View::Running {
            since: Timestamp::from_micros(999_000_000),
            address: String::new(),
        }
    }

    fn ended_view(exit: Option<Exit>, stopped: bool) -> View {
        View::Ended {
            since: Some(Timestamp::EPOCH),
            at: NOW,
            exit,
            reason: String::new(),
            stopped,
        }
    }

    #[test]
    fn what_is_wished_and_absent_is_made() {
        assert_eq!(plan(Wanted::default(), None, None, NOW), Action::Ensure);
    }

    #[test]
    fn what_should_end_before_it_began_is_never_made() {
        let wanted = Wanted {
            stop_by: Some(NOW),
            ..Wanted::default()
        };
        assert_eq!(plan(wanted, None, None, NOW), Action::WaitUntil(None));
    }

    #[test]
    fn a_stop_is_told_once_unless_it_becomes_sooner() {
        let later = NOW.saturating_add(Duration::from_secs(9));
        let wanted = |by| Wanted {
            stop_by: Some(by),
            ..Wanted::default()
        };
        let view = running();
        let stop = Action::Stop(Duration::from_secs(9));
        assert_eq!(plan(wanted(later), Some(&view), None, NOW), stop);
        let told = Some(later);
        assert_eq!(
            plan(wanted(later), Some(&view), told, NOW),
            Action::WaitUntil(None)
        );
        let now = Action::Stop(Duration::ZERO);
        assert_eq!(plan(wanted(NOW), Some(&view), told, NOW), now);
    }

    #[test]
    fn a_stop_that_is_overdue_is_told_once() {
        let wanted = Wanted {
            stop_by: Some(Timestamp::from_micros(NOW.as_micros() - 5)),
            ..Wanted::default()
        };
        let view = running();
        assert_eq!(
            plan(wanted, Some(&view), None, NOW),
            Action::Stop(Duration::ZERO)
        );
        let later = NOW.saturating_add(Duration::from_micros(7));
        assert_eq!(
            plan(wanted, Some(&view), Some(NOW), later),
            Action::WaitUntil(None)
        );
    }

    #[test]
    fn a_lifetime_is_waited_for_and_then_ends_the_sandbox() {
        let wanted = |seconds| Wanted {
            max_lifetime: Some(Duration::from_secs(seconds)),
            ..Wanted::default()
        };
        let end = Timestamp::from_micros(1_001_000_000);
        let view = running();
        assert_eq!(
            plan(wanted(2), Some(&view), None, NOW),
            Action::WaitUntil(Some(end))
        );
        assert_eq!(
            plan(wanted(1), Some(&view), None, NOW),
            Action::Stop(LIFETIME_GRACE)
        );
    }

    #[test]
    fn what_runs_is_paused_and_what_is_paused_resumed_as_it_is_wished() {
        let paused = View::Paused {
            since: NOW,
            address: String::new(),
        };
        let cases = [
            (running(), Some(true), Action::Pause),
            (running(), Some(false), Action::WaitUntil(None)),
            (running(), None, Action::WaitUntil(None)),
            (paused.clone(), Some(true), Action::WaitUntil(None)),
            (paused.clone(), Some(false), Action::Resume),
            // After a restart, until the gateway says what is wished.
            (paused, None, Action::WaitUntil(None)),
        ];
        for (view, paused, action) in cases {
            let wanted = Wanted {
                paused,
                ..Wanted::default()
            };
            assert_eq!(plan(wanted, Some(&view), None, NOW), action, "{view:?}");
        }
    }

    #[test]
    fn a_paused_sandbox_is_stopped_and_ends_at_its_lifetime_all_the_same() {
        let paused = View::Paused {
            since: Timestamp::EPOCH,
            address: String::new(),
        };
        let wanted = Wanted {
            paused: Some(true),
            max_lifetime: Some(Duration::from_secs(1)),
            ..Wanted::default()
        };
        let stop = Action::Stop(LIFETIME_GRACE);
        assert_eq!(plan(wanted, Some(&paused), None, NOW), stop);
        let wanted = Wanted {
            paused: Some(true),
            stop_by: Some(NOW),
            ..Wanted::default()
        };
        let stop = Action::Stop(Duration::ZERO);
        assert_eq!(plan(wanted, Some(&paused), None, NOW), stop);
    }

    #[test]
    fn an_exit_code_makes_a_sandbox_complete() {
        let report = report(&ended_view(Some(Exit(3)), false), Wanted::default());
        assert_eq!(report.state, State::Completed(Exit(3)));
        assert_eq!(report.reason, "the main process ended with exit code 3");
    }

    #[test]
    fn what_the_backend_says_of_an_end_is_kept() {
        let mut view = ended_view(Some(Exit(137)), true);
        if let View::Ended { reason, .. } = &mut view {
            "out of memory".clone_into(reason);
        }
        let report = report(&view, Wanted::default());
        assert_eq!(report.reason, "out of memory");
    }

    #[test]
    fn a_kill_at_the_end_of_the_grace_is_told_as_one() {
        let reason = |by| {
            let wanted = Wanted {
                stop_by: Some(by),
                ..Wanted::default()
            };
            report(&ended_view(Some(Exit(137)), true), wanted).reason
        };
        assert!(reason(NOW).contains("grace"), "{}", reason(NOW));
        let later = NOW.saturating_add(Duration::from_secs(1));
        assert!(reason(later).contains("signal 9"), "{}", reason(later));
    }

    #[test]
    fn the_end_of_a_lifetime_is_told_as_such() {
        let wanted = Wanted {
            max_lifetime: Some(Duration::from_mins(1)),
            ..Wanted::default()
        };
        let report = report(&ended_view(Some(Exit(143)), true), wanted);
        assert_eq!(report.state, State::Terminated(Some(Exit(143))));
        assert!(report.reason.contains("60 s"), "{}", report.reason);
    }

    #[test]
    fn an_unknown_end_is_a_failure_with_a_reason() {
        let report = report(&ended_view(None, false), Wanted::default());
        assert_eq!(report.state, State::Failed(None));
        assert!(!report.reason.is_empty());
    }

    fn any_view() -> impl Strategy<Value = View> {
        prop_oneof![
            Just(View::Starting(String::new())),
            Just(running()),
            Just(View::Stopping { since: None }),
            any::<bool>().prop_map(|stopped| ended_view(None, stopped)),
            Just(View::Failed {
                at: NOW,
                reason: String::new()
            }),
        ]
    }

    proptest! {
        #[test]
        fn what_nobody_wants_is_removed_from_every_state(view in any_view(), stop in any::<bool>()) {
            let wanted = Wanted {
                is_unwanted: true,
                stop_by: stop.then_some(NOW),
                ..Wanted::default()
            };
            prop_assert_eq!(plan(wanted, Some(&view), None, NOW), Action::Remove);
        }

        #[test]
        fn what_is_over_is_left_alone(stop in any::<bool>(), exit in any::<Option<i32>>()) {
            let view = ended_view(exit.map(Exit), stop);
            let wanted = Wanted {
                stop_by: stop.then_some(NOW),
                ..Wanted::default()
            };
            prop_assert_eq!(plan(wanted, Some(&view), None, NOW), Action::WaitUntil(None));
            let report = report(&view, wanted);
            prop_assert!(report.state.is_terminal() && !report.reason.is_empty());
        }
    }
}
