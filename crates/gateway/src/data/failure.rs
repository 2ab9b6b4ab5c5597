//! What went wrong inside a sandbox, as the last frame or the status of a stream.
//!
//! Clients act on the codes: some mean that a fresh stream may succeed, all
//! others are final.

use palisade_backend::AttachError;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::v1beta2::{exec_error, log_error};

use super::answers::End;
use crate::access::Whereabouts;
use crate::context::Context;

/// The code of a frame that has no place where it came.
pub(super) const INVALID_REQUEST: &str = "INVALID_REQUEST";
/// The code of a resumed session that is not known here, or no longer.
pub(super) const SESSION_NOT_FOUND: &str = "SESSION_NOT_FOUND";
/// The code of a resumed session that never came as far as the client says.
pub(super) const INVALID_RESUME_OFFSET: &str = "INVALID_RESUME_OFFSET";
/// The code of a session of which the client may have missed more than is kept.
pub(super) const REPLAY_GAP: &str = "REPLAY_GAP";
/// The code of a session that another stream took over.
pub(super) const SESSION_TAKEN_OVER: &str = "SESSION_TAKEN_OVER";
/// The code of a command that ended, and whose output is not whole.
pub(super) const STREAM_TRUNCATED: &str = "STREAM_TRUNCATED";
const SANDBOX_NOT_FOUND: &str = "SANDBOX_NOT_FOUND";
const SANDBOX_NOT_RUNNING: &str = "SANDBOX_NOT_RUNNING";
const RUNNER_UNAVAILABLE: &str = "RUNNER_UNAVAILABLE";
const RUNNER_DRAINING: &str = "RUNNER_DRAINING";
/// The code of output that the client does not take.
pub(super) const STREAM_BACKPRESSURE: &str = "STREAM_BACKPRESSURE";
const OVERLOADED: &str = "OVERLOADED";
const EXEC_FAILED: &str = "EXEC_FAILED";

/// The end of a command that could not be started.
///
/// A sandbox that cannot be talked to at all is a status; a command that it
/// did not take is a frame.
pub(super) fn not_started(
    error: AttachError,
    at: &Whereabouts,
    context: &Context,
) -> End<pb::ExecStreamResponse> {
    match error {
        AttachError::ExecFailed { .. } => Ok(lost_command(&error)),
        AttachError::NotFound
        | AttachError::NotRunning
        | AttachError::Busy { .. }
        | AttachError::File { .. }
        | AttachError::LogGap { .. }
        | AttachError::LogOffset { .. }
        | AttachError::PortClosed { .. }
        | AttachError::TunnelFailed { .. }
        | AttachError::FileSystem { .. }
        | AttachError::Draining
        | AttachError::Lost => Err(context.status(&at.refusal(error, "exec").into())),
    }
}

/// The last frame of a command that could not be followed to its end.
pub(super) fn lost_command(error: &AttachError) -> pb::ExecStreamResponse {
    exec_error(code(error), error.to_string())
}

/// The end of a log that could not be read to its end.
///
/// A lost connection is a status, since the session can be resumed. A runner that
/// ends says so in a frame: no session is resumed across that.
pub(super) fn lost_log(
    error: AttachError,
    at: &Whereabouts,
    context: &Context,
) -> End<pb::LogStreamResponse> {
    match error {
        AttachError::LogGap { .. } | AttachError::LogOffset { .. } | AttachError::Draining => {
            Ok(log_error(code(&error), error.to_string()))
        }
        AttachError::NotFound
        | AttachError::NotRunning
        | AttachError::Busy { .. }
        | AttachError::ExecFailed { .. }
        | AttachError::File { .. }
        | AttachError::PortClosed { .. }
        | AttachError::TunnelFailed { .. }
        | AttachError::FileSystem { .. }
        | AttachError::Lost => Err(context.status(&at.refusal(error, "read").into())),
    }
}

fn code(error: &AttachError) -> &'static str {
    match error {
        AttachError::NotFound => SANDBOX_NOT_FOUND,
        AttachError::NotRunning => SANDBOX_NOT_RUNNING,
        AttachError::Busy { .. } => OVERLOADED,
        AttachError::ExecFailed { .. }
        | AttachError::File { .. }
        | AttachError::PortClosed { .. }
        | AttachError::TunnelFailed { .. }
        | AttachError::FileSystem { .. } => EXEC_FAILED,
        // A log that ends before what was delivered is another log.
        AttachError::LogGap { .. } | AttachError::LogOffset { .. } => REPLAY_GAP,
        AttachError::Draining => RUNNER_DRAINING,
        AttachError::Lost => RUNNER_UNAVAILABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_on_the_page_about_streams() {
        let page = include_str!("../../../../docs/streams.md");
        for code in [
            INVALID_REQUEST,
            SESSION_NOT_FOUND,
            INVALID_RESUME_OFFSET,
            REPLAY_GAP,
            SESSION_TAKEN_OVER,
            STREAM_TRUNCATED,
            SANDBOX_NOT_FOUND,
            SANDBOX_NOT_RUNNING,
            RUNNER_UNAVAILABLE,
            RUNNER_DRAINING,
            STREAM_BACKPRESSURE,
            OVERLOADED,
            EXEC_FAILED,
        ] {
            assert!(page.contains(&format!("| `{code}` |")), "{code}");
        }
    }
}
