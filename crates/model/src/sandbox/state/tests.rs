use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn seen(number: u64, state: State) -> Observation {
    Observation {
        number,
        state,
        reason: String::new(),
        started_at: None,
        service_address: String::new(),
    }
}

fn wish(grace_seconds: u64, at: i64) -> StopWish {
    StopWish {
        grace: Duration::from_secs(grace_seconds),
        at: Timestamp::from_micros(at),
    }
}

const NOW: Timestamp = Timestamp::from_micros(100);

#[test]
fn a_life_goes_forward() {
    let mut status = Status::admitted();
    for (number, state) in [
        (1, State::Pending),
        (2, State::Running),
        (3, State::Completed(Exit(0))),
    ] {
        assert_eq!(status.observe(seen(number, state), NOW), Effect::Changed);
        assert_eq!(status.state, state);
    }
    assert_eq!(status.ended_at, Some(NOW));
}

#[test]
fn old_news_changes_nothing() {
    let mut status = Status::admitted();
    status.observe(seen(2, State::Running), NOW);
    assert_eq!(
        status.observe(seen(2, State::Paused), NOW),
        Effect::Unchanged
    );
    assert_eq!(
        status.observe(seen(3, State::Pending), NOW),
        Effect::Unchanged
    );
    assert_eq!(status.state, State::Running);
}

#[test]
fn a_stopping_sandbox_shows_as_terminating_until_it_is_over() {
    let mut status = Status::admitted();
    status.observe(seen(1, State::Running), NOW);
    status.wish_stop(wish(10, 0));
    assert_eq!(status.state, State::Terminating);
    status.observe(seen(2, State::Running), NOW);
    assert_eq!(status.state, State::Terminating);
    status.observe(seen(3, State::Completed(Exit(143))), NOW);
    assert_eq!(status.state.exit(), Some(Exit(143)));
}

#[test]
fn a_second_stop_shortens_the_grace_and_never_lengthens_it() {
    let mut status = Status::admitted();
    status.wish_stop(wish(10, 0));
    assert_eq!(status.wish_stop(wish(60, 0)), Effect::Unchanged);
    assert_eq!(status.wish_stop(wish(1, 0)), Effect::Changed);
    assert_eq!(status.stop, Some(wish(1, 0)));
}

#[test]
fn only_what_runs_can_be_wished_to_be_frozen() {
    let mut status = Status::admitted();
    assert_eq!(status.wish_pause(true), Effect::Unchanged);
    status.observe(seen(1, State::Running), NOW);
    assert_eq!(status.wish_pause(true), Effect::Changed);
    assert_eq!(status.wish_pause(true), Effect::Unchanged);
    assert_eq!(status.state, State::Running);
    assert!(!status.is_as_paused_as_wished());
    status.observe(seen(2, State::Paused), NOW);
    assert!(status.is_as_paused_as_wished());
    assert_eq!(status.wish_pause(false), Effect::Changed);
    assert!(!status.is_as_paused_as_wished());
}

#[test]
fn a_stop_ends_the_wish_to_be_frozen() {
    let mut status = Status::admitted();
    status.observe(seen(1, State::Paused), NOW);
    status.wish_pause(true);
    status.wish_stop(wish(10, 0));
    assert!(!status.is_pause_wished);
    assert_eq!(status.wish_pause(true), Effect::Unchanged);
    status.observe(seen(2, State::Paused), NOW);
    assert_eq!(status.state, State::Terminating);
}

fn any_state() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::Creating),
        Just(State::Pending),
        Just(State::Running),
        Just(State::Paused),
        Just(State::Terminating),
        any::<i32>().prop_map(|code| State::Completed(Exit(code))),
        Just(State::Failed(None)),
        Just(State::Terminated(None)),
    ]
}

proptest! {
    #[test]
    fn nothing_leaves_a_terminal_state(
        moves in prop::collection::vec((any::<u64>(), any_state(), any::<bool>()), 0..20)
    ) {
        let mut status = Status::admitted();
        let mut end = None;
        for (number, state, stop) in moves {
            if stop {
                status.wish_stop(wish(number % 60, 0));
            } else {
                status.observe(seen(number, state), NOW);
            }
            if let Some(end) = end {
                prop_assert_eq!(status.state, end);
            }
            if status.state.is_terminal() {
                end = Some(status.state);
            }
        }
    }

    #[test]
    fn an_observation_twice_is_the_same_as_once(number in 1u64.., state in any_state()) {
        let mut once = Status::admitted();
        once.observe(seen(number, state), NOW);
        let mut twice = once.clone();
        prop_assert_eq!(twice.observe(seen(number, state), NOW), Effect::Unchanged);
        prop_assert_eq!(once, twice);
    }
}
