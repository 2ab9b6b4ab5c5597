//! Calls that are answered once.

use std::time::Duration;

use bytes::Bytes;
use palisade_wire::proto::v1beta2 as pb;
use tokio::time;
use tonic::{Response, Status};

use super::Sandboxes;
use super::failure::call_error;
use crate::call::{ATTEMPTS, CALL_TIME, WAIT_MAX};
use crate::error::CallError;

/// How many items one page has.
pub(super) const PAGE_SIZE: i32 = 500;
/// How long a call may take that carries a file.
const FILE_TIME: Duration = Duration::from_mins(5);

/// Which sandboxes a list is to hold; all of what is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxFilter {
    /// Those with all of these tags.
    pub tags: Vec<String>,
    /// Those under one of these profiles, by id or display name.
    pub profiles: Vec<String>,
    /// Those on one of these runners.
    pub runners: Vec<String>,
    /// Those that are over, too.
    pub includes_over: bool,
}

impl Sandboxes {
    /// Asks for a sandbox; tried once, as a failed start may have happened.
    pub async fn start(
        &self,
        request: pb::StartSandboxRequest,
    ) -> Result<pb::StartSandboxResponse, CallError> {
        let mut gateway = self.gateway();
        self.once(CALL_TIME, gateway.start(request)).await
    }

    /// Returns one sandbox.
    pub async fn get(&self, id: &str) -> Result<pb::GetSandboxResponse, CallError> {
        self.read(async || {
            let request = pb::GetSandboxRequest {
                sandbox_id: id.to_owned(),
                max_timeout_seconds: 0,
            };
            self.gateway().get(request).await
        })
        .await
    }

    /// Returns all sandboxes that pass a filter, the oldest first.
    pub async fn list(&self, filter: &SandboxFilter) -> Result<Vec<pb::SandboxInfo>, CallError> {
        let SandboxFilter {
            tags,
            profiles,
            runners,
            includes_over,
        } = filter;
        let mut found = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListSandboxesRequest {
                tags: tags.clone(),
                profile_ids: profiles.clone(),
                runner_ids: runners.clone(),
                include_stopped: *includes_over,
                page_size: PAGE_SIZE,
                page_token,
                ..Default::default()
            };
            let page = self
                .read(async || self.gateway().list(request.clone()).await)
                .await?;
            found.extend(page.sandboxes);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(found);
            }
        }
    }

    /// Asks a sandbox to end, and has it killed after the grace. Returns once
    /// that is recorded.
    pub async fn stop(&self, id: &str, grace: Duration) -> Result<(), CallError> {
        let request = pb::StopSandboxRequest {
            sandbox_id: id.to_owned(),
            graceful_shutdown_seconds: i32::try_from(grace.as_secs()).unwrap_or(i32::MAX),
            ..Default::default()
        };
        let mut gateway = self.gateway();
        let answer = self.once(CALL_TIME, gateway.stop(request)).await?;
        self.success(answer.success, answer.error_message)
    }

    /// Freezes a sandbox. Returns once it is.
    pub async fn pause(&self, id: &str) -> Result<(), CallError> {
        let request = pb::PauseSandboxRequest {
            sandbox_id: id.to_owned(),
            ..Default::default()
        };
        let mut gateway = self.gateway();
        let answer = self.once(CALL_TIME, gateway.pause(request)).await?;
        self.success(answer.success, answer.error_message)
    }

    /// Lets a sandbox go on. Returns once it does.
    pub async fn resume(&self, id: &str) -> Result<(), CallError> {
        let request = pb::ResumeSandboxRequest {
            sandbox_id: id.to_owned(),
            ..Default::default()
        };
        let mut gateway = self.gateway();
        let answer = self.once(CALL_TIME, gateway.resume(request)).await?;
        self.success(answer.success, answer.error_message)
    }

    /// Ends a sandbox at once and has everything of it freed.
    pub async fn delete(&self, id: &str) -> Result<(), CallError> {
        let request = pb::DeleteSandboxRequest {
            sandbox_id: id.to_owned(),
            max_timeout_seconds: 0,
        };
        let mut gateway = self.gateway();
        let answer = self.once(CALL_TIME, gateway.delete(request)).await?;
        self.success(answer.success, answer.error_message)
    }

    /// Writes a file as a whole.
    pub async fn add_file(&self, id: &str, path: &str, content: Bytes) -> Result<(), CallError> {
        let request = pb::AddFileSandboxRequest {
            sandbox_id: id.to_owned(),
            file_contents: content,
            filepath: path.to_owned(),
            max_timeout_seconds: 0,
        };
        let mut gateway = self.gateway();
        let answer = self.once(FILE_TIME, gateway.add_file(request)).await?;
        self.success(answer.success, answer.error_message)
    }

    /// Reads a file as a whole.
    pub async fn retrieve_file(&self, id: &str, path: &str) -> Result<Bytes, CallError> {
        let request = pb::RetrieveFileSandboxRequest {
            sandbox_id: id.to_owned(),
            filepath: path.to_owned(),
            max_timeout_seconds: 0,
        };
        let mut gateway = self.gateway();
        let answer = self.once(FILE_TIME, gateway.retrieve_file(request)).await?;
        self.success(answer.success, answer.error_message)?;
        Ok(answer.file_contents)
    }

    pub(super) async fn once<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, CallError> {
        let server = || self.server.clone();
        let answer = time::timeout(limit, call).await;
        let answer = answer.map_err(|_| CallError::TimedOut { server: server() })?;
        answer
            .map(Response::into_inner)
            .map_err(|status| call_error(&self.server, status))
    }

    /// Reads something, and tries again when the server asks to come back.
    pub(super) async fn read<T>(
        &self,
        call: impl AsyncFn() -> Result<Response<T>, Status>,
    ) -> Result<T, CallError> {
        for _ in 1..ATTEMPTS {
            match self.once(CALL_TIME, call()).await {
                Err(CallError::Refused(refused)) if refused.retry_after().is_some() => {
                    let wait = refused.retry_after().unwrap_or_default();
                    time::sleep(wait.min(WAIT_MAX)).await;
                }
                answer => return answer,
            }
        }
        self.once(CALL_TIME, call()).await
    }

    /// A stream is open once its head has come.
    pub(super) async fn opened<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, CallError> {
        self.once(CALL_TIME, call).await
    }

    pub(super) fn success(&self, is_success: bool, message: String) -> Result<(), CallError> {
        if is_success {
            return Ok(());
        }
        // This server refuses by status; an older one may say it here.
        Err(CallError::NotUnderstood {
            server: self.server.clone(),
            what: message,
        })
    }
}
