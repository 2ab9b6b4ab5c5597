//! The thread that removes what is left of sandboxes.
//!
//! Whoever removes an interface waits until no processor can be using it any more:
//! tens of milliseconds, be it one interface or a hundred. So a sandbox that goes
//! loses its policy at once, which closes everything to it and for it, and the
//! rest goes here, together with the rest of all others that go.
//!
//! Input: those of the roll who leave. Output: their places. What fails is told and
//! tried again. Ends when its network is dropped and everybody is gone; who cannot
//! be removed then is removed by the next [`Network::open`], which does not know it.
//!
//! [`Network::open`]: super::Network::open

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{error::Error, io};

use tracing::warn;

use super::layout::Layout;
use super::roll::{Leaver, Roll};
use super::rules::{Rules, RulesError};
use super::{Flows, cable, lock};
use crate::netlink::{KernelError, Socket};

/// How many go at a time. Nobody can be connected meanwhile.
const BATCH_MAX: usize = 64;
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Removes sandboxes until it is dropped.
#[derive(Debug)]
pub(super) struct Departures {
    roll: Arc<Roll>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread works with.
pub(super) struct Remover {
    pub(super) roll: Arc<Roll>,
    pub(super) layout: Arc<Layout>,
    pub(super) rules: Arc<Mutex<Rules>>,
    pub(super) flows: Arc<Mutex<Flows>>,
    /// Of the router.
    pub(super) socket: Socket,
}

/// Why something is left of sandboxes.
#[derive(Debug, thiserror::Error)]
enum RemovalError {
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error(transparent)]
    Rules(#[from] RulesError),
}

impl Departures {
    /// Begins.
    pub(super) fn begin(remover: Remover) -> io::Result<Self> {
        let roll = Arc::clone(&remover.roll);
        let thread = thread::Builder::new().name("departures".to_owned());
        let thread = thread.spawn(move || remover.run())?;
        Ok(Self {
            roll,
            thread: Some(thread),
        })
    }
}

impl Drop for Departures {
    fn drop(&mut self) {
        self.roll.end();
        if let Some(thread) = self.thread.take() {
            // If it panicked, that was told when it did.
            let _ = thread.join();
        }
    }
}

impl Remover {
    fn run(mut self) {
        let mut is_failing = false;
        while let Some(leavers) = self.roll.next_leavers(BATCH_MAX) {
            let removed = self.remove(&leavers);
            let has_failed = removed.is_err();
            match removed {
                Ok(()) => self.roll.release(&leavers),
                Err(error) => {
                    tell(&error, leavers.len(), is_failing);
                    self.roll.put_off(leavers, RETRY_PAUSE);
                }
            }
            is_failing = has_failed;
        }
    }

    fn remove(&mut self, leavers: &[Leaver]) -> Result<(), RemovalError> {
        let interfaces = leavers.iter().map(|(_, record)| record.interface.as_str());
        let interfaces = interfaces.collect::<Vec<_>>();
        cable::cut(&mut self.socket, &interfaces)?;
        lock(&self.rules).sweep(&interfaces)?;
        let addresses = leavers
            .iter()
            .flat_map(|(_, record)| self.layout.addresses(record.slot).iter());
        let addresses = addresses.collect::<HashSet<IpAddr>>();
        Ok(lock(&self.flows).forget_all(&addresses)?)
    }
}

/// A failure is told once, and tried again and again.
fn tell(error: &RemovalError, sandboxes: usize, is_known: bool) {
    if !is_known {
        let error = error as &dyn Error;
        warn!(
            error,
            sandboxes, "could not remove what is left of sandboxes"
        );
    }
}
