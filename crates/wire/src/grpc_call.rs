//! What gRPC says of a call in its headers, besides what we say there ourselves.
//!
//! A time that cannot be read is refused: to go on without one would let a call run
//! for longer than its caller meant, and nobody would know. Works on values alone.

use std::time::Duration;

use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};

/// The header with the time that a caller gives a call.
pub const TIMEOUT: &str = "grpc-timeout";
/// The header that says how the messages of a call are compressed.
pub const ENCODING: &str = "grpc-encoding";
/// The header that says which ways of compressing are accepted.
pub const ACCEPT_ENCODING: &str = "grpc-accept-encoding";
/// How a message is that is not compressed.
pub const IDENTITY: &str = "identity";

const DIGITS_MAX: usize = 8;
/// How much of a value is shown.
const SHOWN_CHARS_MAX: usize = 32;

/// The time that a caller gives a call; `None` if this is not one. None at all is a
/// time too: some clients send that when theirs is up.
pub fn timeout(said: &[u8]) -> Option<Duration> {
    let (unit, digits) = said.split_last()?;
    // A sign or a blank is no digit, which parsing would let pass.
    let is_count =
        (1..=DIGITS_MAX).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let count = str::from_utf8(digits).ok().filter(|_| is_count)?;
    let count: u64 = count.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_hours(count),
        b'M' => Duration::from_mins(count),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Refuses times that are none, or not one.
pub fn check_timeout<'h>(mut said: impl Iterator<Item = &'h [u8]>) -> Result<(), Refusal> {
    let Some(first) = said.next() else {
        return Ok(());
    };
    let (kind, text) = if said.any(|other| other != first) {
        let text = "is given twice, with different values; give it once".to_owned();
        (ViolationKind::Conflict, text)
    } else if timeout(first).is_none() {
        let shown = shown(first);
        let text = "it must be 1 to 8 digits and a unit (H, M, S, m, u or n), as in 10S";
        (ViolationKind::Invalid, format!("is {shown}; {text}"))
    } else {
        return Ok(());
    };
    let path = FieldPath::root().key(TIMEOUT);
    Err(Refusal::invalid(vec![Violation::new(path, kind, text)]))
}

/// Refuses a call whose messages are compressed, as this header says.
pub fn check_encoding(said: Option<&[u8]>) -> Result<(), Refusal> {
    let Some(coding) = said.filter(|coding| *coding != IDENTITY.as_bytes()) else {
        return Ok(());
    };
    let text = format!(
        "the call is compressed with {}, and this server accepts no compression, only {IDENTITY}; \
         make the call without",
        shown(coding)
    );
    Err(Refusal::new(Reason::NotImplemented, text).with("feature", ENCODING))
}

fn shown(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    format!(
        "{:?}",
        text.chars().take(SHOWN_CHARS_MAX).collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_every_unit() {
        for (said, expected) in [
            ("2H", Duration::from_hours(2)),
            ("2M", Duration::from_mins(2)),
            ("15S", Duration::from_secs(15)),
            ("99999999m", Duration::from_millis(99_999_999)),
            ("2u", Duration::from_micros(2)),
            ("007n", Duration::from_nanos(7)),
            ("0S", Duration::ZERO),
        ] {
            assert_eq!(timeout(said.as_bytes()), Some(expected), "{said}");
            assert_eq!(check_timeout([said.as_bytes()].into_iter()), Ok(()));
        }
        assert_eq!(check_timeout(std::iter::empty()), Ok(()));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for said in [
            "",
            "S",
            "5",
            "5x",
            "1s",
            "-5S",
            "+5S",
            " 5S",
            "5 S",
            "1.5S",
            "123456789S",
            "1ü",
            "ü",
        ] {
            assert_eq!(timeout(said.as_bytes()), None, "{said}");
            let refusal = check_timeout([said.as_bytes()].into_iter()).unwrap_err();
            let told = &refusal.message;
            assert!(
                told.contains("grpc-timeout is") && told.contains("10S"),
                "{told}"
            );
        }
        let two = [b"1S".as_slice(), b"2S"].into_iter();
        assert!(check_timeout(two).unwrap_err().message.contains("twice"));
    }

    #[test]
    fn whatever_is_compressed_is_refused() {
        assert_eq!(check_encoding(None), Ok(()));
        assert_eq!(check_encoding(Some(b"identity")), Ok(()));
        for said in [b"gzip".as_slice(), b"", b"\xff"] {
            let refusal = check_encoding(Some(said)).unwrap_err();
            assert_eq!(refusal.reason, Reason::NotImplemented);
            assert!(refusal.message.contains("compress"), "{}", refusal.message);
        }
    }
}
