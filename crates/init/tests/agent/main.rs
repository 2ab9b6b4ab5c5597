//! An agent as it is: the real program, a plain process beside others, driven over
//! the loopback by the real client of the host.
//!
//! Two of the tests need root, to run it as somebody else. Each has an agent of its
//! own that goes with it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "these are tests: they fail by panicking"
)]

mod ends;
mod strangers;
mod work;
mod world;
