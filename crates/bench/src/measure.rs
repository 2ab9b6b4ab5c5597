//! What is measured.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::Instant;

use crate::client::Client;
use crate::platform::Platform;
use crate::reference::Reference;

/// How many execs make a distribution, for each run of the others.
const EXECS_EACH: usize = 25;
/// How often the one sandbox that starts is looked at.
const LOOK: Duration = Duration::from_micros(500);
/// How often each of many is, so that looking does not take the processors
/// from starting; the official SDKs look less often still.
const LOOK_AT_MANY: Duration = Duration::from_millis(10);

/// All that was measured.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Resident memory before the first sandbox, in KiB.
    pub(crate) idle_kib: u64,
    /// Each start, in its parts.
    pub(crate) starts: Vec<Start>,
    /// The parts of each start that are the runner's, by name.
    pub(crate) laps: BTreeMap<String, Vec<Duration>>,
    /// The runtime alone, in turn with the starts.
    pub(crate) references: Vec<Duration>,
    /// Execs of `true`.
    pub(crate) execs: Vec<Duration>,
    /// How many sandboxes were started at once.
    pub(crate) burst: usize,
    /// How long they all took.
    pub(crate) burst_wall: Duration,
    /// How long as many runs of the runtime alone took.
    pub(crate) burst_reference: Duration,
}

/// One start in its parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    /// From the call to its answer.
    pub(crate) acknowledged: Duration,
    /// From the answer to RUNNING, as a client sees it.
    pub(crate) running: Duration,
    /// From RUNNING to the end of the first `echo`.
    pub(crate) echoed: Duration,
}

impl Start {
    /// All of it.
    pub(crate) fn whole(self) -> Duration {
        self.acknowledged + self.running + self.echoed
    }

    /// What the target is about: from the answer to the end of the first `echo`.
    pub(crate) fn after_acknowledgement(self) -> Duration {
        self.running + self.echoed
    }
}

/// Measures everything, one thing after the other.
pub(crate) async fn all(
    platform: &Platform,
    images: &Path,
    runs: usize,
    burst: usize,
) -> anyhow::Result<Measured> {
    let idle_kib = platform.resident_kib()?;
    let client = Client::connect(&platform.url, &platform.token).await?;
    let steady = client.start().await?;
    client.running(&steady, LOOK).await?;
    let reference = Reference::of_sandbox(&steady, images)?;

    // The first of each is not counted: caches are cold.
    start(&client).await?;
    reference.run("palisade-bench-warm").await?;
    let (mut starts, mut references) = (Vec::new(), Vec::new());
    for run in 0..runs {
        starts.push(start(&client).await?);
        references.push(reference.run(&format!("palisade-bench-{run}")).await?);
    }
    let laps = platform.laps()?;
    let mut execs = Vec::new();
    for _ in 0..runs * EXECS_EACH {
        let began = Instant::now();
        client.exec(&steady, &["true"]).await?;
        execs.push(began.elapsed());
    }
    client.delete(&steady).await?;

    let began = Instant::now();
    let ids = try_join_all((0..burst).map(|_| one_of_many(&client))).await?;
    let burst_wall = began.elapsed();
    for id in ids {
        client.delete(&id).await?;
    }
    let began = Instant::now();
    let names: Vec<_> = (0..burst).map(|n| format!("palisade-burst-{n}")).collect();
    try_join_all(names.iter().map(|name| reference.run(name))).await?;
    Ok(Measured {
        idle_kib,
        starts,
        laps,
        references,
        execs,
        burst,
        burst_wall,
        burst_reference: began.elapsed(),
    })
}

async fn start(client: &Client) -> anyhow::Result<Start> {
    let began = Instant::now();
    let id = client.start().await?;
    let acknowledged = began.elapsed();

    let began = Instant::now();
    client.running(&id, LOOK).await?;
    let running = began.elapsed();

    let began = Instant::now();
    let written = client.exec(&id, &["echo", "hello"]).await?;
    let echoed = began.elapsed();

    anyhow::ensure!(written == b"hello\n", "echo wrote something else");
    client.delete(&id).await?;
    Ok(Start {
        acknowledged,
        running,
        echoed,
    })
}

async fn one_of_many(client: &Client) -> anyhow::Result<String> {
    let id = client.start().await?;
    client.running(&id, LOOK_AT_MANY).await?;
    client.exec(&id, &["echo", "hello"]).await?;
    Ok(id)
}
