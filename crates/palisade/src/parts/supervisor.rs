//! Owner of every long-lived task of the process.
//!
//! Runs until somebody asks the process to end or a task ends by itself, which
//! none should. Then everything is told to stop, and waited for within a limit;
//! what did not end in time is named.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// How long all tasks together may take to end.
const DRAIN: Duration = Duration::from_secs(15);

/// Owns the tasks of the process.
#[derive(Debug)]
pub(crate) struct Supervisor {
    stop: CancellationToken,
    tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
    running: BTreeSet<&'static str>,
}

impl Supervisor {
    /// A supervisor without tasks.
    pub(crate) fn new() -> Self {
        Self {
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
            running: BTreeSet::new(),
        }
    }

    /// Tells every task to end, once it is cancelled.
    pub(crate) fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task that ends only when it is told to.
    pub(crate) fn spawn<F>(&mut self, name: &'static str, task: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.running.insert(name);
        self.tasks.spawn(async move { (name, task.await) });
    }

    /// Runs until a signal or the end of a task, then ends everything.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let reason = tokio::select! {
            asked = wait_for_signal() => asked.map(|name| info!(signal = name, "stopping")),
            ended = self.next_end() => Err(ended),
        };
        self.stop.cancel();
        let drained = time::timeout(DRAIN, self.drain()).await;
        if drained.is_err() {
            warn!(tasks = ?self.running, "some tasks did not end in time");
        }
        reason
    }

    async fn next_end(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Ok((name, ended))) => {
                self.running.remove(name);
                match ended {
                    Ok(()) => anyhow!("{name} ended by itself"),
                    Err(error) => error.context(format!("{name} failed")),
                }
            }
            Some(Err(error)) => anyhow!(error).context("a task broke down"),
            None => anyhow!("there was nothing to do"),
        }
    }

    async fn drain(&mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            match ended {
                Ok((name, Ok(()))) => {
                    self.running.remove(name);
                }
                Ok((name, Err(error))) => {
                    self.running.remove(name);
                    error!(task = name, error = format!("{error:#}"), "ended badly");
                }
                Err(error) => error!(%error, "a task broke down"),
            }
        }
    }
}

async fn wait_for_signal() -> anyhow::Result<&'static str> {
    let failed = "could not listen for signals";
    let mut interrupt = signal(SignalKind::interrupt()).context(failed)?;
    let mut terminate = signal(SignalKind::terminate()).context(failed)?;
    Ok(tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_one_task_ends_all() {
        let mut supervisor = Supervisor::new();
        let stop = supervisor.stop_token();
        supervisor.spawn("patient", async move {
            stop.cancelled().await;
            Ok(())
        });
        supervisor.spawn("hasty", async { Err(anyhow!("gave up")) });
        let ended = time::timeout(Duration::from_secs(5), supervisor.run()).await;
        let error = ended.expect("everything ends").unwrap_err();
        assert_eq!(format!("{error:#}"), "hasty failed: gave up");
    }
}
