//! The host's side of talking to `palisade-init`, over whatever leads to it.
//!
//! A [`Connection`] is for one request, as the protocol wants it. What comes back is
//! parsed as if it came from a stranger, and every wait has a limit. [`exec()`],
//! [`write_file`], [`read_file`] and [`connect`] are what
//! [`palisade_backend::Attach`] asks for, on top of that.
//!
//! How to get a connection is not known here: to process 1 it is a Unix socket, to an
//! agent one over the network, which is sealed first ([`shake_hands`]).
//!
//! Invariant: dropping what a request returned closes its connection, and so
//! ends what the other end does for it.

mod attach;
mod command;
mod connection;
mod error;
mod requests;
mod sealed;
mod tunnel;

pub use attach::{attach_error, exec, read_file, write_file};
pub use command::{Command, CommandEvent, CommandInput, CommandOutput};
pub use connection::{ANSWER_LIMIT, Connection, Peer};
pub use error::ClientError;
pub use requests::{Watch, WatchEvent};
pub use sealed::{SealedReader, SealedWriter, shake_hands};
pub use tunnel::connect;
