//! Every candidate, and what became of it.

use crate::id::{ProfileId, RunnerUid};
use crate::name::{ProfileName, RunnerId};

use super::case::Case;
use super::check;
use super::constraint::Constraint;
use super::place::Placement;
use super::refused::Refused;

/// What a request would come to, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Every pair of a runner and a profile that it offers, in the order of the
    /// runners' ids; each runner's default comes first.
    pub candidates: Vec<Candidate>,
    /// What a launch would be answered.
    pub outcome: Result<Placement, Refused>,
}

/// A runner and a profile that it offers, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The runner.
    pub runner_uid: RunnerUid,
    /// The operator's name of the runner.
    pub runner_id: RunnerId,
    /// The profile.
    pub profile_id: ProfileId,
    /// The name of the profile on the runner.
    pub profile_name: ProfileName,
    /// Whether it serves requests that name no profile.
    pub is_default: bool,
    /// The verdict on every constraint, in the order of judging.
    pub verdicts: Vec<(Constraint, Verdict)>,
}

/// Whether a constraint is met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Met,
    /// It is not.
    Unmet(Shortfall),
    /// That cannot be told yet: the profile does not resolve, or the runner has
    /// not said what it can do.
    Unknown,
}

/// What was asked for, and what there is instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// What was asked for.
    pub requested: String,
    /// What is allowed.
    pub allowed: String,
}

impl Candidate {
    pub(super) fn new(case: &Case<'_>) -> Self {
        let runner = case.member.runner();
        Self {
            runner_uid: runner.uid,
            runner_id: runner.id.clone(),
            profile_id: case.offer.profile,
            profile_name: case.offer.name.clone(),
            is_default: case.offer.is_default,
            verdicts: Constraint::ALL
                .iter()
                .map(|&constraint| (constraint, Verdict::new(case, constraint)))
                .collect(),
        }
    }

    /// Whether it could serve the request.
    pub fn is_admissible(&self) -> bool {
        !self
            .verdicts
            .iter()
            .any(|(_, verdict)| matches!(verdict, Verdict::Unmet(_)))
    }
}

impl Verdict {
    fn new(case: &Case<'_>, constraint: Constraint) -> Self {
        match check::gap(case, constraint) {
            Some(gap) => Self::Unmet(gap.into()),
            None if check::is_known(case, constraint) => Self::Met,
            None => Self::Unknown,
        }
    }
}
