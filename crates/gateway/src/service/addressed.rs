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

use super::sandbox::{MARGIN, SandboxService};

/// How long the answer waits.
const WAIT: Duration = Duration::from_secs(5);
/// How soon it is looked again, at first and at last.
const LOOK_FIRST: Duration = Duration::from_millis(20);
const LOOK_LAST: Duration = Duration::from_millis(500);

/// How long a client waits for the answer, as far as it says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    began: Instant,
    limit: Option<Duration>,
}

impl Patience {
    /// From now on, with the deadline of the call and the limit in the request.
    pub(super) fn of(deadline: Option<Duration>, max_timeout_seconds: i32) -> Self {
        let asked = u64::try_from(max_timeout_seconds).ok();
        let asked = asked.filter(|seconds| *seconds > 0);
        let limits = deadline.into_iter().chain(asked.map(Duration::from_secs));
        Self {
            began: Instant::now(),
            limit: limits.min(),
        }
    }

    /// So much time, or as much as the client gives.
    pub(super) fn at_most(self, time: Duration) -> Duration {
        self.limit.map_or(time, |limit| time.min(limit))
    }

    /// The same, if it still has to be answered afterwards.
    pub(super) fn with_margin(self, time: Duration) -> Duration {
        let limit = self.limit.map(|limit| limit.saturating_sub(MARGIN));
        limit.map_or(time, |limit| time.min(limit))
    }

    /// When it has to be answered, whatever is known: who has waited in vain does not
    /// know that there is a sandbox.
    fn end(self) -> Instant {
        let spent = self.began.elapsed();
        self.began + self.with_margin(spent + WAIT)
    }
}

impl SandboxService {
    /// The sandbox once its address is known, or as it is when that takes too long
    /// or will not come any more.
    pub(super) async fn addressed(
        &self,
        caller: &Principal,
        admitted: Sandbox,
        patience: Patience,
    ) -> Sandbox {
        if !has_address(&admitted) {
            return admitted;
        }
        let (id, by) = (admitted.id.to_string(), patience.end());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_less_is_answered_before_that() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        for (deadline, seconds, expected) in [
            (None, 0, WAIT),
            (None, -1, WAIT),
            (Some(60 * second), 60, WAIT),
            (Some(3 * second), 0, 2 * second),
            (Some(60 * second), 2, second),
            (None, 1, Duration::ZERO),
            (Some(second / 2), 0, Duration::ZERO),
        ] {
            let end = Patience::of(deadline, seconds).end();
            assert_eq!(end - now, expected, "{deadline:?} {seconds}");
        }
        // What was waited before, in line, counts as well.
        let patience = Patience::of(Some(4 * second), 0);
        time::advance(2 * second).await;
        assert_eq!(patience.end() - now, 3 * second);
    }
}
