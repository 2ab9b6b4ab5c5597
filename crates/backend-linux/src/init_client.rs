//! The host's side of process 1 of a sandbox on this machine.
//!
//! [`Client`] makes a connection for each request, as the protocol wants it, and
//! holds none in between: a sandbox that is not talked to costs nothing. What is
//! said on it, and what comes back, is that of `palisade-init-client`. [`Paths`]
//! and [`Handover`] prepare what process 1 is given; [`exec()`], [`logs()`],
//! [`write_file`], [`read_file`] and [`connect`] are what
//! [`palisade_backend::Attach`] asks for, on top of that.
//!
//! Invariant: dropping what a request returned closes its connection, and so
//! ends what process 1 does for it.

mod attach;
mod client;
mod launch;
mod logs;

pub use attach::{connect, exec, read_file, write_file};
pub use client::{Client, Command, CommandInput, CommandOutput, Watch};
pub use launch::{Handover, Paths};
pub use logs::{logs, logs_of_paused};
pub use palisade_init_client::{ClientError, CommandEvent, WatchEvent};
