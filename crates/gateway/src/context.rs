//! Who calls, and under which id the log knows the call.
//!
//! A context is put into each request once its token was checked; holding one
//! is the proof. Refusals become statuses here and nowhere else, so that each
//! is logged once and every one carries the id.

use palisade_model::reason::Code;
use palisade_model::tenant::Principal;
use palisade_wire::grpc_status;
use tonic::{Request, Response, Status};
use tracing::{error, warn};

use crate::error::{ApiError, ApiResult};

/// The caller of one call whose token was checked.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Who calls.
    pub(crate) caller: Principal,
    /// What the log knows the call by.
    pub(crate) request_id: String,
}

impl Context {
    /// The context that the guard put into the request.
    pub(crate) fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let found = request.extensions().get::<Self>().cloned();
        // The guard stands before every service that asks for this.
        found.ok_or_else(|| Status::internal("the call passed no guard"))
    }

    /// The answer to the call.
    pub(crate) fn tell<T>(&self, outcome: ApiResult<T>) -> Result<Response<T>, Status> {
        outcome
            .map(Response::new)
            .map_err(|error| self.status(&error))
    }

    /// The status of a failure, once it is logged.
    pub(crate) fn status(&self, failure: &ApiError) -> Status {
        status(failure, &self.request_id)
    }
}

/// The status of a failed call, once it is logged.
pub(crate) fn status(failure: &ApiError, request_id: &str) -> Status {
    let (cause, reason) = (failure.chain(), failure.refusal.reason);
    match (failure.refusal.code, cause) {
        (Code::Internal, cause) => error!(cause, %reason, request.id = request_id, "call failed"),
        (_, Some(cause)) => warn!(cause, %reason, request.id = request_id, "call failed"),
        (_, None) => {}
    }
    grpc_status::status(&failure.refusal, request_id)
}
