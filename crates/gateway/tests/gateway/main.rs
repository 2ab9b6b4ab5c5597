//! The gateway as clients and runners meet it: over a socket, with a real
//! store and real runners, over a backend without processes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "parts of tests fail by panicking"
)]

mod attaching;
mod berths;
mod bulky;
mod capacity;
mod denying;
mod discovering;
mod joining;
mod load;
mod neighbours;
mod numbers;
mod pausing;
mod quotas;
mod refusing;
mod repeating;
mod replacing;
mod rest;
mod rest_client;
mod restarting;
mod revoking;
mod rig;
mod scene;
mod secrets;
mod slow;
mod snapshot_quotas;
mod starting;
mod stopping;
mod upkeep;
mod waiting;
