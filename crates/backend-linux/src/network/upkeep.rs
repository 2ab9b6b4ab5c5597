//! The task that keeps the network as it should be.
//!
//! Input: the host, which others change as well. Output: repairs, and a line in
//! the log for each. Ends when it is told to stop, after the repair at hand.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Network;

const PERIOD: Duration = Duration::from_secs(10);

/// Calls [`Network::refresh`] from time to time until `stop`. Whoever holds the
/// network tells how to get at it.
pub async fn upkeep<H: Send + Sync + 'static>(
    holder: Arc<H>,
    network: fn(&H) -> &Network,
    stop: CancellationToken,
) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_failing = false;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let holder = Arc::clone(&holder);
        let repair = tokio::task::spawn_blocking(move || network(&holder).refresh());
        let outcome = match repair.await {
            Ok(Ok(is_repaired)) => Ok(is_repaired),
            Ok(Err(error)) => Err(Box::<dyn Error + Send + Sync>::from(error)),
            Err(error) => Err(error.into()),
        };
        let has_failed = outcome.is_err();
        match outcome {
            Ok(true) => info!("repaired the network, which something else had changed"),
            // A failure is told once, and tried again and again.
            Err(error) if !is_failing => warn!(
                error = error.as_ref() as &dyn Error,
                "could not look after the network of the sandboxes"
            ),
            Ok(false) | Err(_) => {}
        }
        is_failing = has_failed;
    }
}
