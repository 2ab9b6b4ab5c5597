//! Every candidate, and what became of it.

use crate::id::{ProfileId, RunnerUid};
use crate::name::{ProfileName, RunnerId};

use super::case::Case;
use super::check;
use super::closest::Closest;
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
    /// The smallest change of the request that would let it in here, if it is
    /// not let in and one would.
    pub closest: Option<Closest>,
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
            closest: Closest::for_case(case),
        }
    }

    /// The constraint that is judged first of those that are not met.
    pub fn first_unmet(&self) -> Option<(Constraint, &Shortfall)> {
        self.unmet().next()
    }

    /// Every constraint that is not met, in the order of judging.
    pub fn unmet(&self) -> impl Iterator<Item = (Constraint, &Shortfall)> {
        let verdicts = self.verdicts.iter();
        verdicts.filter_map(|(constraint, verdict)| match verdict {
            Verdict::Unmet(shortfall) => Some((*constraint, shortfall)),
            Verdict::Met | Verdict::Unknown => None,
        })
    }

    /// Whether it could serve the request.
    pub fn is_admissible(&self) -> bool {
        self.first_unmet().is_none()
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
