//! What became of every candidate for a request, as the wire spells it.

use std::collections::BTreeMap;

use palisade_model::id::ProfileId;
use palisade_model::placement::{
    self, Candidate, Closest, Constraint, Explanation, Placement, Refused, Shortfall,
};
use palisade_model::refusal::Refusal;
use palisade_model::sandbox::GrantedResources;
use palisade_model::violation::Violation;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::rest::QuotaReport;

/// What a request would come to now, and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PlacementExplanation {
    /// Whether a launch would be admitted.
    pub is_admitted: bool,
    /// Where it would go; absent if it would be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub winner: Option<PlacementWinner>,
    /// Why it would be refused; absent if it would be admitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<PlacementRefusal>,
    /// Where the caller stands with quotas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<QuotaReport>,
    /// Every runner and profile that was judged, in the order of the runners'
    /// ids; each runner's default comes first.
    pub candidates: Vec<PlacementCandidate>,
}

/// What the runners that bind a profile would make of a launch that asks for
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PlacementPreview {
    /// The runners and profiles that were looked at.
    pub candidates: Vec<PlacementCandidate>,
}

/// Where a launch would go, and what it would get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PlacementWinner {
    /// The runner.
    pub runner_id: String,
    /// The profile.
    pub profile_template_id: String,
    /// The name that the profile has there.
    pub profile_name: String,
    /// The revision of the profile.
    pub profile_revision: u32,
    /// The image.
    pub image: String,
    /// The isolation backend; empty for the runner's default.
    pub runtime_class: String,
    /// The egress mode that would be in force.
    pub egress_mode: String,
    /// The ingress level; empty if nothing is exposed.
    pub ingress_mode: String,
    /// What would be set aside and allowed.
    pub resources: Granted,
}

/// Requests and limits that a sandbox would get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Granted {
    /// CPU that is set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_request: Option<String>,
    /// CPU that can at most be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_limit: Option<String>,
    /// Memory that is set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_request: Option<String>,
    /// Memory that can at most be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<String>,
    /// GPUs.
    pub gpus: u32,
}

/// What a launch would be refused with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PlacementRefusal {
    /// The reason, such as `CWSANDBOX_NO_SUITABLE_RUNNER`.
    pub reason: String,
    /// The canonical code, such as `FAILED_PRECONDITION`.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
    /// The smallest change that would let the request in, if one would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closest: Option<ClosestChange>,
}

/// One runner and one profile that it offers, judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PlacementCandidate {
    /// The runner.
    pub runner_id: String,
    /// The profile.
    pub profile_template_id: String,
    /// The name that the profile has there.
    pub profile_name: String,
    /// Whether it serves requests that name no profile.
    pub is_default: bool,
    /// Whether it could serve the request.
    pub is_admissible: bool,
    /// Whether it is the one that would.
    pub is_winner: bool,
    /// The constraint that is judged first of those that are not met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_unmet: Option<UnmetConstraint>,
    /// Every constraint, in the order of judging.
    pub checks: Vec<ConstraintCheck>,
    /// The smallest change of the request that would let it in here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closest: Option<ClosestChange>,
}

/// A constraint that is not met.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UnmetConstraint {
    /// Which one, such as `egress_mode`.
    pub constraint: String,
    /// What was asked for.
    pub requested: String,
    /// What is allowed.
    pub allowed: String,
}

/// What was found of one constraint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConstraintCheck {
    /// Which one, such as `egress_mode`.
    pub constraint: String,
    /// Whether it is met.
    pub verdict: Verdict,
    /// What was asked for, if it is not met.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub requested: String,
    /// What is allowed, if it is not met.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub allowed: String,
}

/// Whether a constraint is met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is.
    Met,
    /// It is not.
    Unmet,
    /// That cannot be told yet.
    #[default]
    Unknown,
}

/// A change of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClosestChange {
    /// The runner that would serve it then.
    pub runner_id: String,
    /// The profile that it would run under.
    pub profile_name: String,
    /// The change for a person, such as «choose egress mode none».
    pub words: String,
    /// What fields of the request would have to say, by their paths; null means
    /// to leave one out.
    pub fields: BTreeMap<String, Value>,
}

impl PlacementExplanation {
    /// The answer, or what is wrong with the request whatever the fleet.
    pub fn new(explanation: &Explanation) -> Result<Self, Vec<Violation>> {
        let winner = match &explanation.outcome {
            Ok(placement) => Some(placement),
            Err(Refused::Invalid(violations)) => return Err(violations.clone()),
            Err(Refused::Unplaced(_)) => None,
        };
        let candidates = explanation.candidates.iter();
        Ok(Self {
            is_admitted: winner.is_some(),
            winner: winner.map(PlacementWinner::from),
            refusal: explanation.outcome.as_ref().err().map(refusal),
            quota: None,
            candidates: candidates
                .map(|candidate| PlacementCandidate::new(candidate, winner))
                .collect(),
        })
    }

