//! The sandbox service: each call handed to the part that does it.
//!
//! Nothing is decided here. What this server does not have is refused by name,
//! for a caller whose token is valid, so that nobody takes it for a success.

use std::time::Duration;

use async_trait::async_trait;
use palisade_model::sandbox::Sandbox;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::gateway_service_server::GatewayService;
use palisade_wire::v1beta2::{
    KEY_HEADER, WAIT_HEADER, sandbox_response, start_request, start_response, take_key, take_wait,
};
use tokio::time;
use tonic::{Request, Response, Status};

use super::absent::not_implemented;
use super::addressed::Patience;
use super::budget::within;
use super::pause::Pausing;
use super::start::Admission;
use crate::access::Access;
use crate::bulk::Berth;
use crate::context::Context;
use crate::data::DataPlane;
use crate::error::ApiError;
use crate::guard::{self, AfterReply};
use crate::hub::Hub;
use crate::picture::Picture;
use crate::snapshots::Snapshots;
use crate::tools::Tools;

/// What is left of a client's time for the answer to a start that waited.
pub(super) const MARGIN: Duration = Duration::from_secs(1);

/// Serves sandboxes. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct SandboxService {
    pub(super) tools: Tools,
    pub(super) picture: Picture,
    pub(super) hub: Hub,
    pub(super) access: Access,
    admission: Admission,
    pub(super) data: DataPlane,
    pub(super) snapshots: Snapshots,
}

type Answer<T> = Result<Response<T>, Status>;

impl SandboxService {
    pub(crate) fn new(admission: Admission, access: Access, data: DataPlane) -> Self {
        Self {
            tools: admission.tools.clone(),
            picture: admission.picture.clone(),
            hub: admission.hub.clone(),
            access,
            snapshots: admission.snapshots.clone(),
            admission,
            data,
        }
    }

    /// The record, with what is known at this moment and not worth recording.
    pub(super) fn as_seen_now(&self, mut sandbox: Sandbox) -> Sandbox {
        if sandbox.status.state.is_terminal() {
            return sandbox;
        }
        let placed = &sandbox.placement;
        let away = self.hub.away_for(placed.runner_uid, self.tools.now());
        if let Some(away) = away {
            sandbox.status.reason = format!(
                "runner {} has not been connected for {} s; the sandbox is taken up again when it is",
                placed.runner_id,
                away.as_secs()
            );
        }
        sandbox
    }
}

/// Refuses a call for a feature that there is none of.
fn absent<I, O>(request: &Request<I>, error: ApiError) -> Answer<O> {
    Context::of(request)?.tell(Err(error))
}

fn no_object_storage<I, O>(request: &Request<I>) -> Answer<O> {
    let error = not_implemented("object_storage_wif", "identities for object storage");
    absent(request, error)
}

#[async_trait]
impl GatewayService for SandboxService {
    async fn start(
        &self,
        request: Request<pb::StartSandboxRequest>,
    ) -> Answer<pb::StartSandboxResponse> {
        let context = Context::of(&request)?;
        let berth = Berth::of(&request);
        let outcome = async {
            let deadline = guard::deadline(request.metadata().as_ref());
            let header = request.metadata().get(WAIT_HEADER);
            let header = header.map(|text| text.as_bytes().to_vec());
            let key = request.metadata().get(KEY_HEADER);
            let key = key.map(|text| text.as_bytes().to_vec());
            let mut message = request.into_inner();
            let patience = Patience::of(deadline, message.max_timeout_seconds);
            let wait = take_wait(header.as_deref(), &mut message)?;
            let key = take_key(key.as_deref(), &mut message)?;
            // So that a client that waits less is told why, and not that time is up.
            let wait = wait.map(|wait| patience.with_margin(wait));
            let mut asked = start_request(message)?;
            asked.key = key;
            // What waits in line is bounded there, and would hold up others meanwhile.
            let _berth = berth.filter(|_| wait.is_none());
            let limit = self.tools.config.call_time + wait.unwrap_or_default();
            let limit = patience.at_most(limit);
            let admitted = self.admission.admit(&context.caller, asked, wait);
            let admitted = time::timeout(limit, admitted).await;
            let sandbox = admitted.unwrap_or_else(|_| Err(guard::too_slow()))?;
            let sandbox = self.addressed(&context.caller, sandbox, patience).await;
            Ok(start_response(&sandbox))
        };
        context.tell(outcome.await)
    }

