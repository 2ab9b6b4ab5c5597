//! The protocol between runner and gateway, translated from and to the domain.
//!
//! Both ends are ours and neither trusts the other: what cannot be read whole
//! is refused whole.

mod attach;
mod denials;
mod facts;
mod launch;
mod observation;
mod rooms;
mod surroundings;

pub use attach::{
    archive_head, archive_head_message, attach_error, connect_port, exec_spec, failure, log_chunk,
    log_chunk_message, log_query, open_connect, open_exec, open_logs, terminal, terminal_message,
};
pub use denials::{denials, denials_message};
pub use facts::{capabilities, capabilities_message, capacity, capacity_message};
pub use launch::{launch, launch_message};
pub use observation::{observation, observation_message};
pub use rooms::{rooms, rooms_message};
pub use surroundings::{surroundings, surroundings_message};

/// The version of the protocol that this program speaks.
pub const PROTOCOL: u32 = 1;

/// A message of the other side that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the field {field} {problem}")]
pub struct BadMessage {
    /// The field, as the protocol names it.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl BadMessage {
    fn new(field: &'static str, problem: &'static str) -> Self {
        Self { field, problem }
    }
}
