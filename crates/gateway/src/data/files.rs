//! Files of sandboxes, one whole file to a call.
//!
//! A file is in memory as a whole for the time of its call, so that only so
//! many calls are served at once; the others wait, up to the limit of their
//! call.

use std::sync::Arc;
use std::time::Duration;

use palisade_backend::AttachError;
use palisade_model::reason::{Code, Reason};
use palisade_model::refusal::Refusal;
use palisade_model::tenant::Principal;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::v1beta2::{
    FILE_BYTES_MAX, FileRead, FileWrite, SandboxPath, file_content, file_read, file_write,
    file_written,
};
use tokio::sync::Semaphore;
use tokio::time;

use super::ways::{Way, Ways};
use crate::error::ApiResult;

/// Calls that are served at once; with the largest files they hold 2 GiB.
const CALLS_MAX: usize = 64;

/// Serves files. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Files {
    room: Arc<Semaphore>,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(CALLS_MAX)),
        }
    }
}

/// What a call is about.
#[derive(Clone, Copy)]
struct Subject<'a> {
    way: &'a Way,
    path: &'a SandboxPath,
    operation: &'static str,
}

impl Files {
    /// Writes a file.
    pub(super) async fn write(
        &self,
        ways: &dyn Ways,
        caller: &Principal,
        request: pb::AddFileSandboxRequest,
        call_time: Duration,
    ) -> ApiResult<pb::AddFileSandboxResponse> {
        let FileWrite {
            sandbox,
            path,
            content,
            limit,
        } = file_write(request)?;
        let way = ways.running(caller, &sandbox).await?;
        let subject = Subject {
            way: &way,
            path: &path,
            operation: "write",
        };
        let written = way
            .attach
            .write_file(way.at.id, path.as_str(), content.into());
        self.within(limit.unwrap_or(call_time), subject, written)
            .await?;
        Ok(file_written())
    }

    /// Reads a file.
    pub(super) async fn read(
        &self,
        ways: &dyn Ways,
        caller: &Principal,
        request: pb::RetrieveFileSandboxRequest,
        call_time: Duration,
    ) -> ApiResult<pb::RetrieveFileSandboxResponse> {
        let FileRead {
            sandbox,
            path,
            limit,
        } = file_read(request)?;
        let way = ways.running(caller, &sandbox).await?;
        let subject = Subject {
            way: &way,
            path: &path,
            operation: "read",
        };
        let read = way
            .attach
            .read_file(way.at.id, path.as_str(), FILE_BYTES_MAX);
        let content = self
            .within(limit.unwrap_or(call_time), subject, read)
            .await?;
        Ok(file_content(content))
    }

    async fn within<T>(
        &self,
        limit: Duration,
        subject: Subject<'_>,
        work: impl Future<Output = Result<T, AttachError>>,
    ) -> ApiResult<T> {
        let in_turn = async {
            let _turn = self.room.acquire().await;
            work.await
        };
        match time::timeout(limit, in_turn).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(subject.way.at.refusal(error, subject.operation).into()),
            Err(_) => Err(too_slow(limit, subject).into()),
        }
    }
}

fn too_slow(limit: Duration, subject: Subject<'_>) -> Refusal {
    let text = format!("the file was not done with in {} s", limit.as_secs());
    Refusal::new(Reason::FileIoFailed, text)
        .with_code(Code::DeadlineExceeded)
        .with("filepath", subject.path.as_str())
        .with("operation", subject.operation)
}
