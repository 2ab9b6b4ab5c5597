//! Getting ports of the host or an address for a sandbox, before it starts.
//!
//! Where there are none left the sandbox fails, unless its level says that it waits
//! for an external address: then it is shown what it waits for, and for how long.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{self, Instant};

use super::{Driver, chain};
use crate::network::{BookError, Wish};
use crate::services;
use crate::state::End;

/// How often it is tried again although nothing was given back: what was given back
/// rests for a time.
const PAUSE: Duration = Duration::from_secs(1);

impl Driver {
    /// Books what is to lead to the sandbox.
    pub(super) async fn book(&self) -> Result<(), End> {
        let launch = &self.sandbox.launch;
        let Some(wish) = services::wish(launch) else {
            return Ok(());
        };
        let patience = self.shared.config.address_wait;
        let deadline = Instant::now() + patience;
        let mut returns = self.shared.network.returns();
        loop {
            returns.borrow_and_update();
            let Err(error) = self.try_to_book(&wish).await? else {
                return Ok(());
            };
            if !error.is_exhaustion() || !services::waits(launch) {
                return Err(self.failed(&error.to_string()));
            }
            if Instant::now() >= deadline {
                let seconds = patience.as_secs();
                let reason = format!("it got no external address within {seconds} s: {error}");
                return Err(self.failed(&reason));
            }
            self.show_starting(&format!("waiting for an external address: {error}"));
            let next = deadline.min(Instant::now() + PAUSE);
            let mut wishes = self.sandbox.wishes();
            tokio::select! {
                biased;
                _ = wishes.wait_for(|wish| wish.stop_by.is_some()) => return Err(self.stopped()),
                // Either way it is tried again.
                _ = time::timeout_at(next, returns.changed()) => {}
            }
        }
    }

    async fn try_to_book(&self, wish: &Wish) -> Result<Result<(), BookError>, End> {
        let (shared, id, wish) = (Arc::clone(&self.shared), self.sandbox.id(), wish.clone());
        let booked = self.blocking(move || Ok(shared.network.book(id, &wish)));
        booked.await.map_err(|error| self.failed(&chain(&error)))
    }
}
