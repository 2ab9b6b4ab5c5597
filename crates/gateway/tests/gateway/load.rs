//! Much at once, over a backend that does nothing. What is ignored runs by hand:
//!
//! ```text
//! cargo test --release -p palisade-gateway --test gateway -- \
//!   --ignored --nocapture --test-threads 1 load::
//! ```

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use palisade_gateway::GatewayConfig;
use palisade_model::clock::Ids as _;
use palisade_model::id::SandboxId;
use palisade_model::profile::Revision;
use palisade_store::sandbox::Basis;
use palisade_store::{ProfileRef, Profiles as _, Sandboxes as _};
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::exec_stream_response::Response as Answer;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

use crate::rig::{Stage, parsed, reason, running};
use crate::scene::{Answers, Streams, connect, open};

/// How many commands are being opened at once: more than a runner is asked for at once,
/// and not more than the store answers in time on a machine with much else to do.
const OPENINGS_AT_ONCE: usize = 500;
/// Sandboxes that are started, and how many at once.
const STARTS: usize = 2_000;
const STARTS_AT_ONCE: usize = 32;
/// Starts in a second, when they come at a steady rate.
const RATE: u32 = 525;
/// Records of which a gateway is to keep little.
const RECORDS: u64 = 50_000;
/// The longest that all of it may take.
const PATIENCE: Duration = Duration::from_mins(5);

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_commands_at_once_end_and_more_are_refused_with_a_reason() {
    many_commands(10_000, 10_500).await;
}

/// So many commands at once, of which one organization may have fewer, as half of the
/// streams that the gateway serves.
async fn many_commands(of_one: usize, commands: usize) {
    let config = GatewayConfig {
        calls_max: of_one * 2,
        ..GatewayConfig::default()
    };
    let (stage, gateway, _runner, client) = Stage::configured(config).await;
    let id = client.start(running("fake until-stopped")).await.unwrap();
    client.runs(&id.sandbox_id).await;
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(connect(&stage, &gateway).await);
    }
    let (go, all_open) = watch::channel(false);
    let (told, mut count) = mpsc::channel(commands);
    let mut open = JoinSet::new();
    let openings = Arc::new(Semaphore::new(OPENINGS_AT_ONCE));
    let began = Instant::now();
    for number in 0..commands {
        let streams = streams[number % streams.len()].clone();
        let run = cat(
            streams,
            id.sandbox_id.clone(),
            told.clone(),
            openings.clone(),
            all_open.clone(),
        );
        open.spawn(run);
    }
    let settle = async {
        for _ in 0..commands {
            count.recv().await.unwrap();
        }
    };
    time::timeout(PATIENCE, settle).await.expect("none hangs");
    let settled = began.elapsed();
    go.send(true).unwrap();
    let ends = time::timeout(PATIENCE, open.join_all()).await;
    let ends = ends.expect("all of them end");
    let refused = ends.iter().filter(|end| end.is_err()).count();
    for end in &ends {
        let (Ok(seen) | Err(seen)) = end;
        assert!(
            ["exit 0", "CWSANDBOX_OVERLOADED"].contains(&seen.as_str()),
            "{seen}"
        );
    }
    assert_eq!(refused, commands - of_one);
    let ended = began.elapsed();
    say(&format!(
        "{commands} commands: all settled after {settled:?}, ended after {ended:?}; {refused} refused"
    ));
}

