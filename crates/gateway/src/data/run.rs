//! A command that is answered when it ended.
//!
//! Its output is read as fast as it comes, and kept up to a bound; what is
//! beyond is counted. A command that runs past its limit is killed with all
//! that it started, because its [`Exec`] is dropped.

use std::time::Duration;

use palisade_backend::{AttachError, Exec, ExecEvent};
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::tenant::Principal;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::v1beta2::{ExecCall, Produced, exec_call, exec_response};
use tokio::time;

use super::Means;
use super::ways::{Way, Ways};
use crate::error::ApiResult;

/// Runs a command to its end, with nothing on its input; `deadline` is how long
/// the client waits, if it says.
pub(super) async fn run(
    means: &Means,
    ways: &dyn Ways,
    caller: &Principal,
    (request, deadline): (pb::ExecSandboxRequest, Option<Duration>),
) -> ApiResult<pb::ExecSandboxResponse> {
    let call = exec_call(request)?;
    let way = ways.running(caller, &call.sandbox).await?;
    // Who waits longer than usual has said so, too.
    let usual = means.call_time.max(deadline.unwrap_or_default());
    let limit = call.limit.unwrap_or(usual);
    match time::timeout(limit, outcome(&way, call)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => Err(way.at.refusal(error, "exec").into()),
        Err(_) => Err(too_slow(limit).into()),
    }
}

async fn outcome(way: &Way, call: ExecCall) -> Result<pb::ExecSandboxResponse, AttachError> {
    let ExecCall {
        sandbox: _,
        spec,
        limit: _,
        keep_bytes,
    } = call;
    let Exec { input, mut events } = way.attach.exec(way.at.id, spec).await?;
    drop(input);
    let (mut stdout, mut stderr) = (Produced::default(), Produced::default());
    while let Some(event) = events.recv().await {
        match event {
            ExecEvent::Started => {}
            ExecEvent::Stdout(data) => stdout.take(&data, keep_bytes),
            ExecEvent::Stderr(data) => stderr.take(&data, keep_bytes),
            ExecEvent::Exit(exit) => return Ok(exec_response(exit, stdout, stderr)),
            ExecEvent::Failed(error) => return Err(error),
        }
    }
    Err(AttachError::Lost)
}

fn too_slow(limit: Duration) -> Refusal {
    let seconds = limit.as_secs();
    let text = format!("the command ran longer than {seconds} s and was killed");
    Refusal::new(Reason::CommandTimeout, text).with("timeout_seconds", seconds.to_string())
}
