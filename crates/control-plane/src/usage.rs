//! Who offers a profile, and what lives under it or on a runner.

use palisade_model::runner::Runner;
use palisade_model::tenant::Principal;
use palisade_store::PageSize;
use palisade_store::sandbox::{Occupancy, OccupancyOf};
use palisade_wire::rest::{Usage, UsageBinding, UsagePart};

use crate::error::ApiResult;
use crate::guardrails::Bound;
use crate::plane::ControlPlane;

/// How many sandboxes of each part are named.
const NAMED_MAX: usize = 10;

impl ControlPlane {
    /// The bindings of a profile, and the sandboxes that live under it.
    pub(crate) async fn profile_usage(&self, caller: &Principal, text: &str) -> ApiResult<Usage> {
        let profile = self.get_profile(caller, text).await?;
        let bound = self.bindings_of(&profile).await?;
        let bindings = bound.iter().filter_map(|bound| {
            let Bound { runner, index } = bound;
            let binding = runner.bindings.as_slice().get(*index)?;
            Some(UsageBinding::new(runner, binding))
        });
        let bindings = bindings.collect();
        let parts = self
            .living(caller, OccupancyOf::Profile(profile.id))
            .await?;
        Ok(usage(bindings, &parts))
    }

    /// The bindings of a runner, and the sandboxes that live on it.
    pub(crate) async fn runner_usage(&self, caller: &Principal, text: &str) -> ApiResult<Usage> {
        let runner: Runner = self.get_runner(caller, text).await?;
        let bindings = runner.bindings.as_slice().iter();
        let bindings = bindings.map(|binding| UsageBinding::new(&runner, binding));
        let bindings = bindings.collect();
        let parts = self.living(caller, OccupancyOf::Runner(runner.uid)).await?;
        Ok(usage(bindings, &parts).with_deletion(&runner))
    }

    async fn living(&self, caller: &Principal, of: OccupancyOf) -> ApiResult<Vec<Occupancy>> {
        let named = PageSize::clamped(NAMED_MAX);
        let store = &self.store;
        Ok(store.occupancy(&caller.organization, of, named).await?)
    }
}

fn usage(bindings: Vec<UsageBinding>, parts: &[Occupancy]) -> Usage {
    Usage {
        bindings,
        live_sandboxes: parts.iter().map(|part| part.count).sum(),
        parts: parts.iter().map(part).collect(),
        ..Usage::default()
    }
}

fn part(part: &Occupancy) -> UsagePart {
    let Occupancy {
        runner_uid: _,
        runner_id,
        profile,
        profile_name,
        count,
        newest,
    } = part;
    UsagePart {
        runner_id: runner_id.to_string(),
        profile_template_id: profile.to_string(),
        profile_name: profile_name.to_string(),
        live_sandboxes: *count,
        sandbox_ids: newest.iter().map(ToString::to_string).collect(),
    }
}
