//! The envelope in which a client sends an action by its type.
//!
//! It does what the call of that name does, and nothing else: what an envelope
//! holds is handed on to the same place. The id in the envelope counts; a payload
//! that names another sandbox is refused.

use std::time::Duration;

use palisade_model::refusal::Refusal;
use palisade_model::tenant::Principal;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::raw_sandbox_request::ActionPayload;
use palisade_wire::proto::v1beta2::raw_sandbox_response::ActionResponse;
use palisade_wire::v1beta2::unknown_number;

use super::absent::not_implemented;
use super::sandbox::SandboxService;
use crate::error::{ApiError, ApiResult};

/// The actions that have an envelope here.
const ACTIONS: [pb::ActionType; 3] = [
    pb::ActionType::Exec,
    pb::ActionType::AddFile,
    pb::ActionType::RetrieveFile,
];

impl SandboxService {
    pub(super) async fn raw_action(
        &self,
        caller: &Principal,
        request: pb::RawSandboxRequest,
        deadline: Option<Duration>,
    ) -> ApiResult<pb::RawSandboxResponse> {
        let pb::RawSandboxRequest {
            sandbox_id,
            action_type,
            max_timeout_seconds,
            action_payload,
        } = request;
        let action = pb::ActionType::try_from(action_type).map_err(|_| {
            let what = unknown_number(action_type, &ACTIONS, pb::ActionType::as_str_name);
            wrong("action_type", what)
        })?;
        // What the payload says itself counts more.
        let inner = |seconds| {
            if seconds == 0 {
                max_timeout_seconds
            } else {
                seconds
            }
        };
        let response = match (action, action_payload) {
            (pb::ActionType::Exec, Some(ActionPayload::ExecPayload(payload))) => {
                let pb::ExecPayload { command, args } = payload;
                let request = pb::ExecSandboxRequest {
                    sandbox_id,
                    command: vec![command],
                    args,
                    max_timeout_seconds,
                    ..Default::default()
                };
                let done = self.data.exec(caller, request, deadline).await?;
                ActionResponse::ExecResponse(done)
            }
            (pb::ActionType::AddFile, Some(ActionPayload::AddFilePayload(payload))) => {
                let request = pb::AddFileSandboxRequest {
                    sandbox_id: same(sandbox_id, &payload.sandbox_id)?,
                    max_timeout_seconds: inner(payload.max_timeout_seconds),
                    ..payload
                };
                let done = self.data.add_file(caller, request).await?;
                ActionResponse::AddFileResponse(done)
            }
            (pb::ActionType::RetrieveFile, Some(ActionPayload::RetrieveFilePayload(payload))) => {
                let request = pb::RetrieveFileSandboxRequest {
                    sandbox_id: same(sandbox_id, &payload.sandbox_id)?,
                    max_timeout_seconds: inner(payload.max_timeout_seconds),
                    ..payload
                };
                let done = self.data.retrieve_file(caller, request).await?;
                ActionResponse::RetrieveFileResponse(done)
            }
            (action, payload) => return Err(unfit(action, payload.is_some())),
        };
        Ok(pb::RawSandboxResponse {
            action_type,
            action_response: Some(response),
        })
    }
}

/// The refusal of an action that does not go with its payload, or has no
/// envelope here.
fn unfit(action: pb::ActionType, has_payload: bool) -> ApiError {
    match action {
        pb::ActionType::Exec | pb::ActionType::AddFile | pb::ActionType::RetrieveFile => {
            let found = if has_payload {
                "is another"
            } else {
                "is missing"
            };
            let description = format!("{found}; {} needs its own", action.as_str_name());
            wrong("action_payload", description)
        }
        pb::ActionType::Unspecified => wrong("action_type", "is needed".to_owned()),
        pb::ActionType::GetLogs
        | pb::ActionType::Snapshot
        | pb::ActionType::Restore
        | pb::ActionType::Status
        | pb::ActionType::Stop => {
            let feature = format!(
                "raw action {}; use the call of its own",
                action.as_str_name()
            );
            not_implemented("raw", &feature)
        }
    }
}

/// The sandbox of the envelope, which its payload may leave out or repeat.
fn same(envelope: String, payload: &str) -> ApiResult<String> {
    if payload.is_empty() || payload == envelope {
        return Ok(envelope);
    }
    let description = "is another sandbox than that of the envelope".to_owned();
    Err(wrong("action_payload.sandbox_id", description))
}

fn wrong(field: &str, description: String) -> ApiError {
    let path = field
        .split('.')
        .fold(FieldPath::root(), |path, key| path.key(key));
    let violation = Violation::new(path, ViolationKind::Invalid, description);
    Refusal::invalid(vec![violation]).into()
}