    /// The answer with where the caller stands. What placement would admit, a
    /// quota that is used up refuses all the same.
    #[must_use]
    pub fn within(mut self, report: QuotaReport, exceeded: Option<&Refusal>) -> Self {
        self.quota = Some(report);
        if let (true, Some(exceeded)) = (self.is_admitted, exceeded) {
            self.is_admitted = false;
            self.winner = None;
            self.refusal = Some(PlacementRefusal {
                reason: exceeded.reason.as_str().to_owned(),
                code: exceeded.code.as_str().to_owned(),
                message: exceeded.message.clone(),
                closest: None,
            });
        }
        self
    }
}

impl PlacementPreview {
    /// What was found for one profile, or for all that a runner offers.
    pub fn new<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> Self {
        let candidates = candidates.map(|candidate| PlacementCandidate::new(candidate, None));
        Self {
            candidates: candidates.collect(),
        }
    }
}

impl PlacementCandidate {
    fn new(candidate: &Candidate, winner: Option<&Placement>) -> Self {
        let here = (candidate.runner_uid, candidate.profile_id);
        let there = winner.map(|winner| (winner.runner_uid, winner.profile_id));
        let first = candidate.first_unmet();
        Self {
            runner_id: candidate.runner_id.to_string(),
            profile_template_id: candidate.profile_id.to_string(),
            profile_name: candidate.profile_name.to_string(),
            is_default: candidate.is_default,
            is_admissible: candidate.is_admissible(),
            is_winner: there == Some(here),
            first_unmet: first.map(|(constraint, shortfall)| unmet(constraint, shortfall)),
            checks: candidate.verdicts.iter().map(check).collect(),
            closest: candidate.closest.as_ref().map(ClosestChange::from),
        }
    }

    /// Whether it is about this profile.
    pub fn is_about(&self, profile: ProfileId) -> bool {
        self.profile_template_id == profile.to_string()
    }
}

impl From<&Placement> for PlacementWinner {
    fn from(placement: &Placement) -> Self {
        let exposure = placement.exposure.as_ref();
        Self {
            runner_id: placement.runner_id.to_string(),
            profile_template_id: placement.profile_id.to_string(),
            profile_name: placement.profile_name.to_string(),
            profile_revision: placement.profile_revision.0,
            image: placement.image.as_str().to_owned(),
            runtime_class: placement
                .runtime_class
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            egress_mode: placement.egress.name.to_string(),
            ingress_mode: exposure
                .map(|level| level.name.to_string())
                .unwrap_or_default(),
            resources: Granted::from(&placement.resources),
        }
    }
}

impl From<&GrantedResources> for Granted {
    fn from(granted: &GrantedResources) -> Self {
        let GrantedResources {
            cpu_request,
            cpu_limit,
            memory_request,
            memory_limit,
            gpu,
        } = granted;
        Self {
            cpu_request: cpu_request.as_ref().map(ToString::to_string),
            cpu_limit: cpu_limit.as_ref().map(ToString::to_string),
            memory_request: memory_request.as_ref().map(ToString::to_string),
            memory_limit: memory_limit.as_ref().map(ToString::to_string),
            gpus: gpu.as_ref().map_or(0, |gpu| gpu.count),
        }
    }
}

impl From<&Closest> for ClosestChange {
    fn from(closest: &Closest) -> Self {
        Self {
            runner_id: closest.runner.to_string(),
            profile_name: closest.profile.to_string(),
            words: closest.words(),
            fields: closest.fields().into_iter().collect(),
        }
    }
}

fn refusal(refused: &Refused) -> PlacementRefusal {
    let closest = match refused {
        Refused::Unplaced(unplaced) => unplaced.closest.as_ref(),
        Refused::Invalid(_) => None,
    };
    let refusal = Refusal::from(refused.clone());
    PlacementRefusal {
        reason: refusal.reason.to_string(),
        code: refusal.code.as_str().to_owned(),
        message: refusal.message,
        closest: closest.map(ClosestChange::from),
    }
}

fn unmet(constraint: Constraint, shortfall: &Shortfall) -> UnmetConstraint {
    UnmetConstraint {
        constraint: constraint.to_string(),
        requested: shortfall.requested.clone(),
        allowed: shortfall.allowed.clone(),
    }
}

fn check((constraint, verdict): &(Constraint, placement::Verdict)) -> ConstraintCheck {
    let constraint = constraint.to_string();
    match verdict {
        placement::Verdict::Met => ConstraintCheck {
            constraint,
            verdict: Verdict::Met,
            ..ConstraintCheck::default()
        },
        placement::Verdict::Unknown => ConstraintCheck {
            constraint,
            ..ConstraintCheck::default()
        },
        placement::Verdict::Unmet(shortfall) => ConstraintCheck {
            constraint,
            verdict: Verdict::Unmet,
            requested: shortfall.requested.clone(),
            allowed: shortfall.allowed.clone(),
        },
    }
}
