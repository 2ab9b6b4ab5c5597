//! Pauses of threads that look again and again at what they cannot be told of.
//!
//! Not for tasks, which have timers. A pause is never shorter than was asked.

use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// Lets this thread rest.
///
/// A thread that was woken while nobody waited, as by the end of a scoped thread,
/// does not park the next time: so this parks until the time is over.
pub(crate) fn pause(length: Duration) {
    let end = Instant::now() + length;
    loop {
        let rest = end.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return;
        }
        thread::park_timeout(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_was_woken_before_rests_all_the_same() {
        let length = Duration::from_millis(20);
        let begin = Instant::now();
        thread::current().unpark();
        pause(length);
        assert!(
            begin.elapsed() >= length,
            "it went on after {:?}",
            begin.elapsed()
        );
    }
}
