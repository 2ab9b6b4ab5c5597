//! What sandboxes use, as the cluster's metrics API tells it.
//!
//! One question for all sandboxes of this runner, now and then: that takes the
//! right to list pods of `metrics.k8s.io`, and none to talk to nodes, which would
//! be the right to run commands in every pod of theirs. A cluster need not have
//! that API. Then nothing is known, which is not nothing, and the reason is kept
//! for the capabilities.
//!
//! One task; it ends when the backend closes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::Client;
use kube::api::ListParams;
use kube::core::Request;
use palisade_backend::{CpuUse, Usage};
use palisade_model::id::SandboxId;
use palisade_model::quantity::Quantity;
use serde::Deserialize;
use tokio::time;
use tracing::{debug, info};

use crate::api::{self, ApiError};
use crate::naming;
use crate::shared::Shared;

/// How often the API is asked; it measures about as often itself.
const PACE: Duration = Duration::from_secs(15);
/// How often it is asked while it does not answer.
const PACE_WITHOUT: Duration = Duration::from_mins(1);
/// Where the API is.
const PODS: &str = "/apis/metrics.k8s.io/v1beta1/pods";

/// What is known of the use of all sandboxes.
#[derive(Debug)]
pub(crate) struct UsageBook(Mutex<Known>);

type Known = Result<BTreeMap<SandboxId, Usage>, String>;

impl Default for UsageBook {
    fn default() -> Self {
        let not_yet = "its cluster was not asked yet";
        Self(Mutex::new(Err(not_yet.to_owned())))
    }
}

impl UsageBook {
    /// What a sandbox uses, if that is known.
    pub(crate) fn of(&self, id: SandboxId) -> Option<Usage> {
        self.lock().as_ref().ok()?.get(&id).copied()
    }

    /// Why nothing is known of any sandbox, if that is so.
    pub(crate) fn why_unknown(&self) -> Option<String> {
        self.lock().as_ref().err().cloned()
    }

