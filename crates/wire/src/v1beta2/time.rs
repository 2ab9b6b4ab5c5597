//! Instants of the client protocol.

use palisade_model::clock::Timestamp;

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
