//! The host's side of talking to process 1 of a sandbox.
//!
//! [`Client`] makes a connection for each request, as the protocol wants it, and
//! holds none in between: a sandbox that is not talked to costs nothing. What
//! comes back is parsed as if it came from a stranger, and every wait has a
//! limit. [`Paths`] and [`Handover`] prepare what process 1 is given; [`exec()`],
//! [`logs()`], [`write_file`], [`read_file`] and [`connect`] are what
//! [`palisade_backend::Attach`] asks for, on top of that.
//!
//! Invariant: dropping what a request returned closes its connection, and so
//! ends what process 1 does for it.

mod attach;
mod client;
mod connection;
mod exec;
mod launch;
mod logs;
mod tunnel;

pub use attach::{exec, read_file, write_file};
pub use client::{Client, ClientError, Watch, WatchEvent};
pub use exec::{Command, CommandEvent, CommandInput, CommandOutput};
pub use launch::{Handover, Paths};
pub use logs::logs;
pub use tunnel::connect;
