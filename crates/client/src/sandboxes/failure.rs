//! Statuses of gRPC, as failures of calls.

use std::error::Error;

use palisade_wire::grpc_status;
use tonic::Status;

use crate::error::{CallError, Refused};

/// What a status says of the call.
///
/// A refusal of this service has details; what has none was said by something
/// on the way, or by nobody.
pub(super) fn call_error(server: &str, status: Status) -> CallError {
    let server = server.to_owned();
    let read = grpc_status::read(&status);
    if read.reason().is_some() {
        return CallError::Refused(Box::new(Refused::over_grpc(read)));
    }
    match status.code() {
        tonic::Code::DeadlineExceeded | tonic::Code::Cancelled => CallError::TimedOut { server },
        tonic::Code::Unavailable if was_not_sent(&status) => CallError::Unreachable {
            server,
            source: status.into(),
        },
        tonic::Code::Unavailable | tonic::Code::Unknown | tonic::Code::Internal => {
            CallError::Lost {
                server,
                what: last_words(&status),
            }
        }
        code @ (tonic::Code::Ok
        | tonic::Code::InvalidArgument
        | tonic::Code::NotFound
        | tonic::Code::AlreadyExists
        | tonic::Code::PermissionDenied
        | tonic::Code::ResourceExhausted
        | tonic::Code::FailedPrecondition
        | tonic::Code::Aborted
        | tonic::Code::OutOfRange
        | tonic::Code::Unimplemented
        | tonic::Code::DataLoss
        | tonic::Code::Unauthenticated) => CallError::NotUnderstood {
            server,
            what: format!("it answers {code:?}: {}", status.message()),
        },
    }
}

/// A stream ended without its last frame.
pub(super) fn cut(server: &str) -> CallError {
    CallError::Lost {
        server: server.to_owned(),
        what: "the stream was cut".to_owned(),
    }
}

/// Whether no connection came about.
fn was_not_sent(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

fn last_words(status: &Status) -> String {
    let mut innermost: Option<&dyn Error> = status.source();
    while let Some(source) = innermost.and_then(Error::source) {
        innermost = Some(source);
    }
    match innermost {
        Some(error) => error.to_string(),
        None => status.message().to_owned(),
    }
}
