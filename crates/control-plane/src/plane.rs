//! The control plane itself: what its parts share.

use std::sync::Arc;
use std::time::Duration;

use palisade_model::clock::{Clock, Ids, Timestamp};
use palisade_model::snapshot::SnapshotLimits;
use palisade_model::tenant::Principal;
use palisade_secrets::{SecretSettings, Secrets};
use palisade_store::{Stamp, Store};
use tokio_util::sync::CancellationToken;

use crate::live::RunnerLive;

/// Answers requests about configuration. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) live: Arc<dyn RunnerLive>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) secrets: Secrets,
    pub(crate) limits: Limits,
    /// What the server lets organizations keep whose quota says nothing.
    pub(crate) snapshot_limits: Option<SnapshotLimits>,
    /// The largest file system of a sandbox.
    pub(crate) mount_bytes_max: u64,
    /// Ends the waiting of those who watch.
    pub(crate) stop: CancellationToken,
}

/// How much is taken on.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most requests at once; more are told to come back.
    pub requests_max: usize,
    /// The most callers at once that wait for a change.
    pub waits_max: usize,
    /// How long one request may take.
    pub request_time: Duration,
    /// How long the body of a request may take to arrive.
    pub body_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_max: 256,
            waits_max: 1024,
            request_time: Duration::from_secs(30),
            body_time: Duration::from_secs(10),
        }
    }
}

impl ControlPlane {
    /// Puts the parts together.
    pub fn new(
        store: Arc<dyn Store>,
        live: Arc<dyn RunnerLive>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Self {
        let secrets = Secrets::new(
            Arc::clone(&store),
            Arc::clone(&clock),
            Arc::clone(&ids),
            SecretSettings::default(),
        );
        Self {
            store,
            live,
            clock,
            ids,
            secrets,
            limits: Limits::default(),
            snapshot_limits: None,
            mount_bytes_max: u64::MAX,
            stop: CancellationToken::new(),
        }
    }

    /// Answers those who wait for a change as soon as `stop` is cancelled, so
    /// that a server can end.
    #[must_use]
    pub fn ending_with(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }

    /// Says where the values of secrets are; without that, none can be kept.
    #[must_use]
    pub fn with_secrets(mut self, settings: SecretSettings) -> Self {
        self.secrets = Secrets::new(
            Arc::clone(&self.store),
            Arc::clone(&self.clock),
            Arc::clone(&self.ids),
            settings,
        );
        self
    }

    /// Says what the server lets organizations keep of snapshots, and how large the
    /// file system of a sandbox may be.
    #[must_use]
    pub fn with_snapshot_limits(mut self, limits: SnapshotLimits, mount_bytes_max: u64) -> Self {
        self.snapshot_limits = Some(limits);
        self.mount_bytes_max = mount_bytes_max;
        self
    }

    /// Changes how much is taken on.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn stamp(&self, caller: &Principal) -> Stamp {
        Stamp {
            by: caller.user.clone(),
            at: self.now(),
        }
    }
}
