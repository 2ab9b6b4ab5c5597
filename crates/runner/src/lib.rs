//! Runs sandboxes over a backend, as a gateway wishes.
//!
//! The runner dials the gateway; nobody connects to it. One driver task per
//! sandbox compares what is wished with what the backend shows and acts on the
//! difference, by the same path after an event, a restart or a lost connection.
//! It keeps nothing durable of its own: the backend and the gateway do.

mod attach;
mod connection;
mod denials;
mod driver;
mod ending;
mod outbox;
mod plan;
mod registry;
mod runner;
mod snapshots;
mod transport;
mod usage;

pub use denials::{Refusals, Refused};
pub use runner::{Runner, RunnerConfig};
pub use snapshots::GatewaySnapshots;
pub use transport::{Dial, Transport};
