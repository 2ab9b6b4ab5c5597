//! Finding out whether network policies have any effect in a cluster.
//!
//! A cluster stores policies whether or not its network plugin enforces them. So
//! two pods call each other, first freely, then under a policy that closes one of
//! them, then freely again. Only if the policy, and nothing else, stopped them in
//! both directions do policies count as enforced.
//!
//! What it does not show: that a policy holds before the first process of a pod
//! runs, and what the plugin makes of ranges of addresses. Nodes that come later
//! are looked at by probing again.
//!
//! One task; it ends when the backend closes, and takes its pods along. What a
//! crash leaves ends by itself, and the next probe removes it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::runtime::wait::{self, conditions};
use kube::{Api, ResourceExt as _};
use tokio::time;
use tracing::{info, warn};

use crate::api::{self, ApiError};
use crate::attach::{Target, signal};
use crate::enforcement::Finding;
use crate::shared::Shared;
use crate::view;
use objects::Role;

pub(crate) mod objects;

/// How long a finding holds while nothing changes.
const HOLDS: Duration = Duration::from_hours(1);
/// The least time between two probes, however often nodes come.
const REST: Duration = Duration::from_mins(5);
/// When to try again after a failure; doubles up to [`HOLDS`].
const AGAIN: Duration = Duration::from_secs(20);
/// How long the pods may take to run, images included.
const START_LIMIT: Duration = Duration::from_mins(3);
/// How long old pods may take to go.
const GONE_LIMIT: Duration = Duration::from_mins(1);
/// How long calls may take to succeed where nothing is in their way.
const REACH_LIMIT: Duration = Duration::from_secs(30);
/// How long a policy may take to have its effect.
const EFFECT_LIMIT: Duration = Duration::from_secs(30);
/// How many rounds of calls it gets at least, where each of them takes long.
const ROUNDS_MIN: u32 = 12;
/// How many calls in a row have to fail for a policy to have stopped them.
const QUIET_MIN: u32 = 3;
/// How long one round of calls may take.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// The pause between two rounds of calls.
const PAUSE: Duration = Duration::from_millis(500);

/// Calls each of these addresses, and says which of them answered.
const CALL: &str = r#"
for a in "$@"; do nc -w 2 "$a" 8080 </dev/null >/dev/null 2>&1 && echo "$a"; done
exit 0
"#;

/// Probes in the background, again and again, until the backend closes.
pub(crate) fn start(shared: &Arc<Shared>, namespace: &str) {
    let probe = Probe {
        shared: Arc::clone(shared),
        namespace: namespace.to_owned(),
    };
    shared.tasks.spawn(probe.keep());
}

#[derive(Debug)]
struct Probe {
    shared: Arc<Shared>,
    namespace: String,
}

/// Which way calls went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Through {
    /// From the closed pod: its egress.
    out: bool,
    /// To the closed pod: its ingress.
    into: bool,
}

impl Through {
    const FREE: Self = Self {
        out: true,
        into: true,
    };
    const QUIET: Self = Self {
        out: false,
        into: false,
    };
}

/// The addresses of both pods.
#[derive(Debug)]
struct Pair {
    open: Vec<String>,
    closed: Vec<String>,
}

impl Probe {
    async fn keep(self) {
        let closing = self.shared.closing.clone();
        if !self.shared.wait_until_complete().await {
            return;
        }
        let mut changes = self.shared.new_nodes.subscribe();
        let mut failures = 0_u32;
        loop {
            changes.mark_unchanged();
            let found = closing.run_until_cancelled(Box::pin(self.find())).await;
            if self.clean_up().await.is_err() {
                warn!("the pods of the network probe could not be removed; the next one will");
            }
            let Some(found) = found else {
                return;
            };
            let is_failure = matches!(found, Finding::Failed(_));
            let is_good = found == Finding::Enforced;
            failures = if is_failure { failures + 1 } else { 0 };
            self.tell(found);
            let rest = if is_failure {
                let factor = 1 << failures.min(8);
                AGAIN.saturating_mul(factor).min(HOLDS)
            } else {
                REST
            };
            closing.run_until_cancelled(time::sleep(rest)).await;
            if is_good {
                // It holds until a node comes that may be different.
                let change = time::timeout(HOLDS, changes.changed());
                let _ = closing.run_until_cancelled(change).await;
            }
        }
    }

    /// Keeps a finding, but for a failure that follows something definite.
    fn tell(&self, found: Finding) {
        let enforced = &self.shared.enforced;
        let before = enforced.borrow().clone();
        match &found {
            Finding::Enforced if before != found => info!("network policies are enforced here"),
            Finding::NotEnforced(what) if before != found => {
                warn!("network policies are NOT enforced here: {what}");
            }
            Finding::Failed(why) => {
                warn!("whether network policies are enforced could not be found out: {why}");
                if matches!(before, Finding::Enforced | Finding::NotEnforced(_)) {
                    return;
                }
            }
            Finding::Enforced | Finding::NotEnforced(_) | Finding::Unknown => {}
        }
        enforced.send_replace(found);
    }

    async fn find(&self) -> Finding {
        match self.try_find().await {
            Ok(found) => found,
            Err(why) => Finding::Failed(why),
        }
    }

