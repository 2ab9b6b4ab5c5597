//! The client protocol, translated from and to the domain.
//!
//! Requests are checked here for everything that does not depend on the state
//! of the system. What the protocol has and this server does not is refused by
//! name; nothing that a client sent is ignored.

mod discovery;
mod exec;
mod file;
mod log;
mod number;
mod repeat;
mod sandbox;
mod secret_store;
mod snapshot;
mod start;
mod time;
mod wait;

pub use discovery::{ProfileInfo, RunnerInfo, available_runner, profile_summary};
pub use exec::{
    BadFrame, ExecCall, ExecRunning, ExecStart, OutputKind, Produced, exec_call, exec_error,
    exec_exit, exec_input, exec_output, exec_ready, exec_response, exec_start, init_missing,
};
pub use file::{
    BadPath, FILE_BYTES_MAX, FileRead, FileWrite, SandboxPath, announced_file_bytes, file_content,
    file_read, file_write, file_written,
};
pub use log::{
    LogPiece, LogReading, LogStart, is_log_close, log_complete, log_data, log_error, log_start,
};
pub use number::unknown_number;
pub use repeat::{KEY_ANNOTATION, KEY_BYTES_MAX, KEY_HEADER, take_key};
pub use sandbox::{
    UsageNow, as_summary, phase_filter, sandbox_id, sandbox_not_found, sandbox_response,
    sandbox_summary, start_response,
};
pub use secret_store::{
    SECRET_STORES_PAGE, new_secret_store, secret_store, secret_store_name, stores_page_size,
};
pub use snapshot::{snapshot_id, snapshot_message, snapshot_not_found};
pub use start::start_request;
pub use time::{call_limit, from_timestamp, timestamp};
pub use wait::{WAIT_ANNOTATION, WAIT_HEADER, WAIT_MAX, take_wait};
