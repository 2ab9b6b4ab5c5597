//! What is known of the processes behind runners.
//!
//! The control plane holds configuration; whether a runner is there is known
//! where it dials in. The binary passes that knowledge in.

use std::fmt::Debug;

use palisade_model::id::RunnerUid;
use palisade_wire::rest::RunnerObservation;

/// Tells what is known of a runner at this moment.
///
/// # Contract
///
/// * A call returns at once, out of memory.
/// * A runner that was never heard of is answered with the default: not
///   connected, no heartbeat.
pub trait RunnerLive: Debug + Send + Sync + 'static {
    /// What is known of the runner.
    fn observe(&self, uid: RunnerUid) -> RunnerObservation;
}

/// For a control plane that no runner dials into.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRunners;

impl RunnerLive for NoRunners {
    fn observe(&self, _uid: RunnerUid) -> RunnerObservation {
        RunnerObservation::default()
    }
}
