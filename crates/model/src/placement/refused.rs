//! A request that no runner can serve, and what its caller is told.

use std::time::Duration;

use crate::name::{ProfileName, RunnerId};
use crate::reason::{Code, Reason};
use crate::refusal::Refusal;
use crate::violation::Violation;

use super::case::{Case, Wish};
use super::check;
use super::constraint::{Constraint, Tier};
use super::explanation::Shortfall;
use super::fleet::Fleet;

/// Why a request was not placed.
#[derive(Clone, Debug, PartialEq)]
pub enum Refused {
    /// The request contradicts itself, whatever the fleet.
    Invalid(Vec<Violation>),
    /// No runner can serve it.
    Unplaced(Box<Unplaced>),
}

/// What was found while looking for a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// What would have to change.
    pub cause: Cause,
    /// Whether the caller named a profile.
    pub names_profile: bool,
    /// How many candidates there were.
    pub candidates: usize,
    /// What the candidates lack, worst first; not more than anybody reads.
    pub violations: Vec<Violated>,
    /// How many more there are.
    pub violations_omitted: usize,
    /// One sentence on which a person can act.
    pub message: String,
}

/// What kind of change would let a request in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Another request, or another configuration.
    Structural,
    /// A runner that could serve it comes back.
    Away,
    /// A runner that could serve it gets room.
    Full,
}

/// A constraint that a candidate does not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violated {
    /// The runner.
    pub runner: RunnerId,
    /// The name of the profile on the runner.
    pub profile: ProfileName,
    /// The constraint.
    pub constraint: Constraint,
    /// Both sides of it.
    pub shortfall: Shortfall,
}

/// When a full fleet is worth another try.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(5);

/// When a runner may have come back.
const RETRY_WHEN_AWAY: Duration = Duration::from_secs(2);

/// The most violations that are put into words.
const VIOLATIONS_MAX: usize = 64;

impl Refused {
    /// Finds out why nothing fits.
    pub(super) fn unplaced(fleet: &Fleet, wish: &Wish<'_>) -> Self {
        let mut failed = fleet
            .members(&wish.asking.owner.organization)
            .flat_map(|member| Case::all_of(wish, member))
            .filter_map(|case| Some((check::first_gap(&case)?, case)))
            .collect::<Vec<_>>();
        failed.sort_by_key(|((constraint, _), case)| (*constraint, &case.member.runner().id));
        let last = failed.last().map(|((constraint, _), _)| constraint.tier());
        let violations = failed
            .iter()
            .take(VIOLATIONS_MAX)
            .map(|((constraint, gap), case)| Violated {
                runner: case.member.runner().id.clone(),
                profile: case.offer.name.clone(),
                constraint: *constraint,
                shortfall: (*gap).into(),
            })
            .collect::<Vec<_>>();
        Self::Unplaced(Box::new(Unplaced {
            cause: last.map_or(Cause::Structural, Cause::of),
            names_profile: wish.asking.request.selectors.names_profile(),
            candidates: failed.len(),
            violations_omitted: failed.len() - violations.len(),
            message: "no runner can serve the request".to_owned(),
            violations,
        }))
    }
}

impl Cause {
    /// The cause when the candidate that came furthest failed in this tier.
    fn of(tier: Tier) -> Self {
        match tier {
            Tier::Health => Self::Away,
            Tier::Capacity => Self::Full,
            Tier::Runner
            | Tier::Profile
            | Tier::Egress
            | Tier::Ingress
            | Tier::Machine
            | Tier::Ceiling => Self::Structural,
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Invalid(violations) => Self::invalid(violations),
            Refused::Unplaced(unplaced) => (*unplaced).into(),
        }
    }
}

impl From<Unplaced> for Refusal {
    fn from(unplaced: Unplaced) -> Self {
        let reason = if unplaced.names_profile {
            Reason::ProfileMismatch
        } else {
            Reason::NoSuitableRunner
        };
        let (code, retry_after) = match unplaced.cause {
            Cause::Structural => (Code::FailedPrecondition, None),
            Cause::Away => (Code::Unavailable, Some(RETRY_WHEN_AWAY)),
            Cause::Full => (Code::ResourceExhausted, Some(RETRY_WHEN_FULL)),
        };
        let refusal =
            Self::new(reason, unplaced.message).with("candidates", unplaced.candidates.to_string());
        Self {
            code,
            retry_after,
            ..refusal
        }
    }
}
