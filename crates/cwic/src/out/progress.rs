//! A sign of life for whatever takes more than a second.
//!
//! One line on standard error, in a terminal only, which is gone when the work
//! is done. It never stays in a log.

use std::future::Future;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::Out;
use crate::escape::on_one_line;

/// What takes less than this needs no sign.
const PATIENCE: Duration = Duration::from_secs(1);

const PERIOD: Duration = Duration::from_millis(200);

/// The longest text of a sign; a line that wraps cannot be taken back.
const TEXT_LEN_MAX: usize = 60;

/// Back to the start of the line, which is cleared.
const CLEAR: &str = "\r\u{1b}[K";

const FRAMES: [char; 4] = ['|', '/', '-', '\\'];

impl Out {
    /// Waits for work, and shows what is waited for when that takes long.
    pub(crate) async fn during<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        if !self.stderr.is_terminal() {
            return work.await;
        }
        let begun = Instant::now();
        let mut ticks = interval_at(begun + PATIENCE, PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut work = std::pin::pin!(work);
        let mut shown = 0;
        let done = loop {
            // The work is only polled, never dropped before it is done.
            tokio::select! {
                biased;
                done = &mut work => break done,
                _ = ticks.tick() => {
                    self.show(what, begun.elapsed(), shown);
                    shown += 1;
                }
            }
        };
        if shown > 0 {
            let _ = write!(&self.stderr, "{CLEAR}");
        }
        done
    }

    fn show(&self, what: &str, elapsed: Duration, count: usize) {
        let what = super::table::cut(&on_one_line(what), TEXT_LEN_MAX);
        let (frame, seconds) = (FRAMES[count % FRAMES.len()], elapsed.as_secs());
        let mut stderr = &self.stderr;
        let _ = write!(stderr, "{CLEAR}{frame} {what} ({seconds} s)");
        let _ = stderr.flush();
    }
}
