//! Process 1 as it is: the real program, first in a pid namespace of its own,
//! driven by the real client of the host.
//!
//! The tests need root, as the namespaces do. Each has a sandbox of its own that
//! dies with it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "these are tests: they fail by panicking"
)]

mod commands;
mod files;
mod logs;
mod main_process;
mod probes;
mod terminals;
mod trust;
mod tunnels;
mod world;
