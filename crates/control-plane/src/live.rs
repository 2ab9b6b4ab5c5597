//! What is known of the processes behind runners.
//!
//! The control plane holds configuration; whether a runner is there is known
//! where it dials in. The binary passes that knowledge in.

use std::fmt::Debug;

use palisade_model::id::RunnerUid;
use palisade_model::placement::Fleet;
use palisade_model::policy::Surroundings;
use palisade_wire::rest::RunnerObservation;

/// Tells what is known of a runner at this moment.
///
/// # Contract
///
/// * A call returns at once, out of memory.
/// * A runner that was never heard of is answered with the default: not
///   connected, no heartbeat, and nothing known of what lies around it.
/// * The fleet is the one that sandboxes are placed from, with what runners
///   reported and what is in use. It may be behind the store in what is
///   configured, and never in what is set aside.
pub trait RunnerLive: Debug + Send + Sync + 'static {
    /// What is known of the runner.
    fn observe(&self, uid: RunnerUid) -> RunnerObservation;

    /// The fleet at this moment.
    fn fleet(&self) -> Fleet;

    /// What lies around the sandboxes of the runner, as it says itself.
    fn surroundings(&self, uid: RunnerUid) -> Option<Surroundings>;
}

/// For a control plane that no runner dials into.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRunners;

impl RunnerLive for NoRunners {
    fn observe(&self, _uid: RunnerUid) -> RunnerObservation {
        RunnerObservation::default()
    }

    fn fleet(&self) -> Fleet {
        Fleet::default()
    }

    fn surroundings(&self, _uid: RunnerUid) -> Option<Surroundings> {
        None
    }
}
