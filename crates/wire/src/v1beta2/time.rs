//! Instants of the client protocol.

use std::time::Duration;

use palisade_model::clock::Timestamp;
use palisade_model::refusal::Refusal;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};

/// An instant as the protocol carries it.
pub fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let micros = at.as_micros();
    prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        // The remainder is below a million, so that this always fits.
        nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or_default(),
    }
}

/// An instant that a client sent; what lies outside is moved to the edge.
pub fn from_timestamp(at: prost_types::Timestamp) -> Timestamp {
    let prost_types::Timestamp { seconds, nanos } = at;
    let micros = seconds
        .saturating_mul(1_000_000)
        .saturating_add(i64::from(nanos) / 1_000);
    Timestamp::from_micros(micros)
}

/// An instant that a client sent, if it is well-formed.
pub(super) fn checked_timestamp(at: prost_types::Timestamp) -> Option<Timestamp> {
    (0..1_000_000_000)
        .contains(&at.nanos)
        .then(|| from_timestamp(at))
}

/// How long a client lets a call take that has nothing else to check.
///
/// Where nothing is waited for, it is the client's own, and travels as the
/// deadline; what it cannot be is refused all the same.
pub fn call_limit(seconds: i32) -> Result<Option<Duration>, Refusal> {
    let mut violations = Vec::new();
    let limit = time_limit(&mut violations, seconds);
    if violations.is_empty() {
        Ok(limit)
    } else {
        Err(Refusal::invalid(violations))
    }
}

/// How long a client lets a call take; zero is how the protocol leaves it out.
pub(super) fn time_limit(violations: &mut Vec<Violation>, seconds: i32) -> Option<Duration> {
    match u64::try_from(seconds) {
        Ok(0) => None,
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let path = FieldPath::root().key("max_timeout_seconds");
            let text = format!("is {seconds}; it must not be negative");
            violations.push(Violation::new(path, ViolationKind::Invalid, text));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_instant_survives_the_wire(micros in any::<i64>()) {
            // Nothing outside the years that protobuf can hold.
            let at = Timestamp::from_micros(micros / 1_000);
            prop_assert_eq!(from_timestamp(timestamp(at)), at);
        }

        #[test]
        fn no_instant_of_a_client_panics(seconds in any::<i64>(), nanos in any::<i32>()) {
            from_timestamp(prost_types::Timestamp { seconds, nanos });
        }
    }
}
