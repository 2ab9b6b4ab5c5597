//! What is measured of streams and files: rates beside a plain stream of the
//! same library and beside `dd`, bytes that come back as they were sent, and the
//! memory of streams on which nothing is said.

use std::time::Duration;

use anyhow::ensure;
use futures_util::future::try_join_all;
use tokio::time::Instant;

use crate::client::Client;
use crate::pattern::Pattern;
use crate::plain;
use crate::platform::Platform;

/// How often a rate and a file are measured, in turn with what they stand beside.
const ROUNDS: usize = 5;
/// The size of the file.
const FILE_BYTES: usize = 32 * 1024 * 1024;
/// Connections over which idle streams are opened.
const CONNECTIONS: usize = 20;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    /// Bytes through each stream.
    pub(crate) bytes: u64,
    /// Streams on which nothing is said.
    pub(crate) idle: usize,
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) amount: Amount,
    /// A plain stream of the library.
    pub(crate) plain: Vec<Duration>,
    /// Output of a command.
    pub(crate) output: Vec<Duration>,
    /// There and back through `cat`, and the same bytes.
    pub(crate) both: Duration,
    /// A file by one call.
    pub(crate) files: Vec<Duration>,
    /// The same call to a plain server of the library, which drops the file.
    pub(crate) plain_files: Vec<Duration>,
    /// The same size by `dd` in the sandbox.
    pub(crate) dd: Vec<Duration>,
    /// Resident memory before the idle streams were open, and while they were.
    pub(crate) idle_kib: [u64; 2],
}

/// Measures everything, one thing after the other.
pub(crate) async fn all(platform: &Platform, amount: Amount) -> anyhow::Result<Streams> {
    let client = Client::connect(&platform.url, &platform.token).await?;
    let id = client.start().await?;
    client.running(&id, Duration::from_millis(5)).await?;
    let size = amount.bytes.to_string();
    let plain_url = plain::serve(amount.bytes).await?;
    let beside = Client::connect(&plain_url, "nobody").await?;
    let (mut plain, mut output) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain.push(timed(beside.drain("none", &["plain"], amount.bytes)).await?);
        let command = ["head", "-c", &size, "/dev/zero"];
        output.push(timed(client.drain(&id, &command, amount.bytes)).await?);
    }
    let both = timed(client.there_and_back(&id, Pattern::new(), amount.bytes)).await?;
    let content = vec![7; FILE_BYTES];
    let dd_words = [
        "dd",
        "if=/dev/zero",
        "of=/tmp/dd",
        "bs=1M",
        "count=32",
        "status=none",
    ];
    let (mut files, mut plain_files, mut dd) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain_files.push(timed(beside.write_file("none", "/none", content.clone())).await?);
        files.push(timed(client.write_file(&id, "/tmp/file", content.clone())).await?);
        dd.push(timed(client.exec(&id, &dd_words)).await?);
    }
    let idle_kib = idle(platform, &id, amount.idle).await?;
    client.delete(&id).await?;
    Ok(Streams {
        amount,
        plain,
        output,
        both,
        files,
        plain_files,
        dd,
        idle_kib,
    })
}

async fn timed<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<Duration> {
    let began = Instant::now();
    work.await?;
    Ok(began.elapsed())
}

/// Opens streams that have nothing to say, and ends them all with one byte.
async fn idle(platform: &Platform, id: &str, count: usize) -> anyhow::Result<[u64; 2]> {
    let connected = (0..CONNECTIONS).map(|_| Client::connect(&platform.url, &platform.token));
    let clients = try_join_all(connected).await?;
    let before = platform.resident_kib()?;
    let mut open = Vec::new();
    for number in 0..count {
        open.push(clients[number % CONNECTIONS].follow(id).await?);
    }
    let while_open = platform.resident_kib()?;
    ensure!(open.len() == count, "all streams are open");
    Ok([before, while_open])
}
