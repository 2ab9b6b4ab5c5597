//! A platform in a process of its own, with one profile and one runner.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time;

/// The longest wait for anything.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often a state is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Little enough not to slow it down, and where the time of a start goes.
const LOG: &str = "warn,palisade_backend_linux::laps=debug";

/// A platform that is ready.
#[derive(Debug)]
pub(crate) struct Platform {
    directory: TempDir,
    process: Child,
    cwic: PathBuf,
    /// Where it answers.
    pub(crate) url: String,
    /// The token of a user.
    pub(crate) token: String,
}

impl Platform {
    /// Starts it and waits until it takes sandboxes.
    pub(crate) async fn start(bin: &Path, images: &Path) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("palisade-bench-")
            .tempdir()?;
        let state = directory.path().join("state");
        let log = std::fs::File::create(directory.path().join("log"))?;
        let mut process = Command::new(bin.join("palisade"))
            .args(["dev", "--no-pull", "--listen", "127.0.0.1:0"])
            .args(["--log-format", "json", "--log", LOG])
            .arg("--state-dir")
            .arg(&state)
            .arg("--image-dir")
            .arg(images)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("could not start palisade")?;
        let url = address(&mut process).await?;
        let token = std::fs::read_to_string(state.join("tokens/user"))?;
        let platform = Self {
            directory,
            process,
            cwic: bin.join("cwic"),
            url,
            token: token.trim().to_owned(),
        };
        platform.furnish().await?;
        Ok(platform)
    }

    /// Its resident memory, in KiB.
    pub(crate) fn resident_kib(&self) -> anyhow::Result<u64> {
        let id = self.process.id().context("palisade has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.context("the kernel tells no memory")?.parse()?)
    }

    /// How long the parts of each start took, as its log tells.
    pub(crate) fn laps(&self) -> anyhow::Result<BTreeMap<String, Vec<Duration>>> {
        let log = std::fs::read_to_string(self.directory.path().join("log"))?;
        let events = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let mut laps = BTreeMap::<_, Vec<_>>::new();
        for (key, value) in events.flat_map(|event: serde_json::Map<_, Value>| event) {
            if let (Some(part), Some(micros)) = (key.strip_suffix("_us"), value.as_u64()) {
                let lap = Duration::from_micros(micros);
                laps.entry(part.to_owned()).or_default().push(lap);
            }
        }
        Ok(laps)
    }

    /// Asks it to end and waits.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let id = self.process.id().context("palisade has ended")?;
        let asked = Command::new("kill").arg(id.to_string()).status().await?;
        anyhow::ensure!(asked.success(), "palisade could not be asked to end");
        time::timeout(PATIENCE, self.process.wait()).await??;
        Ok(())
    }

    async fn furnish(&self) -> anyhow::Result<()> {
        let profile = json!({
            "display_name": "bench",
            "spec": {
                "container_image": "python:3.11",
                "namespace": { "strategy": "per-user" },
                "network": { "egress": {
                    "default": "internet", "modes": { "internet": { "type": "internet" } },
                } },
            },
        });
        let id = self
            .cwic(&["profile", "create", "-f", "-"], &profile.to_string())
            .await?;
        let runner = json!({
            "identity": { "runner_id": "local", "zone": "local", "cluster_name": "local" },
            "profile_bindings": [{ "profile_template_id": id, "is_default": true }],
        });
        self.cwic(&["runner", "create", "-f", "-"], &runner.to_string())
            .await?;
        time::timeout(PATIENCE, async {
            while !self.is_connected().await? {
                time::sleep(LOOK).await;
            }
            Ok(())
        })
        .await?
    }

    async fn is_connected(&self) -> anyhow::Result<bool> {
        let shown = self
            .cwic(&["runner", "get", "local", "-o", "json"], "")
            .await?;
        Ok(shown.contains("STATUS_CONNECTED"))
    }

    async fn cwic(&self, words: &[&str], stdin: &str) -> anyhow::Result<String> {
        let admin = self.directory.path().join("state/tokens/admin");
        let mut process = Command::new(&self.cwic)
            .arg("sandbox")
            .args(words)
            .env("CWIC_SERVER", &self.url)
            .env("CWIC_TOKEN", std::fs::read_to_string(admin)?.trim())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("could not start cwic")?;
        if let Some(mut pipe) = process.stdin.take() {
            pipe.write_all(stdin.as_bytes()).await?;
        }
        let ended = time::timeout(PATIENCE, process.wait_with_output()).await??;
        anyhow::ensure!(ended.status.success(), "cwic {words:?} failed");
        Ok(String::from_utf8(ended.stdout)?.trim().to_owned())
    }
}

/// Waits for the line that says where it answers.
async fn address(process: &mut Child) -> anyhow::Result<String> {
    let stdout = process.stdout.take().context("no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    let found = async {
        while let Some(line) = lines.next_line().await? {
            if let Some(url) = line.strip_prefix("listening on ") {
                return Ok(url.to_owned());
            }
        }
        bail!("palisade ended before it listened")
    };
    time::timeout(PATIENCE, found).await?
}
