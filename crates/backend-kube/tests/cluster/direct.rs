//! Sandboxes that are reached past the API server, on real pods.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use palisade_backend::conformance::{self, Job};
use palisade_backend::{
    Attach as _, Backend as _, Exec, ExecEvent, ExecSpec, LogQuery, Terminal, TunnelEvent,
};
use palisade_backend_kube::KubeBackend;
use palisade_backend_kube::settings::DirectExec;
use palisade_model::id::SandboxId;
use palisade_model::sandbox::{Exit, Launch};
use serde_json::json;
use tokio::time;

use crate::network::nft;
use crate::parts::{LIMIT, running, runs, wait_for};
use crate::profile::launch_under;
use crate::support::{Harness, client};

/// Everything that is asked of sandboxes holds as it does through the server.
mod conformance_of_agents {
    use palisade_backend::conformance_tests;

    use crate::support::Harness;

    async fn harness() -> Harness {
        let harness = Harness::direct().await;
        let proxy = harness.proxy.as_ref().expect("it has one");
        // What would go on through the server fails.
        proxy.let_only_agents_through();
        harness
    }

    conformance_tests!(only attach: harness().await);
}

fn spec(script: &str, terminal: Option<Terminal>) -> ExecSpec {
    ExecSpec {
        command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        environment: [("FROM_REQUEST".to_owned(), "a b".to_owned())].into(),
        terminal,
    }
}

async fn begin(backend: &Arc<KubeBackend>, id: SandboxId, script: &str) -> Exec {
    let begun = time::timeout(LIMIT, backend.exec(id, spec(script, None))).await;
    begun.expect("it is answered").expect("it starts")
}

/// What a command says until it ends.
async fn said(mut exec: Exec) -> (String, Option<Exit>) {
    let mut all = Vec::new();
    while let Ok(Some(event)) = time::timeout(LIMIT, exec.events.recv()).await {
        match event {
            ExecEvent::Started => {}
            ExecEvent::Stdout(data) | ExecEvent::Stderr(data) => all.extend_from_slice(&data),
            ExecEvent::Exit(exit) => {
                return (String::from_utf8_lossy(&all).into_owned(), Some(exit));
            }
            ExecEvent::Failed(error) => unreachable!("{error}"),
        }
    }
    (String::from_utf8_lossy(&all).into_owned(), None)
}

/// The last that is heard of a command.
async fn last_of(mut exec: Exec) -> Option<ExecEvent> {
    let heard = time::timeout(LIMIT, async {
        let mut last = None;
        while let Some(event) = exec.events.recv().await {
            last = Some(event);
        }
        last
    });
    heard.await.expect("it ends")
}

async fn run(backend: &Arc<KubeBackend>, id: SandboxId, script: &str) -> String {
    let (said, exit) = said(begin(backend, id, script).await).await;
    assert_eq!(exit, Some(Exit(0)), "{said}");
    said
}

/// How many agents there are, by what a command sees.
async fn agents(backend: &Arc<KubeBackend>, id: SandboxId) -> usize {
    let script = "for p in /proc/[0-9]*; do tr '\\0' ' ' 2>/dev/null <$p/cmdline; echo; done";
    let seen = run(backend, id, script).await;
    let agents = seen.lines().filter(|line| line.ends_with("init agent "));
    agents.count()
}

async fn start(harness: &Harness, launch: &Launch) {
    let backend = harness.open();
    backend.ensure(launch).await.expect("it is taken on");
    wait_for(&backend, launch.id, runs).await;
}