    async fn stop(
        &self,
        request: Request<pb::StopSandboxRequest>,
    ) -> Answer<pb::StopSandboxResponse> {
        let context = Context::of(&request)?;
        let stopped = self.wish_stop(&context.caller, request.into_inner()).await;
        let (answer, held) = stopped.map_err(|error| context.status(&error))?;
        let mut response = Response::new(answer);
        response.extensions_mut().insert(AfterReply::new(held));
        Ok(response)
    }

    async fn get(&self, request: Request<pb::GetSandboxRequest>) -> Answer<pb::GetSandboxResponse> {
        let context = Context::of(&request)?;
        let pb::GetSandboxRequest {
            sandbox_id,
            max_timeout_seconds,
        } = request.into_inner();
        let found = async {
            let found = self.access.sandbox(&context.caller, &sandbox_id).await?;
            let sandbox = self.as_seen_now(found);
            let usage = self.hub.usage(sandbox.placement.runner_uid, sandbox.id);
            Ok(sandbox_response(&sandbox, usage))
        };
        context.tell(within(max_timeout_seconds, found).await)
    }

    async fn list(
        &self,
        request: Request<pb::ListSandboxesRequest>,
    ) -> Answer<pb::ListSandboxesResponse> {
        let context = Context::of(&request)?;
        let request = request.into_inner();
        let seconds = request.max_timeout_seconds;
        let listed = self.list_sandboxes(&context.caller, request);
        context.tell(within(seconds, listed).await)
    }

    async fn delete(
        &self,
        request: Request<pb::DeleteSandboxRequest>,
    ) -> Answer<pb::DeleteSandboxResponse> {
        let context = Context::of(&request)?;
        let request = request.into_inner();
        let seconds = request.max_timeout_seconds;
        let ended = self.end_at_once(&context.caller, request);
        context.tell(within(seconds, ended).await)
    }

    async fn exec(
        &self,
        request: Request<pb::ExecSandboxRequest>,
    ) -> Answer<pb::ExecSandboxResponse> {
        let context = Context::of(&request)?;
        let deadline = guard::deadline(request.metadata().as_ref());
        let request = request.into_inner();
        let done = self.data.exec(&context.caller, request, deadline);
        context.tell(done.await)
    }

    async fn add_file(
        &self,
        request: Request<pb::AddFileSandboxRequest>,
    ) -> Answer<pb::AddFileSandboxResponse> {
        let context = Context::of(&request)?;
        let done = self.data.add_file(&context.caller, request.into_inner());
        context.tell(done.await)
    }

    async fn retrieve_file(
        &self,
        request: Request<pb::RetrieveFileSandboxRequest>,
    ) -> Answer<pb::RetrieveFileSandboxResponse> {
        let context = Context::of(&request)?;
        let done = self
            .data
            .retrieve_file(&context.caller, request.into_inner());
        context.tell(done.await)
    }

    async fn pause(
        &self,
        request: Request<pb::PauseSandboxRequest>,
    ) -> Answer<pb::PauseSandboxResponse> {
        let context = Context::of(&request)?;
        let pb::PauseSandboxRequest {
            sandbox_id,
            max_timeout_seconds,
        } = request.into_inner();
        let caller = &context.caller;
        let wish = self.wish_pausing(caller, &sandbox_id, max_timeout_seconds, Pausing::Pause);
        let paused = wish.await.map(|()| pb::PauseSandboxResponse {
            success: true,
            error_message: String::new(),
        });
        context.tell(paused)
    }

