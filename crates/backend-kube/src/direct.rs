//! Reaching sandboxes past the API server, where the operator wants that.
//!
//! ```text
//!     nobody ── a first call: started by one exec ──► an agent ──► calls go to it
//!        └── it cannot be started, or not be reached: shunned for a while
//! ```
//!
//! An agent is `palisade-init` beside the main process of a sandbox. It is started by
//! the first call that could use it, through the API server, which carries its key;
//! from then on commands, files and ports go to it over a sealed connection each.
//! Whenever that does not work, a call goes through the API server as if there were
//! no agents; only what was already asked of an agent is not asked again.
//!
//! What an agent says is as foreign as anything out of a sandbox.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use palisade_model::id::SandboxId;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::attach::Target;
use crate::manifest::program;
use crate::settings::DirectExec;
use crate::shared::Shared;

mod agent;
mod way;

use agent::Agent;
pub(crate) use way::Way;

/// How long a sandbox whose agent does not work is not tried again; it doubles up to
/// the limit with each time that it does not.
const SHUN: Duration = Duration::from_mins(1);
const SHUN_MAX: Duration = Duration::from_mins(30);

/// The place for the agent of a sandbox. It is locked while one is started, which has a
/// limit: there is never a second one.
#[derive(Debug, Default)]
pub(crate) struct Seat(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    agent: Option<Arc<Agent>>,
    /// Until when everything goes through the API server.
    shunned: Option<Instant>,
    /// How often it did not work since it last did.
    failures: u32,
    /// What was logged last: the same is not said again and again.
    said: String,
}

/// Why a call cannot go to an agent.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("it cannot be started: {0}")]
    NotStarted(String),
    #[error("it cannot be reached: {0}")]
    NotReached(std::io::Error),
    #[error("it did not answer in time")]
    Silent,
}

/// A connection to the agent of a sandbox; `None` if this call has to go through the
/// API server.
pub(crate) async fn open(shared: &Arc<Shared>, id: SandboxId, target: &Target) -> Option<Way> {
    let sandbox = shared.sandbox(id)?;
    let seen = sandbox.seen();
    let settings = program::agent(seen.launch.as_deref()?, &shared.settings)?;
    let address = address(seen.pod.as_deref()?, settings)?;
    let opened = match sandbox.seat.agent(target, address).await? {
        Ok(agent) => agent.open().await,
        Err(failure) => Err(failure),
    };
    match opened {
        Ok(way) => {
            sandbox.seat.0.lock().await.failures = 0;
            Some(way)
        }
        Err(failure) => {
            sandbox.seat.shun(id, &failure).await;
            None
        }
    }
}

/// Where the agent of a pod listens.
fn address(pod: &Pod, settings: &DirectExec) -> Option<SocketAddr> {
    let status = pod.status.as_ref()?;
    let address: IpAddr = status.pod_ip.as_deref()?.parse().ok()?;
    // In the network of its node no policy would hold, and all would see the port.
    let is_of_node = status.host_ip.as_deref() == status.pod_ip.as_deref();
    (!is_of_node).then(|| SocketAddr::new(address, settings.port().get()))
}

impl Seat {
    /// The agent, started if there is none. `None` while it is shunned.
    ///
    /// Calls that come meanwhile wait, for no longer than a start takes.
    async fn agent(
        &self,
        target: &Target,
        address: SocketAddr,
    ) -> Option<Result<Arc<Agent>, Failure>> {
        let mut state = self.0.lock().await;
        if state.shunned.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        state.shunned = None;
        if let Some(agent) = state.agent.as_ref().filter(|agent| !agent.is_gone()) {
            return Some(Ok(Arc::clone(agent)));
        }
        // What is left of an earlier one goes before its port is asked for again.
        state.agent = None;
        let started = Agent::start(target, address).await.map(Arc::new);
        state.agent = started.as_ref().ok().cloned();
        Some(started)
    }

    /// Lets everything go through the API server for a while, and says why once.
    async fn shun(&self, id: SandboxId, failure: &Failure) {
        let mut state = self.0.lock().await;
        let shun = SHUN.saturating_mul(1 << state.failures.min(10));
        state.shunned = Some(Instant::now() + shun.min(SHUN_MAX));
        state.failures = state.failures.saturating_add(1);
        let why = failure.to_string();
        if state.said == why {
            debug!(sandbox.id = %id, why, "commands and files go on through the API server");
        } else {
            warn!(
                sandbox.id = %id, why,
                "commands and files go through the API server, as its agent does not work"
            );
            state.said = why;
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::PodStatus;

    use super::*;

    fn of(pod_ip: Option<&str>, host_ip: &str) -> Option<String> {
        let range = vec!["192.0.2.0/24".parse().unwrap()];
        let settings = DirectExec::new(DirectExec::PORT, None, range).unwrap();
        let pod = Pod {
            status: Some(PodStatus {
                pod_ip: pod_ip.map(str::to_owned),
                host_ip: Some(host_ip.to_owned()),
                ..PodStatus::default()
            }),
            ..Pod::default()
        };
        address(&pod, &settings).map(|address| address.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_work_is_tried_ever_less_often() {
        let seat = Seat::default();
        let id = palisade_model::testing::sample_launch().id;
        let mut minutes = Vec::new();
        for _ in 0..7 {
            let failure = Failure::NotStarted("no program".to_owned());
            seat.shun(id, &failure).await;
            let shunned = seat.0.lock().await.shunned.unwrap();
            minutes.push((shunned - Instant::now()).as_secs() / 60);
        }
        assert_eq!(minutes, [1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn an_agent_is_at_the_address_of_its_pod() {
        let expected = Some("10.1.2.3:17717".to_owned());
        assert_eq!(of(Some("10.1.2.3"), "192.0.2.1"), expected);
        let expected = Some("[fd00::3]:17717".to_owned());
        assert_eq!(of(Some("fd00::3"), "192.0.2.1"), expected);
    }

    #[test]
    fn a_pod_without_an_address_of_its_own_has_none() {
        assert_eq!(of(None, "192.0.2.1"), None);
        assert_eq!(of(Some("192.0.2.1"), "192.0.2.1"), None);
        assert_eq!(of(Some("nowhere"), "192.0.2.1"), None);
    }
}
