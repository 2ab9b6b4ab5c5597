//! What is known of the processes behind runners, and from them.
//!
//! The control plane holds configuration; whether a runner is there is known
//! where it dials in. The binary passes that knowledge in.

use std::fmt::Debug;

use palisade_model::denial::Denials;
use palisade_model::id::{ProfileId, RunnerUid, SandboxId};
use palisade_model::name::OrganizationId;
use palisade_model::placement::Fleet;
use palisade_model::policy::Surroundings;
use palisade_wire::rest::{DenialTotals, RunnerObservation, StartQueue};

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
/// * Of what was refused on the network only that is known of which a runner of
///   the same organization told; for all else there is nothing.
pub trait RunnerLive: Debug + Send + Sync + 'static {
    /// What is known of the runner.
    fn observe(&self, uid: RunnerUid) -> RunnerObservation;

    /// The fleet at this moment.
    fn fleet(&self) -> Fleet;

    /// What lies around the sandboxes of the runner, as it says itself.
    fn surroundings(&self, uid: RunnerUid) -> Option<Surroundings>;

    /// What was refused to a sandbox on the network.
    fn denials(&self, organization: &OrganizationId, id: SandboxId) -> Option<Denials>;

    /// What was refused to all sandboxes of a profile.
    fn profile_denials(&self, organization: &OrganizationId, id: ProfileId) -> DenialTotals;

    /// The starts of an organization that wait for room at this gateway, the next
    /// one first.
    fn waiting(&self, organization: &OrganizationId) -> StartQueue;
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

    fn denials(&self, _organization: &OrganizationId, _id: SandboxId) -> Option<Denials> {
        None
    }

    fn profile_denials(&self, _organization: &OrganizationId, _id: ProfileId) -> DenialTotals {
        DenialTotals::default()
    }

    fn waiting(&self, _organization: &OrganizationId) -> StartQueue {
        StartQueue::default()
    }
}