async fn remove(harness: &Harness, id: SandboxId) {
    crate::parts::remove(harness, id).await;
    harness.open().close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_first_command_calls_the_server() {
    let harness = Harness::direct().await;
    let launch = running(&harness).await;
    let backend = harness.open();
    let proxy = harness.proxy.as_ref().expect("it has one");
    let before = proxy.calls();
    assert_eq!(run(&backend, launch.id, "echo first").await, "first\n");
    let after_first = proxy.calls();
    assert_eq!(after_first, before + 1, "it starts the agent");
    for _ in 0..3 {
        assert_eq!(run(&backend, launch.id, "echo next").await, "next\n");
    }
    let written = backend.write_file(launch.id, "/tmp/a", bytes::Bytes::from_static(b"x").into());
    written.await.expect("it can be written");
    let read = backend.read_file(launch.id, "/tmp/a", 10).await;
    assert_eq!(read.expect("it can be read"), "x");
    assert_eq!(proxy.calls(), after_first, "nothing else asks the server");
    remove(&harness, launch.id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_come_at_once_share_one_agent() {
    let harness = Harness::direct().await;
    let launch = running(&harness).await;
    let backend = harness.open();
    let all = (0..10).map(|number| {
        let backend = Arc::clone(&backend);
        async move { run(&backend, launch.id, &format!("echo {number}")).await }
    });
    let all = futures_util::future::join_all(all).await;
    let expected: Vec<String> = (0..10).map(|number| format!("{number}\n")).collect();
    assert_eq!(all, expected);
    assert_eq!(agents(&backend, launch.id).await, 1);
    remove(&harness, launch.id).await;
}

/// What a command sees of itself, without what a shell in front of it adds. Which of its
/// own signals the C library leaves ignored where it starts something is no matter.
async fn seen(harness: &Harness, id: SandboxId) -> (String, String) {
    let script = "exec env | grep -v -e ^PWD= -e ^OLDPWD= -e ^SHLVL= -e ^_= | sort; pwd; umask; id; \
                  ulimit -n; ulimit -c; grep -e ^Cap -e ^NoNewPrivs -e ^SigBlk -e ^Groups -e ^Seccomp: \
                  /proc/self/status; cat /proc/self/oom_score_adj; cat /proc/self/cgroup";
    let piped = run(&harness.open(), id, script).await;
    let size = Terminal {
        width: 81,
        height: 25,
    };
    let script = "echo $TERM; tty >/dev/null && echo a terminal";
    let exec = harness.open().exec(id, spec(script, Some(size))).await;
    let (typed, exit) = said(exec.expect("it starts")).await;
    assert_eq!(exit, Some(Exit(0)), "{typed}");
    (piped, typed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_sees_the_same_both_ways_whoever_it_runs_as() {
    let mut harness = Harness::direct().await;
    let root = launch_under(&harness, &json!({}));
    let security = json!({ "runAsUser": 1000, "runAsGroup": 1000, "supplementalGroups": [77] });
    let user = launch_under(
        &harness,
        &json!({ "pod": { "spec": {
            "securityContext": security,
            "containers": [{ "name": "sandbox", "workingDir": "/tmp" }],
        } } }),
    );
    let mut direct = Vec::new();
    for launch in [&root, &user] {
        start(&harness, launch).await;
        direct.push(seen(&harness, launch.id).await);
        assert_eq!(agents(&harness.open(), launch.id).await, 1);
    }
    harness.settings.direct_exec = None;
    harness.reopen().await;
    for (launch, direct) in [&root, &user].into_iter().zip(direct) {
        let through_server = seen(&harness, launch.id).await;
        assert_eq!(direct, through_server);
        assert!(direct.0.contains("FROM_REQUEST=a b"), "{}", direct.0);
        assert_eq!(direct.1, "xterm\r\na terminal\r\n");
    }
    crate::parts::remove(&harness, user.id).await;
    remove(&harness, root.id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_that_takes_the_port_is_reached_through_the_server() {
    let harness = Harness::direct().await;
    let port = DirectExec::PORT;
    let script = format!(
        "nc -ll -p {port} -e /bin/cat & until grep -q ':{port:04X} .* 0A ' /proc/net/tcp \
         /proc/net/tcp6; do sleep 0.1; done; echo listening; wait"
    );
    let command = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
    let launch = conformance::launch_command(&harness, command);
    start(&harness, &launch).await;
    let backend = harness.open();
    let following = LogQuery {
        follow: true,
        ..LogQuery::default()
    };
    let logs = backend.logs(launch.id, following).await;
    let mut logs = logs.expect("it has a log");
    let said = time::timeout(LIMIT, logs.chunks.recv()).await;
    assert!(matches!(said, Ok(Some(Ok(_)))), "{said:?}");
    assert_eq!(run(&backend, launch.id, "echo here").await, "here\n");
    let proxy = harness.proxy.as_ref().expect("it has one");
    assert_eq!(agents(&backend, launch.id).await, 0);
    // It is not asked again and again whether there is an agent by now.
    let before = proxy.calls();
    run(&backend, launch.id, "true").await;
    assert_eq!(proxy.calls(), before + 1);
    remove(&harness, launch.id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_from_before_agents_is_reached_through_the_server() {
    let mut harness = Harness::direct().await;
    let direct = harness.settings.direct_exec.take();
    harness.reopen().await;
    let launch = running(&harness).await;
    harness.settings.direct_exec = direct;
    harness.reopen().await;
    assert_eq!(run(&harness.open(), launch.id, "echo here").await, "here\n");
    remove(&harness, launch.id).await;
}

/// Closes the port of an agent, as a policy would that does not know the runner, until
/// it is dropped.
struct Closed {
    table: String,
}

impl Closed {
    async fn to(launch: &Launch) -> Self {
        let pods: Api<Pod> = Api::namespaced(client().await, launch.namespace.name.as_str());
        let pod = pods.get(&launch.id.to_string()).await;
        let address = pod.expect("there is a pod").status.and_then(|it| it.pod_ip);
        let address = address.expect("it has an address");
        let table = format!("ip closed_{}", launch.id.to_string().replace('-', "_"));
        let port = DirectExec::PORT;
        nft(&format!(
            "table {table} {{\n chain agents {{\n type filter hook forward priority 0\n \
             ip daddr {address} tcp dport {port} drop\n }}\n}}\n"
        ));
        Self { table }
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        nft(&format!("delete table {}\n", self.table));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_cannot_be_reached_is_talked_to_through_the_server() {
    let harness = Harness::direct().await;
    let launch = running(&harness).await;
    let backend = harness.open();
    let closed = Closed::to(&launch).await;
    assert_eq!(run(&backend, launch.id, "echo here").await, "here\n");
    // The next ones do not try, and do not wait.
    let proxy = harness.proxy.as_ref().expect("it has one");
    let (before, began) = (proxy.calls(), time::Instant::now());
    assert_eq!(run(&backend, launch.id, "echo here").await, "here\n");
    assert_eq!(proxy.calls(), before + 1);
    assert!(began.elapsed() < Duration::from_secs(3), "{began:?}");
    drop(closed);
    remove(&harness, launch.id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_of_a_sandbox_lets_the_runner_to_its_agent() {
    let harness = Harness::direct().await;
    let launch = running(&harness).await;
    let namespace = launch.namespace.name.as_str();
    let policies: Api<NetworkPolicy> = Api::namespaced(client().await, namespace);
    let policy = policies.get(&launch.id.to_string()).await;
    let policy = policy.expect("the sandbox has a policy").spec;
    let ingress = serde_json::to_value(policy.expect("it has rules").ingress);
    let expected = json!([{
        "from": [{ "ipBlock": { "cidr": "100.64.0.0/10" } }],
        "ports": [{ "port": DirectExec::PORT, "protocol": "TCP" }],
    }]);
    assert_eq!(ingress.expect("it is JSON"), expected);
    remove(&harness, launch.id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_goes_with_the_runner_and_what_ended_commands_left_stays() {
    let mut harness = Harness::direct().await;
    let launch = running(&harness).await;
    let backend = harness.open();
    let left = "setsid sleep 1001 </dev/null >/dev/null 2>&1 &";
    run(&backend, launch.id, left).await;
    let mut exec = begin(&backend, launch.id, "sleep 1002; echo over").await;
    assert_eq!(exec.events.recv().await, Some(ExecEvent::Started));
    assert_eq!(agents(&backend, launch.id).await, 1);
    drop(backend);
    harness.settings.direct_exec = None;
    harness.reopen().await;
    let last = last_of(exec).await;
    assert!(
        matches!(last, None | Some(ExecEvent::Failed(_))),
        "{last:?}"
    );
    let backend = harness.open();
    let gone = time::timeout(Duration::from_secs(30), async {
        while agents(&backend, launch.id).await > 0 {
            time::sleep(Duration::from_millis(100)).await;
        }
    });
    gone.await.expect("the agent ends");
    let sleeps = run(&backend, launch.id, "ps | grep [s]leep").await;
    assert!(!sleeps.contains("sleep 1002"), "{sleeps}");
    assert!(sleeps.contains("sleep 1001"), "{sleeps}");
    remove(&harness, launch.id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_was_killed_is_followed_by_another_one() {
    let harness = Harness::direct().await;
    let launch = running(&harness).await;
    let backend = harness.open();
    let kill = "for p in /proc/[0-9]*; do case $(tr '\\0' ' ' 2>/dev/null <$p/cmdline) in \
                *'init agent ') kill -9 ${p#/proc/} ;; esac; done";
    // It loses the connection that it runs on.
    let last = last_of(begin(&backend, launch.id, kill).await).await;
    assert!(matches!(last, Some(ExecEvent::Failed(_))), "{last:?}");
    // Whatever way the next ones take, they arrive.
    for _ in 0..3 {
        assert_eq!(run(&backend, launch.id, "echo here").await, "here\n");
    }
    remove(&harness, launch.id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_through_an_agent_has_an_end_of_each_direction() {
    let harness = Harness::direct().await;
    let proxy = harness.proxy.as_ref().expect("it has one");
    proxy.let_only_agents_through();
    let launch = conformance::launch(&harness, &Job::RunUntilStopped);
    start(&harness, &launch).await;
    let backend = harness.open();
    // It answers only once it has heard everything.
    let server = "nc -l -p 4444 -e /bin/sh -c 'n=$(wc -c); sleep 1; echo $n'";
    let exec = begin(&backend, launch.id, server).await;
    let port = 4444.try_into().expect("it is a port");
    let connected = time::timeout(LIMIT, async {
        loop {
            match backend.connect(launch.id, port).await {
                Ok(tunnel) => break tunnel,
                Err(_) => time::sleep(Duration::from_millis(100)).await,
            }
        }
    });
    let mut tunnel = connected.await.expect("it listens at last");
    tunnel
        .input
        .send("12345".into())
        .await
        .expect("it is taken");
    drop(tunnel.input);
    let mut events = Vec::new();
    while let Ok(Some(event)) = time::timeout(LIMIT, tunnel.events.recv()).await {
        events.push(event);
    }
    assert_eq!(events, [TunnelEvent::Data("5\n".into()), TunnelEvent::End]);
    drop(exec);
    remove(&harness, launch.id).await;
}
