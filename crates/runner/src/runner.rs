//! Putting a runner together, running it and ending it.
//!
//! A runner adopts what its backend holds before it dials, so that the first
//! thing a gateway hears is the truth. Ending it leaves sandboxes running.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use palisade_backend::{Attach, Backend, ListError};
use palisade_model::clock::Clock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::attach::Worker;
use crate::connection::Connection;
use crate::denials::{Journal, Refusals};
use crate::driver::Tools;
use crate::outbox::Outbox;
use crate::registry::Registry;
use crate::snapshots::GatewaySnapshots;
use crate::transport::Dial;

/// How long clients may take to be told that the runner ends.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long tasks may take to end when the runner ends.
const DRAIN: Duration = Duration::from_secs(5);

/// What distinguishes this runner from others.
#[derive(Clone)]
pub struct RunnerConfig {
    /// The token that lets it join, in full.
    pub join_token: String,
    /// The version of the program, for people.
    pub version: String,
    /// Changes with every start.
    pub instance_id: String,
    /// Where sandboxes are kept: the same for as long as they are there.
    pub home_id: String,
}

impl Debug for RunnerConfig {
    /// Leaves the token out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunnerConfig")
            .field("version", &self.version)
            .field("instance_id", &self.instance_id)
            .field("home_id", &self.home_id)
            .finish_non_exhaustive()
    }
}

/// A runner over one backend.
#[derive(Debug)]
pub struct Runner {
    config: RunnerConfig,
    tools: Tools,
    attach: Arc<dyn Attach>,
    snapshots: GatewaySnapshots,
    refusals: Refusals,
}

impl Runner {
    /// Puts a runner together; nothing happens yet.
    pub fn new(
        config: RunnerConfig,
        backend: Arc<dyn Backend>,
        attach: Arc<dyn Attach>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let tools = Tools {
            backend,
            clock,
            outbox: Arc::new(Outbox::default()),
        };
        Self {
            config,
            tools,
            attach,
            snapshots: GatewaySnapshots::default(),
            refusals: Refusals::default(),
        }
    }

    /// Has archives for a backend come over the connection of this runner.
    #[must_use]
    pub fn with_snapshots(self, snapshots: GatewaySnapshots) -> Self {
        Self { snapshots, ..self }
    }

    /// What is refused to sandboxes, counted from when it runs.
    pub fn refusals(&self) -> Refusals {
        self.refusals.clone()
    }

    /// Adopts what is there, then serves gateways until `stop`.
    ///
    /// Ends with an error only when the backend cannot be looked at.
    pub async fn run(self, dial: Dial, stop: CancellationToken) -> Result<(), ListError> {
        let tasks = TaskTracker::new();
        let registry = Arc::new(Registry::new(
            self.tools.clone(),
            tasks.clone(),
            stop.clone(),
        ));
        let adopted = registry.adopt().await?;
        info!(adopted, "runner started");
        let work = TaskTracker::new();
        let worker = Worker::new(self.attach, work.clone(), stop.clone());
        let snapshots = self.snapshots.clone();
        let connection = Connection {
            config: self.config,
            tools: self.tools,
            registry,
            worker,
            snapshots: self.snapshots,
            journal: Journal::default(),
            refusals: self.refusals,
        };
        // The life line outlasts the work, or the gateway would take what it is
        // told last for a loss.
        let is_told = CancellationToken::new();
        let farewell = async {
            stop.cancelled().await;
            work.close();
            if tokio::time::timeout(FAREWELL, work.wait()).await.is_err() {
                warn!(left = work.len(), "work on sandboxes did not end in time");
            }
            is_told.cancel();
        };
        tokio::join!(connection.serve(dial, &is_told), farewell);
        tasks.close();
        snapshots.closed().await;
        if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
            warn!(
                left = tasks.len(),
                "tasks of the runner did not end in time"
            );
        }
        info!("runner stopped");
        Ok(())
    }
}
