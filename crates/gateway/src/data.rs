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
    pub(crate) fn new(tools: &Tools, access: Access) -> Self {
        let tools = tools.clone();
        Self { tools, access }
    }

    /// The streaming service, with its limits.
    pub(crate) fn streaming(
        &self,
    ) -> pb::gateway_streaming_service_server::GatewayStreamingServiceServer<Self> {
        pb::gateway_streaming_service_server::GatewayStreamingServiceServer::new(self.clone())
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

#[async_trait::async_trait]
impl pb::gateway_streaming_service_server::GatewayStreamingService for DataPlane {
    type StreamExecStream = tokio_stream::Empty<Result<pb::ExecStreamResponse, tonic::Status>>;
    type StreamLogsStream = tokio_stream::Empty<Result<pb::LogStreamResponse, tonic::Status>>;

    async fn stream_exec(
        &self,
        request: tonic::Request<tonic::Streaming<pb::ExecStreamRequest>>,
    ) -> Result<tonic::Response<Self::StreamExecStream>, tonic::Status> {
        let context = crate::context::Context::of(&request)?;
        context.tell(Err(ApiError::not_implemented("commands")))
    }

    async fn stream_logs(
        &self,
        request: tonic::Request<tonic::Streaming<pb::LogStreamRequest>>,
    ) -> Result<tonic::Response<Self::StreamLogsStream>, tonic::Status> {
        let context = crate::context::Context::of(&request)?;
        context.tell(Err(ApiError::not_implemented("logs")))
    }
}
