//! Why nothing fits: what every candidate lacks.
//!
//! Only made for a refusal. Every gap of every candidate is found, as a set of
//! bits; the few that somebody will read are put into words afterwards.

use super::case::{Case, Wish};
use super::constraint::{Constraint, Tier};
use super::fleet::Fleet;
use super::judge::Judge;

/// What all candidates lack.
#[derive(Debug)]
pub(super) struct Diagnosis<'a> {
    /// In the order of the runners' ids; each runner's default comes first.
    pub(super) failures: Vec<Failure<'a>>,
}

/// What one candidate lacks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure<'a> {
    pub(super) case: Case<'a>,
    pub(super) gaps: Gaps,
}

/// A set of constraints, as bits in the order of judging.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Gaps(u64);

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

impl<'a> Diagnosis<'a> {
    pub(super) fn new(fleet: &'a Fleet, wish: &'a Wish<'a>) -> Self {
        let organization = &wish.asking.owner.organization;
        let mut judge = Judge::new(wish);
        let mut members = fleet.members(organization).collect::<Vec<_>>();
        members.sort_by_key(|member| &member.runner().id);
        let failures = members
            .into_iter()
            .flat_map(|member| judge.failures(member))
            .collect();
        Self { failures }
    }

    /// What the candidate that came furthest lacks.
    pub(super) fn cause(&self) -> Cause {
        let causes = self.failures.iter().map(|failure| failure.gaps.cause());
        causes
            .max_by_key(|cause| *cause as u8)
            .unwrap_or(Cause::Structural)
    }

    /// Whether the request waits for any runner at all: there is none, or none of
    /// them is connected and that is all that is missing at one.
    pub(super) fn nobody_is_there(&self) -> bool {
        let is_away = |failure: &Failure<'_>| failure.gaps.contains(Constraint::Connected);
        match self.cause() {
            Cause::Structural => self.failures.is_empty(),
            Cause::Away => self.failures.iter().all(is_away),
            Cause::Full => false,
        }
    }

    /// The candidates that a refusal speaks of, worst first.
    ///
    /// If time can help, these are the candidates that it can help. Otherwise
    /// those that the caller did not mean are left out, unless there are no
    /// others.
    pub(super) fn relevant(&self) -> Vec<&Failure<'a>> {
        let cause = self.cause();
        let meant = self.failures.iter().any(Failure::is_meant);
        let mut relevant = self
            .failures
            .iter()
            .filter(|failure| failure.gaps.cause() == cause && (failure.is_meant() || !meant))
            .collect::<Vec<_>>();
        // The sort is stable: equals stay in the order of the runners' ids.
        relevant.sort_by_key(|failure| failure.gaps.first());
        relevant
    }
}

impl Failure<'_> {
    /// Whether the runner and the profile are ones that the caller means.
    pub(super) fn is_meant(&self) -> bool {
        !self.gaps.contains(Constraint::RunnerSelector)
            && !self.gaps.contains(Constraint::ProfileSelector)
    }
}

impl Gaps {
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn contains(self, constraint: Constraint) -> bool {
        self.0 & bit(constraint) != 0
    }

    /// Whether any of these is in the set.
    pub(super) fn intersects(self, constraints: &[Constraint]) -> bool {
        constraints
            .iter()
            .any(|&constraint| self.contains(constraint))
    }

    /// How many there are.
    pub(super) fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// All of them, in the order of judging.
    pub(super) fn iter(self) -> impl Iterator<Item = Constraint> {
        let all = Constraint::ALL.iter().copied();
        all.filter(move |&constraint| self.contains(constraint))
    }

    /// The one that is judged first.
    pub(super) fn first(self) -> Option<Constraint> {
        let place = usize::try_from(self.0.trailing_zeros()).ok()?;
        Constraint::ALL.get(place).copied()
    }

    fn cause(self) -> Cause {
        match self.first().map(Constraint::tier) {
            Some(Tier::Capacity) => Cause::Full,
            Some(Tier::Health) => Cause::Away,
            Some(
                Tier::Runner
                | Tier::Profile
                | Tier::Egress
                | Tier::Ingress
                | Tier::Machine
                | Tier::Ceiling,
            )
            | None => Cause::Structural,
        }
    }
}

impl FromIterator<Constraint> for Gaps {
    fn from_iter<I: IntoIterator<Item = Constraint>>(constraints: I) -> Self {
        let bits = constraints.into_iter().map(bit);
        Self(bits.fold(0, |all, bit| all | bit))
    }
}

fn bit(constraint: Constraint) -> u64 {
    1 << constraint as u32
}
