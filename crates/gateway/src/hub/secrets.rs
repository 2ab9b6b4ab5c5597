//! The values of secrets, found anew for every launch that is sent.
//!
//! Nobody keeps them in between: a store that lost a secret since the sandbox
//! was admitted ends the sandbox, with the reason.

use palisade_model::sandbox::{Launch, Sandbox, State};
use palisade_model::secret::{SecretValues, SecretVariable};
use palisade_secrets::Unresolved;
use palisade_store::GetError;
use palisade_store::sandbox::StatusChange;
use tracing::{error, warn};

use super::drive::{Driver, Failed};

/// Whether a runner that holds the sandbox may still need values for it: after a
/// restart it has none.
pub(super) fn may_lack(sandbox: &Sandbox) -> bool {
    let is_started = match sandbox.status.state {
        State::Creating | State::Pending => false,
        State::Running
        | State::Paused
        | State::Terminating
        | State::Completed(_)
        | State::Failed(_)
        | State::Terminated(_) => true,
    };
    !is_started
        && sandbox
            .launch
            .secrets
            .iter()
            .any(SecretVariable::is_of_store)
}

impl Driver {
    /// The values for a launch; `None` if there are none, and the sandbox is over.
    pub(super) async fn values(&self, launch: &Launch) -> Result<Option<SecretValues>, Failed> {
        if launch.secrets.is_empty() {
            return Ok(Some(SecretValues::default()));
        }
        let organization = &launch.owner.organization;
        let secrets = &self.hub.inner.tools.secrets;
        let reason = match secrets.resolve_again(organization, &launch.secrets).await {
            Ok(values) => return Ok(Some(values)),
            Err(Unresolved::Missing(violations)) => {
                let texts = violations.iter().map(|one| one.description.as_str());
                let texts: Vec<_> = texts.collect();
                format!("its secrets are not there any more: {}", texts.join("; "))
            }
            Err(Unresolved::Failed(failure)) if failure.may_retry() => {
                warn!(sandbox.id = %launch.id, reason = %failure.refusal.message,
                    "could not find the secrets of a sandbox; trying again");
                return Err(Failed::Secrets);
            }
            Err(Unresolved::Failed(failure)) => {
                let cause = failure.cause.as_ref().map(ToString::to_string);
                error!(sandbox.id = %launch.id, cause, "the secrets of a sandbox cannot be read");
                format!("its secrets cannot be read: {}", failure.refusal.message)
            }
        };
        self.give_up(launch, reason).await?;
        Ok(None)
    }

    /// Ends a sandbox that cannot be launched.
    async fn give_up(&self, launch: &Launch, reason: String) -> Result<(), Failed> {
        warn!(sandbox.id = %launch.id, reason, "a sandbox that is to start fails");
        let tools = &self.hub.inner.tools;
        let change = StatusChange::Closed {
            state: State::Failed(None),
            reason,
            now: tools.now(),
        };
        let organization = &launch.owner.organization;
        let changed = tools.store.change_status(organization, launch.id, change);
        match changed.await {
            Ok(_) | Err(GetError::NotFound) => {
                self.hub.inner.picture.release(launch.id);
                self.hub.remove(self.session.uid, launch.id);
                Ok(())
            }
            Err(GetError::Fault(fault)) => Err(Failed::Store(fault)),
        }
    }
}