    async fn resume(
        &self,
        request: Request<pb::ResumeSandboxRequest>,
    ) -> Answer<pb::ResumeSandboxResponse> {
        let context = Context::of(&request)?;
        let pb::ResumeSandboxRequest {
            sandbox_id,
            max_timeout_seconds,
        } = request.into_inner();
        let caller = &context.caller;
        let wish = self.wish_pausing(caller, &sandbox_id, max_timeout_seconds, Pausing::Resume);
        let resumed = wish.await.map(|()| pb::ResumeSandboxResponse {
            success: true,
            error_message: String::new(),
        });
        context.tell(resumed)
    }

    async fn raw(&self, request: Request<pb::RawSandboxRequest>) -> Answer<pb::RawSandboxResponse> {
        let context = Context::of(&request)?;
        let deadline = guard::deadline(request.metadata().as_ref());
        let berth = Berth::of(&request);
        let request = request.into_inner();
        // A command lasts as long as it does, and needs what was sent only to begin.
        let is_command = request.action_type == i32::from(pb::ActionType::Exec);
        let _berth = berth.filter(|_| !is_command);
        let done = self.raw_action(&context.caller, request, deadline);
        context.tell(done.await)
    }

    async fn create_file_system_snapshot(
        &self,
        request: Request<pb::CreateFileSystemSnapshotRequest>,
    ) -> Answer<pb::CreateFileSystemSnapshotResponse> {
        let context = Context::of(&request)?;
        let done = self.snapshots.create(&context.caller, request.into_inner());
        context.tell(done.await)
    }

    async fn get_file_system_snapshot(
        &self,
        request: Request<pb::GetFileSystemSnapshotRequest>,
    ) -> Answer<pb::FileSystemSnapshot> {
        let context = Context::of(&request)?;
        let request = request.into_inner();
        let seconds = request.max_timeout_seconds;
        let found = self.snapshots.get(&context.caller, request);
        context.tell(within(seconds, found).await)
    }

    async fn list_file_system_snapshots(
        &self,
        request: Request<pb::ListFileSystemSnapshotsRequest>,
    ) -> Answer<pb::ListFileSystemSnapshotsResponse> {
        let context = Context::of(&request)?;
        let request = request.into_inner();
        let seconds = request.max_timeout_seconds;
        let listed = self.snapshots.list(&context.caller, request);
        context.tell(within(seconds, listed).await)
    }

    async fn delete_file_system_snapshot(
        &self,
        request: Request<pb::DeleteFileSystemSnapshotRequest>,
    ) -> Answer<pb::DeleteFileSystemSnapshotResponse> {
        let context = Context::of(&request)?;
        let request = request.into_inner();
        let seconds = request.max_timeout_seconds;
        let deleted = self.snapshots.delete(&context.caller, request);
        context.tell(within(seconds, deleted).await)
    }

    async fn get_file_system_snapshot_bucket_config(
        &self,
        request: Request<pb::GetFileSystemSnapshotBucketConfigRequest>,
    ) -> Answer<pb::FileSystemSnapshotBucketConfig> {
        let context = Context::of(&request)?;
        let pb::GetFileSystemSnapshotBucketConfigRequest {} = request.into_inner();
        context.tell(self.snapshots.get_bucket(&context.caller).await)
    }

    async fn set_file_system_snapshot_bucket_config(
        &self,
        request: Request<pb::SetFileSystemSnapshotBucketConfigRequest>,
    ) -> Answer<pb::FileSystemSnapshotBucketConfig> {
        let context = Context::of(&request)?;
        let set = self
            .snapshots
            .set_bucket(&context.caller, request.into_inner());
        context.tell(set.await)
    }

    async fn get_object_storage_wif_config(
        &self,
        request: Request<pb::GetObjectStorageWifConfigRequest>,
    ) -> Answer<pb::ObjectStorageWifConfig> {
        no_object_storage(&request)
    }

    async fn set_object_storage_wif_config(
        &self,
        request: Request<pb::SetObjectStorageWifConfigRequest>,
    ) -> Answer<pb::ObjectStorageWifConfig> {
        no_object_storage(&request)
    }

    async fn delete_object_storage_wif_config(
        &self,
        request: Request<pb::DeleteObjectStorageWifConfigRequest>,
    ) -> Answer<pb::DeleteObjectStorageWifConfigResponse> {
        no_object_storage(&request)
    }
}
