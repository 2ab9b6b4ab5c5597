//! Leaving nothing of a sandbox.
//!
//! The record goes last: until then a restart finds what is left, and removes it.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use palisade_model::sandbox::Launch;
use tracing::info;

use super::{Driver, Next};
use crate::api::{self, ApiError};
use crate::naming;
use crate::sandbox::Seen;

/// How long a pod, or a record, may take to go.
const GONE_LIMIT: Duration = Duration::from_secs(90);

impl Driver {
    /// Removes the sandbox, and tells that call how it went.
    pub(super) async fn remove(&mut self, seen: &Seen, call: u64) -> Next {
        let Some(launch) = seen.launch.clone() else {
            self.shared.forget(&self.sandbox);
            return self.tell_removed(call, Ok(()));
        };
        let outcome = self.remove_all(&launch).await;
        match outcome {
            Ok(()) => {
                info!(sandbox.id = %launch.id, "nothing of the sandbox is left");
                self.shared.forget(&self.sandbox);
                self.tell_removed(call, Ok(()))
            }
            Err(error) => self.tell_removed(call, Err(error.to_string())),
        }
    }

    fn tell_removed(&mut self, call: u64, outcome: Result<(), String>) -> Next {
        let is_done = outcome.is_ok();
        self.sandbox.progress.send_modify(|progress| match outcome {
            Ok(()) => progress.removed = call,
            Err(why) => progress.removal_failure = Some((call, why)),
        });
        if is_done { Next::Done } else { Next::Pause }
    }

    async fn remove_all(&self, launch: &Arc<Launch>) -> Result<(), ApiError> {
        self.sandbox.see(|seen| seen.is_leaving = true);
        if let Some(pod) = self.sandbox.seen().pod {
            self.delete_pod(launch, &pod).await?;
            self.wait_until_gone(|seen| seen.pod.is_none(), "its pod")
                .await?;
        }
        if !self.is_freed {
            self.free_entries(launch).await?;
        }
        let records: Api<Secret> = self.api(launch);
        api::delete(&records, &naming::object(launch.id), None).await?;
        self.wait_until_gone(|seen| seen.record.is_none(), "its record")
            .await
    }

    /// Waits until the watches show that it is gone.
    async fn wait_until_gone(
        &self,
        is_gone: impl Fn(&Seen) -> bool,
        what: &str,
    ) -> Result<(), ApiError> {
        let look = || is_gone(&self.sandbox.seen()).then_some(());
        let hints = &self.shared.hints;
        let gone = hints.wait_for(self.sandbox.id(), GONE_LIMIT, look).await;
        gone.ok_or_else(|| ApiError::Unavailable(format!("{what} does not go away")))
    }
}