/// Runs `cat` and holds it until all are open.
async fn cat(
    streams: Streams,
    sandbox_id: String,
    told: mpsc::Sender<()>,
    openings: Arc<Semaphore>,
    mut all_open: watch::Receiver<bool>,
) -> Result<String, String> {
    let init = pb::ExecStreamInit {
        sandbox_id,
        command: ["fake", "cat", "exit", "0"].map(str::to_owned).to_vec(),
        ..Default::default()
    };
    let opening = openings.acquire().await.unwrap();
    let first = match open(streams, init).await {
        Ok((frames, Answers(mut answers))) => {
            let first = answers.message().await;
            first.map(|first| (frames, answers, first))
        }
        Err(status) => Err(status),
    };
    drop(opening);
    told.send(()).await.unwrap();
    let (frames, mut answers, first) = first.map_err(|status| reason(&status))?;
    let mut last = first.and_then(|answer| answer.response);
    all_open.wait_for(|all| *all).await.unwrap();
    drop(frames);
    while let Some(answer) = answers.message().await.map_err(|status| reason(&status))? {
        last = answer.response;
    }
    match last {
        Some(Answer::Exit(exit)) => Ok(format!("exit {}", exit.exit_code)),
        other => Err(format!("{other:?}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "thousands of sandboxes; by hand"]
async fn starts_are_quick_and_their_records_small() {
    let (_stage, _gateway, _runner, client) = Stage::configured(GatewayConfig::default()).await;
    let first = client.start(small()).await.unwrap();
    client.runs(&first.sandbox_id).await;
    let before = resident_kib();
    let began = Instant::now();
    let took: Vec<Duration> = stream::iter(0..STARTS)
        .map(|_| {
            let client = client.clone();
            async move {
                let began = Instant::now();
                client.start(small()).await.unwrap();
                began.elapsed()
            }
        })
        .buffer_unordered(STARTS_AT_ONCE)
        .collect()
        .await;
    let wall = began.elapsed();
    let sorted = sorted(took);
    let each = resident_kib().saturating_sub(before) * 1024 / STARTS as u64;
    let rate = STARTS as u128 * 1000 / wall.as_millis().max(1);
    say(&format!(
        "{STARTS} starts, {STARTS_AT_ONCE} at once: {rate}/s, p50 {:?}, p99 {:?}; {each} bytes for each \
         sandbox in gateway, runner and backend together",
        at(&sorted, 50),
        at(&sorted, 99),
    ));
}

/// A start is due at its time, whatever becomes of those before it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "thousands of sandboxes; by hand"]
async fn starts_at_a_steady_rate_are_quick() {
    let (_stage, _gateway, _runner, client) = Stage::configured(GatewayConfig::default()).await;
    let first = client.start(small()).await.unwrap();
    client.runs(&first.sandbox_id).await;
    let began = Instant::now();
    let mut beat = time::interval(Duration::from_secs(1) / RATE);
    let mut starts = JoinSet::new();
    for _ in 0..STARTS {
        let due = beat.tick().await;
        let client = client.clone();
        starts.spawn(async move {
            client.start(small()).await.unwrap();
            due.elapsed()
        });
    }
    let sorted = sorted(starts.join_all().await);
    let rate = STARTS as u128 * 1000 / began.elapsed().as_millis().max(1);
    say(&format!(
        "{STARTS} starts, one each {:?}: {rate}/s, p50 {:?}, p99 {:?}",
        Duration::from_secs(1) / RATE,
        at(&sorted, 50),
        at(&sorted, 99),
    ));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tens of thousands of records; by hand"]
async fn a_gateway_keeps_little_of_each_sandbox() {
    let (stage, gateway, runner, client) = Stage::configured(GatewayConfig::default()).await;
    let id = client.start(small()).await.unwrap().sandbox_id;
    let id: SandboxId = id.parse().unwrap();
    let acme = parsed("acme");
    let record = stage.store.get_sandbox(&acme, id).await.unwrap();
    let profile = ProfileRef::from(record.placement.profile_id);
    let profile = stage.store.get_profile(&acme, &profile).await.unwrap();
    let basis = Basis {
        runner: stage.local().await.revision,
        profile: profile.revision,
        quota: Revision::FIRST,
    };
    runner.end();
    gateway.kill();
    let adding = stream::iter(0..RECORDS).map(|_| {
        let id = SandboxId::new(stage.ids.uuid());
        let mut copy = record.clone();
        copy.id = id;
        copy.launch.id = id;
        stage.store.insert_sandbox(copy, basis)
    });
    let added: Vec<_> = adding.buffer_unordered(STARTS_AT_ONCE).collect().await;
    assert!(added.iter().all(Result::is_ok));
    // It is ready once it has read all of them.
    let before = resident_kib();
    let _gateway = stage.gateway(GatewayConfig::default()).await;
    let each = resident_kib().saturating_sub(before) * 1024 / RECORDS;
    say(&format!(
        "a gateway with {RECORDS} sandboxes: {each} bytes for each of them"
    ));
}

fn sorted(mut took: Vec<Duration>) -> Vec<Duration> {
    took.sort();
    took
}

fn at(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent).div_ceil(100) - 1]
}

/// So small that the runner has room for all of them.
fn small() -> pb::StartSandboxRequest {
    pb::StartSandboxRequest {
        resources: Some(pb::ResourceRequest {
            cpu: "10m".to_owned(),
            memory: "16Mi".to_owned(),
            gpu: None,
        }),
        ..running("fake until-stopped")
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let value = line.unwrap().trim().trim_end_matches(" kB");
    value.parse().unwrap()
}

fn say(text: &str) {
    writeln!(std::io::stdout().lock(), "{text}").unwrap();
}
