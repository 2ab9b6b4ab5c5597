//! Whether the cluster enforces network policies is found out, and what that means.
//!
//! The network plugin of the test node enforces none. Where one that does is
//! needed, the test does the plugin's work with a rule of its own.

use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use palisade_backend::conformance::{self, Job};
use palisade_backend::{Backend as _, EnsureError};
use palisade_backend_kube::settings::Enforcement;
use tokio::time;

use crate::support::{Harness, client};

/// How long a probe may take on a busy machine: its pods alone have three minutes.
const PROBE_LIMIT: Duration = Duration::from_mins(6);
const PAUSE: Duration = Duration::from_millis(200);

/// A backend that finds out, with an instance of its own.
async fn probing() -> Harness {
    Harness::with(|settings| settings.enforcement = Enforcement::Required).await
}

/// Waits for a refusal of a launch with these words in it, or for none.
async fn wait_for_refusal(harness: &Harness, words: Option<&str>) {
    let launch = conformance::launch(harness, &Job::ExitWith(0));
    let backend = harness.open();
    let mut last = String::new();
    let waited = time::timeout(PROBE_LIMIT, async {
        loop {
            last = match backend.ensure(&launch).await {
                Ok(()) => String::new(),
                Err(EnsureError::Unsupported { what }) => what,
                Err(error @ EnsureError::Internal(_)) => unreachable!("{error}"),
            };
            match words {
                Some(words) if last.contains(words) => return,
                None if last.is_empty() => return,
                Some(_) | None => time::sleep(PAUSE).await,
            }
        }
    });
    assert!(waited.await.is_ok(), "the last refusal was {last:?}");
    backend.remove(launch.id).await.expect("it can be removed");
}

/// Waits until nothing of the probe of this harness is left.
async fn wait_until_probe_is_gone(harness: &Harness) {
    let pods: Api<Pod> = Api::namespaced(client().await, "palisade");
    for _ in 0..600 {
        let (open, closed) = harness.probe_names();
        let left = [pods.get_opt(&open).await, pods.get_opt(&closed).await];
        if left.iter().all(|one| matches!(one, Ok(None))) {
            return;
        }
        time::sleep(PAUSE).await;
    }
    unreachable!("pods of the probe are left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_enforces_nothing_is_found_out_and_takes_no_sandbox() {
    let harness = probing().await;
    let launch = conformance::launch(&harness, &Job::ExitWith(0));
    let early = harness.open().ensure(&launch).await;
    let Err(EnsureError::Unsupported { what }) = early else {
        unreachable!("nothing is known yet: {early:?}");
    };
    assert!(what.contains("still being found out"), "{what}");
    let expected = "a pod called another one and was called by it although a policy closes it";
    wait_for_refusal(&harness, Some(expected)).await;
    assert!(harness.open().capabilities().egress.is_empty());
    wait_until_probe_is_gone(&harness).await;
    harness.open().close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_without_an_image_says_so_and_takes_its_pods_along() {
    let harness = Harness::with(|settings| {
        settings.enforcement = Enforcement::Required;
        settings.probe_image = "127.0.0.1:1/no-such-image:1".to_owned();
    })
    .await;
    let (open, _) = harness.probe_names();
    let pods: Api<Pod> = Api::namespaced(client().await, "palisade");
    for _ in 0..300 {
        if pods.get_opt(&open).await.unwrap().is_some() {
            break;
        }
        time::sleep(PAUSE).await;
    }
    // It is interrupted here, as by a runner that ends.
    harness.open().close().await;
    wait_until_probe_is_gone(&harness).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_enforces_policies_is_found_out_and_takes_sandboxes() {
    let harness = probing().await;
    let plugin = Plugin::start(&harness);
    wait_for_refusal(&harness, None).await;
    let egress = harness.open().capabilities().egress;
    // The test node is older than the servers that can close single ports.
    let kinds: Vec<&str> = egress.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(kinds.len(), 4, "{kinds:?}");
    assert!(!kinds.contains(&"internet"), "{kinds:?}");
    wait_until_probe_is_gone(&harness).await;
    harness.open().close().await;
    plugin.end().await;
}

/// Enforces the policy of one probe at the bridge of the node, as long as it is there.
struct Plugin {
    work: tokio::task::JoinHandle<()>,
    stop: tokio_util::sync::CancellationToken,
}

impl Plugin {
    fn start(harness: &Harness) -> Self {
        let (_, closed) = harness.probe_names();
        let stop = tokio_util::sync::CancellationToken::new();
        let tasks = tokio_util::task::TaskTracker::new();
        let until = stop.clone();
        let work = tasks.spawn(async move {
            until.run_until_cancelled(Self::enforce(&closed)).await;
            filter(&table(&closed), None);
        });
        Self { work, stop }
    }

    async fn enforce(closed: &str) {
        let policies: Api<NetworkPolicy> = Api::namespaced(client().await, "palisade");
        let pods: Api<Pod> = Api::namespaced(client().await, "palisade");
        let mut in_force = None;
        loop {
            let policy = policies.get_opt(closed).await.ok().flatten();
            let pod = pods.get_opt(closed).await.ok().flatten();
            let address = pod.and_then(|pod| pod.status?.pod_ip);
            let wanted = policy.and(address);
            if wanted != in_force {
                filter(&table(closed), wanted.as_deref());
                in_force = wanted;
            }
            time::sleep(PAUSE).await;
        }
    }

    async fn end(self) {
        self.stop.cancel();
        self.work.await.expect("it ends");
    }
}

fn table(closed: &str) -> String {
    closed.replace('-', "_")
}

/// Lets nothing from or to an address of a pod through, or everything again.
fn filter(table: &str, address: Option<&str>) {
    let chain = address.map(|address| {
        format!(
            "table bridge {table} {{\n chain pods {{\n type filter hook forward priority 0\n \
             ip saddr {address} drop\n ip daddr {address} drop\n }}\n}}"
        )
    });
    let anew = format!("table bridge {table}\ndelete table bridge {table}\n");
    nft(&format!("{anew}{}\n", chain.unwrap_or_default()));
}

/// Loads rules on the test node.
pub(crate) fn nft(rules: &str) {
    let node = "/run/netns/$PALISADE_TEST_KUBE_NETNS";
    let script = format!("printf '%s' \"$1\" | nsenter --net=\"{node}\" nft -f -");
    let run = Command::new("sh")
        .args(["-c", &script, "sh", rules])
        .output();
    let run = run.expect("there is a shell");
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.success(), "{said}");
}
