//! What a runner's host and process 1 of a sandbox say to each other, and the
//! files that they share.
//!
//! # How process 1 is launched
//!
//! The host starts the static `palisade-init` as the only process of a new pid
//! namespace, with nothing in its arguments or environment, and these
//! descriptors open:
//!
//! | fd | what | opened by the host |
//! |---|---|---|
//! | 3 | a listening stream socket, bound where the sandbox cannot see it | `socket`, `bind`, `listen` |
//! | 4 | bytes of the log ([`log`]) | for writing, appending |
//! | 5 | index of the log ([`log`]) | for writing, appending |
//! | 6 | how it went ([`status`]) | for writing, appending |
//! | 7 | one [`config::Config`], read from here to its end | for reading: a memfd at offset 0, or a pipe |
//!
//! It needs `/proc` of its own pid namespace and a `/dev/null`, and for
//! terminals `/dev/ptmx`. If the main process or a command is to run as another
//! user than process 1 itself, it needs `CAP_SETUID`, `CAP_SETGID` and
//! `CAP_KILL`; to put mounted files anywhere, `CAP_DAC_OVERRIDE`. What it starts
//! keeps no capability beyond what the user that it runs as has by the kernel's
//! rules, and `CAP_SYS_PTRACE` must not be among them: it would open process 1
//! to the others.
//!
//! # How it is talked to
//!
//! Each connection to the socket carries one [`request::Request`], answered by
//! [`answer::Answer`]s, all of them [`frame`]s. A running sandbox keeps its
//! process 1 while the runner is upgraded: messages only ever gain fields and
//! kinds, both sides ignore what they do not know, and
//! [`request::PROTOCOL_VERSION`] tells what the other side is able to.
//!
//! Where something else is process 1 of a sandbox, as in a pod, the same program
//! runs beside it as an [`agent`], and is talked to in the same way over TCP.
//!
//! Everything here but `client` is pure. Neither side trusts the other: every
//! length is bounded before it is believed, and a decoded value is valid.

pub mod agent;
pub mod answer;
pub mod config;
pub mod frame;
pub mod fuzz;
pub mod log;
pub mod probe;
pub mod request;
pub mod status;
pub mod text;
mod wire;
