//! Judging all candidates of a fleet without judging anything twice.
//!
//! What is about the runner alone is judged once for all its offers, and what is
//! about the profile alone once for all runners that make the same of it. Only
//! what is about both is judged for every candidate. The verdicts themselves all
//! come from [`check`].

use super::admitted::Admitted;
use super::amounts::Amounts;
use super::case::{Case, Wish};
use super::check;
use super::constraint::{About, Constraint};
use super::diagnosis::{Failure, Gaps};
use super::fleet::{Fit, Member};
use super::offer::Offer;
use super::score::Score;

/// Judges the candidates for one request.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    wish: &'a Wish<'a>,
    /// What is already known of likenesses, each at the place that its address
    /// gives; a newer one takes the place of an older one.
    findings: Vec<Option<Finding<'a>>>,
}

/// What a request lacks of a profile alone.
#[derive(Clone, Copy, Debug)]
struct Finding<'a> {
    likeness: &'a Offer,
    gaps: Gaps,
    amounts: Option<Amounts<'a>>,
}

/// A candidate without a gap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passing<'a> {
    /// As it was judged, with a likeness for the offer.
    case: Case<'a>,
    /// The place of the offer on its runner.
    place: usize,
}

/// How many findings are kept; a power of two.
const FINDINGS: usize = 256;

const ABOUT_RUNNER: [About; 2] = [About::Runner, About::RunnerReport];
const ABOUT_PROFILE: [About; 2] = [About::Profile, About::Spec];
const ABOUT_BOTH: [About; 1] = [About::Pair];

impl<'a> Judge<'a> {
    pub(super) fn new(wish: &'a Wish<'a>) -> Self {
        Self {
            wish,
            findings: vec![None; FINDINGS],
        }
    }

    /// The first offer of a runner that leaves no gap.
    pub(super) fn passing(&mut self, member: &'a Member) -> Option<Passing<'a>> {
        let any = self.case(member, member.fits().first()?, None);
        if has_gap(&any, &ABOUT_RUNNER) {
            return None;
        }
        member.fits().iter().enumerate().find_map(|(place, fit)| {
            let finding = self.finding(member, fit);
            if !finding.gaps.is_empty() {
                return None;
            }
            let amounts = finding.amounts;
            let case = self.case(member, fit, amounts);
            (!has_gap(&case, &ABOUT_BOTH)).then_some(Passing { case, place })
        })
    }

    /// What every offer of a runner lacks.
    pub(super) fn failures(&mut self, member: &'a Member) -> Vec<Failure<'a>> {
        let Some(any) = member.fits().first() else {
            return Vec::new();
        };
        let of_runner = gaps(&self.case(member, any, None), &ABOUT_RUNNER);
        let fits = member.fits().iter();
        fits.map(|fit| {
            let Finding {
                gaps: own, amounts, ..
            } = *self.finding(member, fit);
            let case = self.case(member, fit, amounts);
            let gaps = of_runner.union(own).union(gaps(&case, &ABOUT_BOTH));
            Failure { case, gaps }
        })
        .collect()
    }

    fn case(&self, member: &'a Member, fit: &'a Fit, amounts: Option<Amounts<'a>>) -> Case<'a> {
        Case {
            wish: self.wish,
            member,
            offer: &fit.likeness,
            lacks: fit.lacks.as_deref(),
            amounts,
        }
    }

    fn finding(&mut self, member: &'a Member, fit: &'a Fit) -> &Finding<'a> {
        let likeness = fit.likeness.as_ref();
        // Offers are larger than a cache line, so lower bits say little.
        let place = (std::ptr::from_ref(likeness).addr() >> 6) % FINDINGS;
        let wish = self.wish;
        let fresh = || {
            let case = Case {
                wish,
                member,
                offer: likeness,
                lacks: None,
                amounts: wish.amounts(likeness),
            };
            Finding {
                likeness,
                gaps: gaps(&case, &ABOUT_PROFILE),
                amounts: case.amounts,
            }
        };
        // The remainder is a place in the list.
        let slot = &mut self.findings[place];
        if !slot.is_some_and(|known| std::ptr::eq(known.likeness, likeness)) {
            *slot = None;
        }
        slot.get_or_insert_with(fresh)
    }
}

impl<'a> Passing<'a> {
    pub(super) fn score(&self) -> Score<'a> {
        let reserved = self.case.amounts.map(|amounts| amounts.reserved);
        Score::new(&self.case, reserved.unwrap_or_default())
    }

    /// The same with the offer of the runner itself, which may be from other
    /// layers and spelled otherwise than its likeness.
    pub(super) fn admitted(&self) -> Option<Admitted<'a>> {
        let offer = self.case.member.offers().get(self.place)?;
        Admitted::new(Case {
            offer,
            amounts: self.case.wish.amounts(offer),
            ..self.case
        })
    }
}

fn constraints(about: &[About]) -> impl Iterator<Item = Constraint> {
    let all = Constraint::ALL.iter().copied();
    all.filter(move |constraint| about.contains(&constraint.about()))
}

fn has_gap(case: &Case<'_>, about: &[About]) -> bool {
    constraints(about).any(|constraint| check::gap(case, constraint).is_some())
}

fn gaps(case: &Case<'_>, about: &[About]) -> Gaps {
    constraints(about)
        .filter(|&constraint| check::gap(case, constraint).is_some())
        .collect()
}
