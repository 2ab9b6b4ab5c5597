//! A request that no runner can serve, and what its caller is told.

use std::time::Duration;

use crate::name::{ProfileName, RunnerId};
use crate::reason::{Code, Reason};
use crate::refusal::Refusal;
use crate::violation::Violation;

use super::case::Wish;
use super::check;
use super::closest::Closest;
use super::constraint::Constraint;
use super::diagnosis::{Cause, Diagnosis, Failure};
use super::explanation::Shortfall;
use super::fleet::Fleet;
use super::message;
use super::trailer;

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
    /// Whether the caller named a profile, and another one might do. If nobody is
    /// there to serve any, it is not the profile that is missing.
    pub is_about_profile: bool,
    /// How many candidates there were.
    pub candidates: usize,
    /// What the candidates lack, worst first; not more than anybody reads.
    pub violations: Vec<Violated>,
    /// How many more there are.
    pub violations_omitted: usize,
    /// The smallest change that would let the request in, if one would.
    pub closest: Option<Closest>,
    /// One sentence on which a person can act.
    pub message: String,
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
        let diagnosis = Diagnosis::new(fleet, wish);
        let relevant = diagnosis.relevant();
        let found = Closest::find(&diagnosis);
        // What is said to be missing is missing where the caller meant to go,
        // even if less would have to change elsewhere.
        let served = found.as_ref().map(|(_, failure)| *failure);
        let nearest = served
            .filter(Failure::is_meant)
            .or_else(|| nearest(&relevant))
            .or(served)
            .and_then(|failure| Violated::all_of(&failure).next());
        let closest = found.map(|(closest, _)| closest);
        let total = relevant.iter().map(|failure| failure.gaps.len() as usize);
        let total = total.sum::<usize>();
        let violations = relevant
            .iter()
            .copied()
            .flat_map(Violated::all_of)
            .take(VIOLATIONS_MAX)
            .collect::<Vec<_>>();
        Self::Unplaced(Box::new(Unplaced {
            cause: diagnosis.cause(),
            is_about_profile: wish.asking.request.selectors.names_profile()
                && !diagnosis.nobody_is_there(),
            candidates: diagnosis.failures.len(),
            message: message::sentence(wish, &diagnosis, nearest.as_ref(), closest.as_ref()),
            violations_omitted: total - violations.len(),
            violations,
            closest,
        }))
    }
}

/// The candidate that lacks the least, and of these the one that came furthest.
fn nearest<'a>(relevant: &[&Failure<'a>]) -> Option<Failure<'a>> {
    let failures = relevant.iter().copied().copied();
    failures.min_by_key(|failure| (failure.gaps.len(), std::cmp::Reverse(failure.gaps.first())))
}

impl Violated {
    fn all_of(failure: &Failure<'_>) -> impl Iterator<Item = Self> {
        let case = failure.case;
        failure.gaps.iter().filter_map(move |constraint| {
            Some(Self {
                runner: case.member.runner().id.clone(),
                profile: case.offer.name.clone(),
                constraint,
                shortfall: check::gap(&case, constraint)?.into(),
            })
        })
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
        let lacks_file_systems = unplaced
            .violations
            .first()
            .is_some_and(|violated| violated.constraint == Constraint::FileSystem);
        let reason = if lacks_file_systems {
            Reason::FssNotSupported
        } else if unplaced.is_about_profile {
            Reason::ProfileMismatch
        } else {
            Reason::NoSuitableRunner
        };
        let (code, retry_after) = match unplaced.cause {
            Cause::Structural => (Code::FailedPrecondition, None),
            Cause::Away => (Code::Unavailable, Some(RETRY_WHEN_AWAY)),
            Cause::Full => (Code::ResourceExhausted, Some(RETRY_WHEN_FULL)),
        };
        let closest = unplaced
            .closest
            .map(|closest| closest.to_json().to_string())
            .unwrap_or_default();
        let (violations, told) =
            trailer::fitting(&unplaced.violations, &unplaced.message, &closest);
        let omitted = unplaced.violations_omitted + unplaced.violations.len() - told;
        let mut refusal = Self::new(reason, unplaced.message)
            .with("candidates", unplaced.candidates.to_string())
            .with("violations", violations)
            .with("violations_omitted", omitted.to_string());
        if !closest.is_empty() {
            refusal = refusal.with("closest", closest);
        }
        Self {
            code,
            retry_after,
            ..refusal
        }
    }
}
