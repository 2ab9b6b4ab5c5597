//! The sandboxes that this program starts, and removes again.
//!
//! Invariant: whatever was asked for is known here before anything else happens,
//! so that every way out removes it. A signal that comes while one is asked for
//! waits for the answer. What could not be removed ends by itself: each has a
//! lifetime.

use std::net::SocketAddr;
use std::time::Duration;

use palisade_client::{CallError, Sandboxes};
use palisade_wire::proto::v1beta2::StartSandboxRequest;
use tokio::time;

use super::super::signals::{Ending, Signals};
use super::super::waiting::{self, has_begun, is_over};
use crate::error::{CliError, Exit};
use crate::present::printable;

/// How long a probe sandbox lives at most.
pub(super) const LIFETIME: Duration = Duration::from_mins(15);
/// How long it may take until it runs.
const START_LIMIT: Duration = Duration::from_mins(3);
/// How long it is tried to leave nothing behind.
const LEAVE_LIMIT: Duration = Duration::from_secs(30);
/// How soon it is tried again.
const LEAVE_PAUSE: Duration = Duration::from_millis(500);

/// Sandboxes that are to be gone in the end.
#[derive(Debug, Default)]
pub(super) struct Crew(Vec<Member>);

#[derive(Debug)]
struct Member {
    sandboxes: Sandboxes,
    id: String,
}

/// A sandbox that runs.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) id: String,
    /// Where clients from outside find it, if that is an address.
    pub(super) service: Option<SocketAddr>,
}

/// Why there is no sandbox to ask.
#[derive(Debug)]
pub(super) enum NoMember {
    /// This program is to end.
    Ended(Ending),
    /// It was refused, for this reason.
    Refused(String),
    /// Something else went wrong.
    Failed(CliError),
}

impl Crew {
    /// Starts one, and waits until it runs.
    pub(super) async fn start(
        &mut self,
        sandboxes: &Sandboxes,
        request: StartSandboxRequest,
        signals: &mut Signals,
    ) -> Result<Started, NoMember> {
        let mut asked = std::pin::pin!(sandboxes.start(request));
        let (answer, early) = tokio::select! {
            answer = &mut asked => (answer, None),
            ending = signals.next() => (asked.await, Some(ending)),
        };
        let id = match answer {
            Ok(started) => started.sandbox_id,
            Err(error) => return Err(refused(&error)),
        };
        self.0.push(Member {
            sandboxes: sandboxes.clone(),
            id: id.clone(),
        });
        if let Some(ending) = early {
            return Err(NoMember::Ended(ending));
        }
        tokio::select! {
            begun = begin(sandboxes, &id) => begun.map(|service| Started { id, service }),
            ending = signals.next() => Err(NoMember::Ended(ending)),
        }
    }

    /// Removes all of them. Another signal ends the attempt.
    pub(super) async fn leave(self, signals: &mut Signals) -> Result<(), CliError> {
        let mut left = Vec::new();
        let by = time::Instant::now() + LEAVE_LIMIT;
        let mut is_pressed = false;
        for member in &self.0 {
            let gone = tokio::select! {
                gone = time::timeout_at(by, member.remove()), if !is_pressed => gone.is_ok(),
                _ = signals.next(), if !is_pressed => { is_pressed = true; false }
                else => false,
            };
            if !gone {
                left.push(member.id.as_str());
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        let left = left.join(" ");
        Err(
            CliError::new(Exit::Failure, "probe sandboxes may still run")
                .because("the server did not take in time that they are to end")
                .next(format!("end them: cwic sandbox rm {left} --yes")),
        )
    }
}

impl Member {
    /// Tries until it is gone.
    async fn remove(&self) {
        loop {
            match self.sandboxes.delete(&self.id).await {
                Ok(()) => return,
                // What is not there any more needs no end.
                Err(CallError::Refused(refused)) if refused.http_status() == 404 => return,
                Err(_) => time::sleep(LEAVE_PAUSE).await,
            }
        }
    }
}

/// Waits until it runs, and tells where it is found from outside.
async fn begin(sandboxes: &Sandboxes, id: &str) -> Result<Option<SocketAddr>, NoMember> {
    let begun = waiting::until(sandboxes, id, has_begun);
    let seen = time::timeout(START_LIMIT, begun).await.map_err(|_| {
        let what = format!("sandbox {id} did not run in time");
        NoMember::Failed(CliError::new(Exit::TimedOut, what))
    })?;
    let seen = seen.map_err(NoMember::Failed)?;
    if is_over(seen.sandbox_status()) {
        let reason = match seen.status_reason.as_str() {
            "" => "it ended at once, and nobody says why".to_owned(),
            reason => printable(reason),
        };
        return Err(NoMember::Refused(reason));
    }
    // A host name is none: who answers there asks for it by HTTP.
    Ok(seen.service_address.parse().ok())
}

/// A refusal is something to tell; without an answer nothing can be told.
fn refused(error: &CallError) -> NoMember {
    match error {
        CallError::Refused(refused) if refused.retry_after().is_none() => {
            NoMember::Refused(printable(refused.message()))
        }
        CallError::Refused(_)
        | CallError::NotAName { .. }
        | CallError::TimedOut { .. }
        | CallError::Unreachable { .. }
        | CallError::Lost { .. }
        | CallError::NotUnderstood { .. } => {
            NoMember::Failed(CliError::call("no probe sandbox was started", error))
        }
    }
}
