//! The client protocol, translated from and to the domain.
//!
//! Requests are checked here for everything that does not depend on the state
//! of the system. What the protocol has and this server does not is refused by
//! name; nothing that a client sent is ignored.

mod discovery;
mod sandbox;
mod start;
mod time;

pub use discovery::{ProfileInfo, RunnerInfo, available_runner, profile_summary};
pub use sandbox::{
    UsageNow, phase_filter, sandbox_id, sandbox_not_found, sandbox_response, sandbox_summary,
    start_response,
};
pub use start::start_request;
pub use time::{from_timestamp, timestamp};
