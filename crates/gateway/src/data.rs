//! Commands, logs and files of clients.
//!
//! Everything is passed on as it comes, bounded in both directions. What is
//! said here about a sandbox is what its runner says; nothing is kept beyond
//! the streams that are open.

use palisade_model::tenant::Principal;
use palisade_wire::proto::v1beta2 as pb;

use crate::access::Access;
use crate::error::{ApiError, ApiResult};
use crate::tools::Tools;

/// Serves commands, logs and files. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct DataPlane {
    tools: Tools,
    access: Access,
}

impl DataPlane {
    pub(crate) fn new(tools: Tools, access: Access) -> Self {
        Self { tools, access }
    }

    /// Runs a command to its end.
    pub(crate) async fn exec(
        &self,
        caller: &Principal,
        request: pb::ExecSandboxRequest,
    ) -> ApiResult<pb::ExecSandboxResponse> {
        self.access.running(caller, &request.sandbox_id).await?;
        Err(ApiError::not_implemented("commands"))
    }

    /// Writes a file.
    pub(crate) async fn add_file(
        &self,
        caller: &Principal,
        request: pb::AddFileSandboxRequest,
    ) -> ApiResult<pb::AddFileSandboxResponse> {
        self.access.running(caller, &request.sandbox_id).await?;
        Err(ApiError::not_implemented("files"))
    }

    /// Reads a file.
    pub(crate) async fn retrieve_file(
        &self,
        caller: &Principal,
        request: pb::RetrieveFileSandboxRequest,
    ) -> ApiResult<pb::RetrieveFileSandboxResponse> {
        self.access.running(caller, &request.sandbox_id).await?;
        Err(ApiError::not_implemented("files"))
    }
}
