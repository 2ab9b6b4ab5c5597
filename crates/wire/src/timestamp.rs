//! Instants as JSON and YAML spell them: RFC 3339 in UTC.

use palisade_model::clock::Timestamp;

/// A text is not the instant that it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a time with a zone, such as 2026-12-24T18:00:00Z")]
pub struct BadTimestamp;

/// The instant as text; beyond the years that have four digits, the last one.
pub fn format(at: Timestamp) -> String {
    let micros = at.as_micros().clamp(FIRST_MICROS, LAST_MICROS);
    jiff::Timestamp::from_microsecond(micros)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_string()
}

/// The number of bytes of every text that [`format_fixed`] makes.
pub const FIXED_BYTES: usize = "2026-12-24T18:00:00.000000Z".len();

/// The instant as text of one length, to stand before lines.
pub fn format_fixed(at: Timestamp) -> String {
    let micros = at.as_micros().clamp(FIRST_MICROS, LAST_MICROS);
    let at = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{at:.6}")
}

/// Reads an instant; what is finer than a microsecond is cut off.
pub fn parse(text: &str) -> Result<Timestamp, BadTimestamp> {
    // The parser also takes zone names in brackets, which JSON never has.
    if !text.is_ascii() || text.contains('[') {
        return Err(BadTimestamp);
    }
    let at: jiff::Timestamp = text.parse().map_err(|_| BadTimestamp)?;
    let micros = at.as_microsecond();
    if (FIRST_MICROS..=LAST_MICROS).contains(&micros) {
        Ok(Timestamp::from_micros(micros))
    } else {
        Err(BadTimestamp)
    }
}

/// The first instant of the year 1, and the last one of the year 9999, which
/// are the bounds of protobuf too.
const FIRST_MICROS: i64 = -62_135_596_800_000_000;
const LAST_MICROS: i64 = 253_402_207_200_000_000 - 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_instant_reads_in_any_zone() {
        let noon = Timestamp::from_micros(1_798_113_600_000_000);
        assert_eq!(format(noon), "2026-12-24T12:00:00Z");
        assert_eq!(parse("2026-12-24T12:00:00Z"), Ok(noon));
        assert_eq!(parse("2026-12-24T13:00:00+01:00"), Ok(noon));
        assert_eq!(parse("2026-12-24T12:00:00.000000999Z"), Ok(noon));
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in [
            "",
            "now",
            "2026-12-24",
            "2026-12-24T12:00:00",
            "2026-12-24T12:00:00+01:00[Europe/Berlin]",
            "-000100-01-01T00:00:00Z",
            "２０２６-12-24T12:00:00Z",
        ] {
            assert_eq!(parse(text), Err(BadTimestamp), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_instant_reads_as_it_was_written(micros in FIRST_MICROS..=LAST_MICROS) {
            let at = Timestamp::from_micros(micros);
            prop_assert_eq!(parse(&format(at)), Ok(at));
        }

        #[test]
        fn every_instant_has_a_text_of_one_length(micros in any::<i64>()) {
            let text = format_fixed(Timestamp::from_micros(micros));
            prop_assert_eq!(text.len(), FIXED_BYTES);
            prop_assert!(parse(&text).is_ok());
        }

        #[test]
        fn every_instant_can_be_written(micros in any::<i64>()) {
            prop_assert!(parse(&format(Timestamp::from_micros(micros))).is_ok());
        }
    }
}