    /// Takes in what was heard.
    fn put(&self, known: Known) {
        let mut place = self.lock();
        match (&*place, &known) {
            (Err(_), Ok(_)) => info!("the cluster tells what sandboxes use"),
            (before, Err(why)) if before.as_ref().err() != Some(why) => {
                info!("what sandboxes use is not known: {why}");
            }
            (Ok(_) | Err(_), Ok(_) | Err(_)) => {}
        }
        *place = known;
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks in the background, again and again, until the backend closes.
pub(crate) fn start(shared: &Arc<Shared>) {
    let here = Arc::clone(shared);
    shared.tasks.spawn(async move {
        let closing = here.closing.clone();
        let _ = closing.run_until_cancelled(keep(&here)).await;
    });
}

async fn keep(shared: &Shared) {
    loop {
        let known = ask(&shared.client, &shared.selector()).await;
        let pace = if known.is_ok() { PACE } else { PACE_WITHOUT };
        shared.usage.put(known);
        time::sleep(pace).await;
    }
}

async fn ask(client: &Client, selector: &str) -> Known {
    let labelled = ListParams::default().labels(selector);
    let request = Request::new(PODS).list(&labelled);
    let request = request.map_err(|error| error.to_string())?;
    let asked = api::limited(client.request::<PodList>(request)).await;
    match asked {
        Ok(list) => Ok(list.usage()),
        Err(ApiError::NotFound(_)) => Err("its cluster has no metrics API (metrics.k8s.io), \
             which a metrics server brings"
            .to_owned()),
        Err(ApiError::Refused(why)) => Err(format!(
            "it may not ask the metrics API of its cluster: {why}"
        )),
        Err(ApiError::Unavailable(why)) => {
            debug!(why, "the metrics API does not answer");
            Err("the metrics API of its cluster does not answer".to_owned())
        }
    }
}

/// A list of what pods use. Of other people's answer, as little is read as can be.
#[derive(Debug, Deserialize)]
struct PodList {
    items: Vec<PodUse>,
}

#[derive(Debug, Deserialize)]
struct PodUse {
    metadata: Metadata,
    #[serde(default)]
    containers: Vec<ContainerUse>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct ContainerUse {
    usage: Amounts,
}

#[derive(Debug, Deserialize)]
struct Amounts {
    cpu: String,
    memory: String,
}

impl PodList {
    fn usage(&self) -> BTreeMap<SandboxId, Usage> {
        let all = self.items.iter();
        all.filter_map(|pod| Some((pod.id()?, pod.usage()?)))
            .collect()
    }
}

impl PodUse {
    /// A pod is called like its sandbox; servers of metrics may leave labels out.
    fn id(&self) -> Option<SandboxId> {
        let labelled = self.metadata.labels.get(naming::SANDBOX_ID);
        labelled.unwrap_or(&self.metadata.name).parse().ok()
    }

    /// All containers together; `None` unless each of them was measured.
    fn usage(&self) -> Option<Usage> {
        let (mut cpu_millis, mut memory_bytes) = (0_u64, 0_u64);
        for ContainerUse { usage } in &self.containers {
            let cpu: Quantity = usage.cpu.parse().ok()?;
            let memory: Quantity = usage.memory.parse().ok()?;
            cpu_millis = cpu_millis.saturating_add(cpu.to_millis()?);
            memory_bytes = memory_bytes.saturating_add(memory.to_units()?);
        }
        (!self.containers.is_empty()).then_some(Usage {
            cpu: CpuUse::Millis(cpu_millis),
            memory_bytes,
            pids: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use http::Response;
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    const ID: &str = "01a217fd-ddb1-7711-9345-440de126b182";

    /// What is known once a server that answers so was asked.
    async fn heard(status: u16, body: serde_json::Value) -> Known {
        let answer = move |request: http::Request<Body>| {
            let body = body.clone();
            async move {
                let uri = request.uri().to_string();
                let is_wanted = uri.contains("/apis/metrics.k8s.io/v1beta1/pods?")
                    && uri.contains("labelSelector=a%2Fb%3Dc%2Cd");
                assert!(is_wanted, "{uri}");
                let body = Body::from(body.to_string().into_bytes());
                let answer = Response::builder().status(status).body(body);
                Ok::<_, std::io::Error>(answer.unwrap())
            }
        };
        let client = Client::new(tower::service_fn(answer), "default");
        ask(&client, "a/b=c,d").await
    }

    fn failure(code: u16) -> serde_json::Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "message": "pods.metrics.k8s.io is forbidden", "reason": "any", "metadata": {},
        })
    }

    #[tokio::test]
    async fn containers_of_a_pod_count_together_in_any_spelling() {
        let amount = |cpu: &str, memory: &str| json!({ "name": "x", "usage": { "cpu": cpu, "memory": memory } });
        let pods = json!({ "kind": "PodMetricsList", "items": [
            { "metadata": { "name": ID }, "timestamp": "2026-12-24T12:00:00Z", "window": "15s",
              "containers": [amount("1500000n", "1Mi"), amount("250m", "1024Ki")] },
            { "metadata": { "name": "elsewhere" }, "containers": [amount("1", "1")] },
        ] });
        let known = heard(200, pods).await.unwrap();
        let expected = Usage {
            cpu: CpuUse::Millis(2 + 250),
            memory_bytes: 2 << 20,
            pids: None,
        };
        assert_eq!(known, BTreeMap::from([(ID.parse().unwrap(), expected)]));
    }

    #[tokio::test]
    async fn what_cannot_be_measured_is_not_taken_for_nothing() {
        let odd = json!({ "items": [
            { "metadata": { "name": ID }, "containers": [{ "usage": { "cpu": "-1", "memory": "1Mi" } }] },
        ] });
        assert_eq!(heard(200, odd).await.unwrap(), BTreeMap::new());
        let none = json!({ "items": [{ "metadata": { "name": ID }, "containers": [] }] });
        assert_eq!(heard(200, none).await.unwrap(), BTreeMap::new());
    }

    #[tokio::test]
    async fn why_nothing_is_known_says_what_is_missing() {
        for (code, words) in [
            (404, "has no metrics API"),
            (403, "may not ask"),
            (503, "does not answer"),
        ] {
            let book = UsageBook::default();
            book.put(heard(code, failure(code)).await);
            let why = book.why_unknown().unwrap();
            assert!(why.contains(words), "{why}");
            assert_eq!(book.of(ID.parse().unwrap()), None);
        }
    }
}