    async fn try_find(&self) -> Result<Finding, String> {
        self.clean_up().await?;
        let client = &self.shared.client;
        let settings = &self.shared.settings;
        for role in Role::BOTH {
            let pod = objects::pod(role, &self.namespace, settings);
            let made = api::apply(client, &pod).await;
            made.map_err(|error| format!("no pod could be made: {error}"))?;
        }
        let pods = Pair {
            open: self.addresses(Role::Open).await?,
            closed: self.addresses(Role::Closed).await?,
        };
        let free = self.calls(&pods, Through::FREE, REACH_LIMIT, 1).await?;
        free.map_err(|_| "its pods do not reach each other even without a policy".to_owned())?;
        let policy = objects::policy(&self.namespace, settings);
        let made = api::apply(client, &policy).await;
        made.map_err(|error| format!("no policy could be made: {error}"))?;
        let quiet = self.calls(&pods, Through::QUIET, EFFECT_LIMIT, QUIET_MIN);
        if let Err(through) = quiet.await? {
            return Ok(Finding::NotEnforced(words(through)));
        }
        let deleted = self.delete_policy().await;
        deleted.map_err(|error| error.to_string())?;
        let free = self.calls(&pods, Through::FREE, REACH_LIMIT, 1).await?;
        free.map_err(|_| "its pods did not reach each other after the policy was gone".to_owned())?;
        Ok(Finding::Enforced)
    }

    /// The addresses of a pod, once it runs.
    async fn addresses(&self, role: Role) -> Result<Vec<String>, String> {
        let name = objects::name(role, &self.shared.settings);
        let runs = |pod: Option<&Pod>| {
            pod.is_some_and(|pod| view::is_running(pod) && !objects::addresses(pod).is_empty())
        };
        let pods = self.pods();
        let running = wait::await_condition(pods.clone(), &name, runs);
        if let Ok(Ok(Some(pod))) = time::timeout(START_LIMIT, running).await {
            return Ok(objects::addresses(&pod));
        }
        let seen = api::limited(pods.get_opt(&name)).await;
        let state = seen.ok().flatten().map(|pod| objects::state(&pod));
        let state = state.unwrap_or_else(|| "it is gone".to_owned());
        Err(format!("its pod {name} does not run: {state}"))
    }

    /// Calls in rounds until so many in a row are as they should be, or the last
    /// way in which they went through.
    async fn calls(
        &self,
        pods: &Pair,
        wanted: Through,
        limit: Duration,
        in_a_row: u32,
    ) -> Result<Result<(), Through>, String> {
        let ends = time::Instant::now() + limit;
        let (mut rounds, mut right) = (0, 0);
        loop {
            let through = self.round(pods).await?;
            rounds += 1;
            right = if through == wanted { right + 1 } else { 0 };
            if right >= in_a_row {
                return Ok(Ok(()));
            }
            // A row that has begun may go on to its end.
            if right == 0 && rounds >= ROUNDS_MIN && time::Instant::now() >= ends {
                return Ok(Err(through));
            }
            time::sleep(PAUSE).await;
        }
    }

    async fn round(&self, pods: &Pair) -> Result<Through, String> {
        let (out, into) = tokio::join!(
            self.call(Role::Closed, &pods.open),
            self.call(Role::Open, &pods.closed)
        );
        Ok(Through {
            out: out?,
            into: into?,
        })
    }

    /// Whether any address answers a pod that calls them all.
    async fn call(&self, from: Role, addresses: &[String]) -> Result<bool, String> {
        let target = Target {
            pods: self.pods(),
            name: objects::name(from, &self.shared.settings),
            shared: Arc::clone(&self.shared),
        };
        let answered = time::timeout(CALL_LIMIT, signal::output(&target, CALL, addresses));
        let answered = answered
            .await
            .map_err(|_| "a call did not end".to_owned())?;
        let answered = answered.map_err(|error| format!("no call could be made: {error}"))?;
        let text = String::from_utf8_lossy(&answered);
        let known: BTreeSet<&str> = addresses.iter().map(String::as_str).collect();
        Ok(text.lines().any(|line| known.contains(line)))
    }

    async fn clean_up(&self) -> Result<(), String> {
        self.delete_policy()
            .await
            .map_err(|error| error.to_string())?;
        for role in Role::BOTH {
            self.delete_pod(role).await?;
        }
        Ok(())
    }

    async fn delete_policy(&self) -> Result<(), ApiError> {
        let policies: Api<NetworkPolicy> =
            Api::namespaced(self.shared.client.clone(), &self.namespace);
        let name = objects::name(Role::Closed, &self.shared.settings);
        api::delete(&policies, &name, None).await
    }

    async fn delete_pod(&self, role: Role) -> Result<(), String> {
        let pods = self.pods();
        let name = objects::name(role, &self.shared.settings);
        let there = api::limited(pods.get_opt(&name)).await;
        let Some(pod) = there.map_err(|error| error.to_string())? else {
            return Ok(());
        };
        let deleted = api::delete(&pods, &name, Some(1)).await;
        deleted.map_err(|error| error.to_string())?;
        let uid = pod.uid().unwrap_or_default();
        let gone = wait::await_condition(pods, &name, conditions::is_deleted(&uid));
        match time::timeout(GONE_LIMIT, gone).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(format!("its pod {name} does not go away")),
        }
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.shared.client.clone(), &self.namespace)
    }
}

/// What a policy let through, for a person.
fn words(through: Through) -> String {
    let what = match (through.out, through.into) {
        (true, true) => "called another one and was called by it",
        (true, false) => "called another one",
        (false, true) => "was called by another one",
        (false, false) => "called another one now and then",
    };
    format!("a pod {what} although a policy closes it")
}
