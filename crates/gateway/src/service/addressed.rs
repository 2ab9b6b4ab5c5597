//! Start's answer for sandboxes that others find from outside.
//!
//! Clients read the address out of this answer and look nowhere else, and only the runner
//! knows it. So the answer waits for it, a moment at most: the sandbox is admitted and
//! goes on in any case.

use std::time::Duration;

use palisade_model::profile::ServiceType;
use palisade_model::sandbox::{Sandbox, State};
use palisade_model::tenant::Principal;
use tokio::time::{self, Instant};

use super::sandbox::SandboxService;

/// How long the answer waits.
const WAIT: Duration = Duration::from_secs(5);
/// How soon it is looked again, at first and at last.
const LOOK_FIRST: Duration = Duration::from_millis(20);
const LOOK_LAST: Duration = Duration::from_millis(500);

impl SandboxService {
    /// The sandbox once its address is known, or as it is when that takes too long
    /// or will not come any more.
    pub(super) async fn addressed(&self, caller: &Principal, admitted: Sandbox) -> Sandbox {
        if !has_address(&admitted) {
            return admitted;
        }
        let (id, by) = (admitted.id.to_string(), Instant::now() + WAIT);
        let (mut latest, mut pause) = (admitted, LOOK_FIRST);
        while is_expected(&latest) && Instant::now() < by {
            time::sleep(pause).await;
            pause = (pause * 3 / 2).min(LOOK_LAST);
            // Whatever is wrong now, the sandbox is admitted, which is the answer.
            let Ok(seen) = self.access.sandbox(caller, &id).await else {
                break;
            };
            latest = seen;
        }
        latest
    }
}

/// Whether its level gives it an address that clients are told.
fn has_address(sandbox: &Sandbox) -> bool {
    let level = sandbox.launch.exposure.as_ref();
    level.is_some_and(|level| {
        let exposure = &level.exposure;
        exposure.route.is_some() || exposure.service.service_type != ServiceType::ClusterIp
    })
}

fn is_expected(sandbox: &Sandbox) -> bool {
    match sandbox.status.state {
        State::Creating | State::Pending => sandbox.status.service_address.is_empty(),
        State::Running
        | State::Paused
        | State::Terminating
        | State::Completed(_)
        | State::Failed(_)
        | State::Terminated(_) => false,
    }
}
