//! What distinguishes one gateway from another, and how much it takes on.

use std::time::Duration;

use crate::snapshots::SnapshotSettings;
use palisade_secrets::SecretSettings;

/// The settings of a gateway.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// The most calls of clients at once; more are told to come back. Streams
    /// count for as long as they are open.
    pub calls_max: usize,
    /// How long one call that is no stream may take, whatever its deadline.
    pub call_time: Duration,
    /// How often runners say that they are there.
    pub heartbeat: Duration,
    /// A runner that was silent for so long is not connected any more.
    pub silence_max: Duration,
    /// How long the logs of a sandbox that is over are kept on its runner.
    pub logs_kept: Duration,
    /// How long the record of a sandbox that is over is kept.
    pub records_kept: Duration,
    /// How many of the newest changes are kept in the store's feed.
    pub changes_kept: u64,
    /// A sandbox that was asked to end counts as over once its runner is away
    /// for so long.
    pub lost_after: Duration,
    /// How snapshots of file systems are kept; `None` refuses all about them.
    pub snapshots: Option<SnapshotSettings>,
    /// How often old records and lost sandboxes are looked for.
    pub upkeep_period: Duration,
    /// How often the tokens of open streams are looked at again.
    pub tokens_checked: Duration,
    /// How long a command waits for a client that does not read its output. Until
    /// then it is only slowed down, and nothing is lost.
    pub unread_max: Duration,
    /// What is kept of commands whose clients were cut off.
    pub exec_sessions: SessionLimits,
    /// Where the values of secrets are.
    pub secrets: SecretSettings,
}

/// What is kept of commands whose clients were cut off, and may come back.
#[derive(Clone, Debug)]
pub struct SessionLimits {
    /// For how long; zero keeps nothing.
    pub kept: Duration,
    /// How many bytes of output each session keeps that may not have arrived.
    /// Should be more than is on its way in a client's connection.
    pub window_bytes: usize,
    /// How many bytes all sessions keep; one organization has half at most.
    pub bytes_max: usize,
    /// How many commands run without a client; one organization has half at most.
    pub parked_max: usize,
    /// How many of them run in one sandbox.
    pub parked_per_sandbox_max: usize,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            kept: Duration::from_secs(30),
            window_bytes: 4 * 1024 * 1024,
            bytes_max: 256 * 1024 * 1024,
            parked_max: 4_096,
            parked_per_sandbox_max: 64,
        }
    }
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            calls_max: 20_000,
            call_time: Duration::from_mins(2),
            heartbeat: Duration::from_secs(2),
            silence_max: Duration::from_secs(10),
            logs_kept: Duration::from_mins(15),
            records_kept: Duration::from_hours(7 * 24),
            changes_kept: 100_000,
            lost_after: Duration::from_mins(5),
            snapshots: None,
            upkeep_period: Duration::from_secs(30),
            tokens_checked: Duration::from_secs(5),
            unread_max: Duration::from_mins(10),
            exec_sessions: SessionLimits::default(),
            secrets: SecretSettings::default(),
        }
    }
}
