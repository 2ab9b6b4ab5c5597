//! Asking a sandbox to end, so that it has ended by an instant.
//!
//! The node enforces the instant: it is the active deadline of the pod, which can
//! be shortened and never lengthened, and which holds although the runner may be
//! gone. Asking is a signal from inside; where the image has nothing to send one
//! with, the node asks when it ends the sandbox.

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
use crate::view;

/// How long it may take to ask.
const ASK_LIMIT: Duration = Duration::from_secs(10);

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
                    self.ask(launch, pod);
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
            self.ask(launch, pod);
        }
        Next::Wait
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
        let patched = api::limited(pods.patch(&name, &parameters, &Patch::Merge(&patch))).await?;
        self.sandbox.see(|seen| {
            // What the watch shows meanwhile may be newer; it will show this, too.
            if seen.pod.is_some() {
                seen.pod = Some(Arc::new(patched));
            }
        });
        self.shared.hints.hint(launch.id);
        Ok(())
    }

    /// Asks from inside, on the side: the deadline holds whatever comes of it.
    fn ask(&self, launch: &Arc<Launch>, pod: &Pod) {
        if !view::is_running(pod) {
            return;
        }
        let (shared, launch) = (Arc::clone(&self.shared), Arc::clone(launch));
        self.shared.attached.spawn(async move {
            let asked = time::timeout(ASK_LIMIT, signal::ask_to_end(&shared, &launch)).await;
            if !matches!(asked, Ok(Ok(()))) {
                debug!(sandbox.id = %launch.id, "the sandbox could not be asked; its node will");
            }
        });
    }
}

fn start_time(pod: &Pod) -> Option<Timestamp> {
    let time = pod.status.as_ref()?.start_time.as_ref()?;
    view::timestamp(time)
}

/// The active deadline, in seconds from the start, with which a pod has ended by
/// an instant. What is over already is as soon as can be.
fn deadline(started: Timestamp, by: Timestamp, grace_seconds: i64, before: Option<i64>) -> i64 {
    let life = by.as_micros().saturating_sub(started.as_micros()) / 1_000_000;
    let wanted = life.saturating_sub(grace_seconds).max(1);
    before.map_or(wanted, |before| before.min(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_leaves_room_for_the_grace_of_the_node_and_only_shortens() {
        let second = |second: i64| Timestamp::from_micros(second * 1_000_000);
        assert_eq!(deadline(second(100), second(160), 2, None), 58);
        assert_eq!(deadline(second(100), second(101), 2, None), 1);
        assert_eq!(deadline(second(100), second(50), 2, None), 1);
        assert_eq!(deadline(second(100), second(160), 2, Some(30)), 30);
        assert_eq!(deadline(second(100), second(110), 2, Some(30)), 8);
    }
}
