//! The resolver of the runner: the only one that its sandboxes can reach.
//!
//! It listens inside the router, where no other packets than those of sandboxes
//! come, and asks the upstream servers from the host's side. Who asks follows
//! from the source address, which the router vouches for; [`Directory`] says
//! what that sandbox may ask.
//!
//! What it does for a sandbox follows from the same egress rules as the packet
//! filter, in one sentence: **an answer never holds an address that the asker
//! may not connect to.** So with `internet` a name cannot be made to lead to
//! private, shared, link-local, metadata, host or sandbox addresses, however
//! they are written (DNS rebinding), and with `allowlist` only addresses inside
//! the list are told. With `org`, `user` and `profile` nothing is asked of others:
//! the only names are those of sandboxes, `<sandbox-id>.<level>.sandbox.internal` and the host
//! names of the HTTP entry point, and each exists exactly for those who may open a connection there. Modes that
//! resolve nothing are refused, should a packet of theirs get here at all. Reverse names of addresses that are closed do not
//! exist, since the names of a private network are nobody's business either. What was
//! withheld is told by the extended error `Filtered` (RFC 8914).
//!
//! What it does not do: no cache (the upstream servers have one), no recursion
//! of its own, no validation (signatures pass, and what was withheld makes them
//! fail as it should), no zone transfers, no `ANY`.
//!
//! Everything is bounded: questions in flight for one sandbox and for all, their
//! rate, their size, connections, and every wait. At a bound a datagram is
//! dropped, as a busy network would, and a connection is closed; [`Tally`]
//! counts what was refused and why.

mod allowance;
mod answer;
mod config;
mod directory;
mod question;
mod resolver;
mod sandbox_name;
mod service;
mod stream;
mod tally;
#[cfg(test)]
mod tests;
mod upstream;

pub use config::{Config, ConfigError, Upstreams};
pub use directory::Directory;
pub use resolver::{OpenError, Resolver, RunError};
pub use tally::{Cause, Counts, Tally};
