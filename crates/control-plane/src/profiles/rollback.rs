//! Going back to what an earlier revision said.

use palisade_model::profile::{Profile, Revision};
use palisade_model::tenant::Principal;
use palisade_wire::Located;
use palisade_wire::profile_document::ProfileEdit;
use palisade_wire::spelling::{Origin, PROFILE};

use super::write::Change;
use crate::error::ApiResult;
use crate::plane::ControlPlane;

impl ControlPlane {
    /// Makes a profile say again what it said at an earlier revision, as a new
    /// one. It is a change like any other, and judged like one: what a runner
    /// that binds the profile now could not offer is refused.
    pub(crate) async fn rollback_profile(
        &self,
        caller: &Principal,
        text: &str,
        to: Revision,
        change: Change,
    ) -> ApiResult<Profile> {
        let current = self.get_profile(caller, text).await?;
        let id = current.id.to_string();
        let earlier = self.get_profile_revision(caller, &id, to).await?;
        let edit = ProfileEdit {
            description: Some(earlier.description),
            labels: Some(earlier.labels),
            spec: Some(earlier.spec),
            ..ProfileEdit::default()
        };
        let located = Located {
            value: edit,
            origin: Origin::nowhere(&PROFILE),
        };
        self.update_profile(caller, &id, located, change).await
    }
}
