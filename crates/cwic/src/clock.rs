//! What time it is for the commands that ask.

use std::time::Duration;

use palisade_model::clock::Timestamp;

/// The instant that was so long ago.
pub(crate) fn ago(time: Duration) -> Timestamp {
    let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now().as_micros().saturating_sub(micros))
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock of the program"
)]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let micros = since.unwrap_or_default().as_micros();
    Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}
