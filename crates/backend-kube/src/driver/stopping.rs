//! Asking a sandbox to end, so that it has ended by an instant.
//!
//! Asking and killing are signals from inside, so that the pod stays with its exit
//! code and its logs. Should the runner be gone, or the image have nothing to send a
//! signal with, the node ends the sandbox a little later: it is told the instant as
//! the active deadline of the pod, which can be shortened and never lengthened.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams};
use palisade_backend::View;
use palisade_model::clock::Timestamp;
use palisade_model::sandbox::Launch;
use serde_json::json;
use tokio::time;
use tracing::debug;

use super::{Driver, Next};
use crate::api::{self, ApiError};
use crate::attach::signal;
use crate::manifest::GRACE_SECONDS;
use crate::naming;
use crate::sandbox::Seen;
use crate::slim;
use crate::view;

/// How long it may take to send a signal.
const SIGNAL_LIMIT: Duration = Duration::from_secs(10);
/// When to send the last one once more; the pause doubles so many times.
const KILL_AGAIN: Duration = Duration::from_secs(5);
const KILL_DOUBLINGS_MAX: u32 = 4;
/// How much later than the runner the node ends a sandbox, in seconds.
const SLACK_SECONDS: i64 = 10;

impl Driver {
    /// Has the sandbox end by an instant.
    pub(super) async fn stop(&mut self, seen: &Seen, by: Timestamp) -> Next {
        let now = self.shared.clock.now();
        let started = seen.pod.as_deref().and_then(start_time);
        let (Some(launch), Some(pod), Some(started)) = (&seen.launch, &seen.pod, started) else {
            // No node has taken it on.
            let end = View::Ended {
                since: None,
                at: now,
                exit: None,
                reason: "stopped before it ran".to_owned(),
                stopped: true,
            };
            self.told_stop = Some(by);
            let next = self.end(end).await;
            self.tell_stopping(by, Ok(()));
            return next;
        };
        if seen.view(now).is_over() {
            self.told_stop = Some(by);
            self.tell_stopping(by, Ok(()));
            return Next::Again;
        }
        let is_first = view::annotation(pod, naming::STOP_BY).is_none();
        match self.set_deadline(launch, pod, started, by).await {
            Ok(()) => {
                self.failures = 0;
                self.told_stop = Some(by);
                self.tell_stopping(by, Ok(()));
                if is_first {
                    self.signal(launch, pod, signal::ASK);
                }
                Next::Again
            }
            // It is gone; the watch will show that.
            Err(ApiError::NotFound(_)) => Next::Wait,
            Err(error @ (ApiError::Refused(_) | ApiError::Unavailable(_))) => {
                self.tell_stopping(by, Err(error.to_string()));
                self.try_later("could not stop the sandbox", &error)
            }
        }
    }

    /// A run before this one may have ended between telling and asking.
    pub(super) fn resume_stop(&mut self, seen: &Seen) -> Next {
        self.is_adopted = false;
        if let (Some(launch), Some(pod)) = (&seen.launch, &seen.pod)
            && view::annotation(pod, naming::STOP_BY).is_some()
        {
            self.signal(launch, pod, signal::ASK);
        }
        Next::Again
    }

    /// It is ending: kills what has not ended when its time is over.
    pub(super) fn see_stop_through(&mut self, seen: &Seen) -> Next {
        let (Some(launch), Some(pod)) = (&seen.launch, &seen.pod) else {
            return Next::Wait;
        };
        let now = self.shared.clock.now();
        let after = |at: Timestamp| time::Instant::now() + at.saturating_since(now);
        let given_up = view::given_up_at(pod).map(after);
        let Some(by) = stop_by(pod) else {
            return given_up.map_or(Next::Wait, Next::WaitUntil);
        };
        if by > now {
            return Next::WaitUntil(after(by));
        }
        let (mut due, kills) = self.kill.unwrap_or((time::Instant::now(), 0));
        if time::Instant::now() >= due {
            self.signal(launch, pod, signal::KILL);
            let factor = 1 << kills.min(KILL_DOUBLINGS_MAX);
            due = time::Instant::now() + KILL_AGAIN.saturating_mul(factor);
            self.kill = Some((due, kills.saturating_add(1)));
        }
        Next::WaitUntil(given_up.map_or(due, |at| at.min(due)))
    }

