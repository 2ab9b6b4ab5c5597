//! Whether a request that had no good answer is made again, and when.
//!
//! Pure. Invariant: what one request waits for all its tries together is bounded, by less than a
//! minute.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};

/// How often a request is tried that failed on the way or on their side.
const TRIES_MAX: u32 = 3;
/// How often one that came while the bucket had too much to do.
const THROTTLED_TRIES_MAX: u32 = 6;
/// How long it is left alone then, if it does not say: this, and twice as long each time.
const THROTTLED_PAUSE: Duration = Duration::from_millis(500);
/// The bounds of what it can say.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What an answer that is no success means for the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// It would be the same.
    Never,
    /// It may have been bad luck.
    Soon,
    /// The bucket has too much to do, and may have said for how long.
    Later(Option<Duration>),
}

impl Again {
    /// After an answer.
    pub(super) fn after(answer: &Response) -> Self {
        let told = answer.headers().get(RETRY_AFTER);
        Self::said(answer.status(), told.and_then(|told| told.to_str().ok()))
    }

    fn said(status: StatusCode, retry_after: Option<&str>) -> Self {
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                // A date is as good as nothing: clocks differ.
                let seconds = retry_after.and_then(|told| told.trim().parse().ok());
                Self::Later(seconds.map(Duration::from_secs))
            }
            status if status.is_server_error() => Self::Soon,
            _ => Self::Never,
        }
    }

    /// How long to wait after so many tries; `None` if it was the last one.
    pub(super) fn pause(self, tries: u32) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Soon => {
                (tries < TRIES_MAX).then(|| Duration::from_millis(200) * (tries.saturating_add(1)))
            }
            Self::Later(told) => {
                let doublings = 2_u32.saturating_pow(tries.saturating_sub(1));
                let pause = told.unwrap_or_else(|| THROTTLED_PAUSE.saturating_mul(doublings));
                (tries < THROTTLED_TRIES_MAX).then(|| pause.clamp(PAUSE_MIN, PAUSE_MAX))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(again: Again) -> Vec<u64> {
        let pauses = (1..).map_while(|tries| again.pause(tries));
        pauses
            .map(|pause| u64::try_from(pause.as_millis()).unwrap())
            .collect()
    }

    #[test]
    fn a_bucket_that_has_too_much_to_do_is_left_alone_for_as_long_as_it_says() {
        let said = |told| pauses(Again::said(StatusCode::TOO_MANY_REQUESTS, told));
        assert_eq!(said(None), [500, 1_000, 2_000, 4_000, 8_000]);
        assert_eq!(said(Some("3")), [3_000; 5]);
        assert_eq!(said(Some("86400")), [10_000; 5]);
        assert_eq!(said(Some("0")), [100; 5]);
        assert_eq!(said(Some("Fri, 31 Dec 1999 23:59:59 GMT")), said(None));
        let slow_down = Again::said(StatusCode::SERVICE_UNAVAILABLE, None);
        assert_eq!(pauses(slow_down), said(None));
    }

    #[test]
    fn what_failed_is_tried_thrice_and_what_was_refused_once() {
        let failed = Again::said(StatusCode::INTERNAL_SERVER_ERROR, None);
        assert_eq!((failed, pauses(failed)), (Again::Soon, vec![400, 600]));
        let refused = Again::said(StatusCode::FORBIDDEN, None);
        assert_eq!((refused, pauses(refused)), (Again::Never, vec![]));
    }
}
