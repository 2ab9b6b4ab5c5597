//! Placement, by examples and by the laws that it keeps.

use serde_json::{Value, json};

use super::*;
use crate::profile::{ProfileSpec, form};
use crate::sandbox::{Owner, StartRequest};
use crate::tenant::SandboxQuota;
use crate::testing::fleet::{FleetPlan, RunnerPlan, sample_live, sample_owner};

mod admission;
mod launching;
mod laws;
mod refusals;

/// Somebody who asks, with everything of theirs.
#[derive(Clone)]
struct Caller {
    owner: Owner,
    quota: SandboxQuota,
    request: StartRequest,
}

impl Caller {
    fn new(request: StartRequest) -> Self {
        Self {
            owner: sample_owner(),
            quota: SandboxQuota::default(),
            request,
        }
    }

    fn asking(&self) -> Asking<'_> {
        Asking {
            owner: &self.owner,
            request: &self.request,
            quota: &self.quota,
        }
    }

    fn select(&self, fleet: &Fleet) -> Result<Placement, Refused> {
        select(fleet, &self.asking())
    }

    fn refusal(&self, fleet: &Fleet) -> Unplaced {
        match self.select(fleet) {
            Err(Refused::Unplaced(unplaced)) => *unplaced,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }
}

fn spec(value: &Value) -> ProfileSpec {
    form::decode(value).unwrap()
}

/// A profile that serves everybody.
fn plain() -> ProfileSpec {
    spec(&json!({ "container_image": "python:3.11" }))
}

/// Runners that each bind all profiles, the first one as the default.
fn plan(profiles: Vec<ProfileSpec>, runners: u32) -> FleetPlan {
    let binds = (0..profiles.len()).collect::<Vec<_>>();
    FleetPlan {
        profiles,
        runners: (0..runners)
            .map(|number| RunnerPlan {
                number,
                binds: binds.clone(),
                live: sample_live(),
            })
            .collect(),
    }
}

fn fleet(profiles: Vec<ProfileSpec>, runners: u32) -> Fleet {
    plan(profiles, runners).build()
}

fn report(live: &mut Live) -> &mut Report {
    let report = live.report.as_mut().unwrap();
    std::sync::Arc::make_mut(report)
}
