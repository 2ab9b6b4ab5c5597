//! Where a sandbox goes, and what it gets there.

use std::time::Duration;

use crate::id::{ProfileId, RunnerUid};
use crate::image::ImageReference;
use crate::name::{ProfileName, RunnerGroupId, RunnerId, RuntimeClass};
use crate::profile::Revision;
use crate::resolve::ResolvedSpec;
use crate::runner::Resources;
use crate::sandbox::{AppliedEgress, AppliedExposure, GrantedResources, Placed};

/// The runner and the profile that serve a request, and everything that was
/// decided on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// The runner.
    pub runner_uid: RunnerUid,
    /// The operator's name of the runner.
    pub runner_id: RunnerId,
    /// The group of the runner.
    pub runner_group: RunnerGroupId,
    /// The revision of the runner's configuration that this was decided from.
    pub runner_revision: Revision,
    /// The profile.
    pub profile_id: ProfileId,
    /// The name of the profile on the runner.
    pub profile_name: ProfileName,
    /// The revision of the profile that this was decided from.
    pub profile_revision: Revision,
    /// What is in force, the request as the last layer included.
    pub resolved: ResolvedSpec,
    /// The image.
    pub image: ImageReference,
    /// The isolation backend; `None` is the runner's default.
    pub runtime_class: Option<RuntimeClass>,
    /// Requests and limits.
    ///
    /// A limit that no layer sets is the lowest ceiling there is, so that a
    /// ceiling holds for sandboxes that ask for nothing. What is set aside is
    /// then nothing, and says so.
    pub resources: GrantedResources,
    /// What to set aside in the runner's capacity.
    pub reserved: Resources,
    /// Whom it may reach.
    pub egress: AppliedEgress,
    /// Who may reach it, if anybody.
    pub exposure: Option<AppliedExposure>,
    /// How long it may live; `None` leaves that to the server.
    pub max_lifetime: Option<Duration>,
}

impl Placement {
    /// The part that goes into the record of the sandbox.
    pub fn placed(&self) -> Placed {
        let level = self.exposure.as_ref().map(|level| level.name.clone());
        Placed {
            runner_uid: self.runner_uid,
            runner_id: self.runner_id.clone(),
            runner_group: self.runner_group.clone(),
            profile_id: self.profile_id,
            profile_name: self.profile_name.clone(),
            reserved: self.reserved,
            egress_mode: self.egress.name.clone(),
            ingress_level: level,
        }
    }
}