    fn tell_stopping(&self, by: Timestamp, outcome: Result<(), String>) {
        self.sandbox.progress.send_modify(|progress| match outcome {
            Ok(()) => {
                progress.stopping_by = Some(by);
                progress.stop_failure = None;
            }
            Err(why) => progress.stop_failure = Some((by, why)),
        });
    }

    async fn set_deadline(
        &self,
        launch: &Launch,
        pod: &Pod,
        started: Timestamp,
        by: Timestamp,
    ) -> Result<(), ApiError> {
        let spec = pod.spec.as_ref();
        let grace = spec.and_then(|spec| spec.termination_grace_period_seconds);
        let before = spec.and_then(|spec| spec.active_deadline_seconds);
        let seconds = deadline(started, by, grace.unwrap_or(GRACE_SECONDS), before);
        let patch = json!({
            "metadata": { "annotations": { naming::STOP_BY: by.as_micros().to_string() } },
            "spec": { "activeDeadlineSeconds": seconds },
        });
        let parameters = PatchParams {
            field_manager: Some(naming::MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let pods: Api<Pod> = self.api(launch);
        let name = naming::object(launch.id);
        let patch = Patch::Merge(&patch);
        let patched = api::patient(|| pods.patch(&name, &parameters, &patch)).await?;
        self.sandbox.see(|seen| {
            // What the watch shows meanwhile may be newer; it will show this, too.
            if seen.pod.is_some() {
                seen.pod = Some(slim::pod(patched));
            }
        });
        self.shared.hints.hint(launch.id);
        Ok(())
    }

    /// Sends a signal from inside, on the side: the deadline holds whatever comes of it.
    fn signal(&self, launch: &Arc<Launch>, pod: &Pod, name: &'static str) {
        if !view::is_running(pod) {
            return;
        }
        let (shared, launch) = (Arc::clone(&self.shared), Arc::clone(launch));
        self.shared.attached.spawn(async move {
            let sent = time::timeout(SIGNAL_LIMIT, signal::send(&shared, &launch, name)).await;
            if !matches!(sent, Ok(Ok(()))) {
                let id = launch.id;
                debug!(sandbox.id = %id, name, "no signal could be sent; the node will end it");
            }
        });
    }
}

fn start_time(pod: &Pod) -> Option<Timestamp> {
    let time = pod.status.as_ref()?.start_time.as_ref()?;
    view::timestamp(time)
}

/// The instant by which a pod was told to have ended.
fn stop_by(pod: &Pod) -> Option<Timestamp> {
    let text = view::annotation(pod, naming::STOP_BY)?;
    text.parse().ok().map(Timestamp::from_micros)
}

/// The active deadline, in seconds from the start, with which a pod has ended a
/// little after an instant.
fn deadline(started: Timestamp, by: Timestamp, grace_seconds: i64, before: Option<i64>) -> i64 {
    let life = by.as_micros().saturating_sub(started.as_micros()) / 1_000_000;
    let wanted = life
        .saturating_add(SLACK_SECONDS)
        .saturating_sub(grace_seconds)
        .max(1);
    before.map_or(wanted, |before| before.min(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_leaves_room_for_the_grace_of_the_node_and_only_shortens() {
        let second = |second: i64| Timestamp::from_micros(second * 1_000_000);
        assert_eq!(deadline(second(100), second(160), 2, None), 68);
        assert_eq!(deadline(second(100), second(50), 2, None), 1);
        assert_eq!(deadline(second(100), second(160), 2, Some(30)), 30);
        assert_eq!(deadline(second(100), second(110), 2, Some(30)), 18);
    }
}
