//! Where the time of one start goes, for whoever turns the log up to debug.
//!
//! Measures; decides nothing. Each lap ends where the next begins, so that they
//! add up to the whole.

use std::time::Duration;

use palisade_model::id::SandboxId;
use tokio::time::Instant;
use tracing::debug;

/// The laps of one start so far.
#[derive(Debug)]
pub(crate) struct Laps {
    since: Instant,
    done: [Duration; Lap::COUNT],
}

/// A part of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lap {
    /// User ids and a place on the disk.
    Disk,
    /// Namespaces, and a network with its policy in force.
    Network,
    /// The root, with what is written to it.
    Root,
    /// What the runtime and process 1 are told.
    Bundle,
    /// The OCI runtime.
    Runtime,
}

impl Lap {
    const COUNT: usize = 5;
}

impl Laps {
    /// Begins the first.
    pub(crate) fn begin() -> Self {
        Self {
            since: Instant::now(),
            done: [Duration::ZERO; Lap::COUNT],
        }
    }

    /// Ends one and begins the next.
    pub(crate) fn end(&mut self, lap: Lap) {
        let now = Instant::now();
        self.done[lap as usize] += now - self.since;
        self.since = now;
    }

    /// Tells how long each took.
    pub(crate) fn tell(&self, id: SandboxId) {
        let micros = |lap: Lap| u64::try_from(self.done[lap as usize].as_micros()).ok();
        debug!(
            sandbox.id = %id,
            disk_us = micros(Lap::Disk),
            network_us = micros(Lap::Network),
            root_us = micros(Lap::Root),
            bundle_us = micros(Lap::Bundle),
            runtime_us = micros(Lap::Runtime),
            "parts of a start"
        );
    }
}
