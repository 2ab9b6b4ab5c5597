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
use super::fleet::Member;
use super::offer::Offer;
use super::score::Score;

/// Judges the candidates for one request.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    wish: &'a Wish<'a>,
    /// What is already known of likenesses.
    findings: Known<Gaps>,
    /// What is already known of menus.
    boards: Known<Vec<Choice<'a>>>,
}

/// What is known of things in memory, each at the place that its address gives;
/// a newer one takes the place of an older one.
#[derive(Debug)]
struct Known<T>(Vec<(usize, T)>);

/// An offer that leaves no gap as far as it is about the profile alone.
#[derive(Clone, Copy, Debug)]
struct Choice<'a> {
    /// Its place on the menu.
    place: usize,
    likeness: &'a Offer,
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

const ABOUT_RUNNER: [About; 2] = [About::Runner, About::RunnerReport];
const ABOUT_PROFILE: [About; 2] = [About::Profile, About::Spec];
const ABOUT_BOTH: [About; 1] = [About::Pair];

impl<'a> Judge<'a> {
    pub(super) fn new(wish: &'a Wish<'a>) -> Self {
        Self {
            wish,
            findings: Known::with_places(256),
            boards: Known::with_places(32),
        }
    }

    /// The first offer of a runner that leaves no gap.
    pub(super) fn passing(&mut self, member: &'a Member) -> Option<Passing<'a>> {
        if has_gap(&self.any_case(member)?, &ABOUT_RUNNER) {
            return None;
        }
        let wish = self.wish;
        self.choices(member).iter().find_map(|choice| {
            let case = Case {
                wish,
                member,
                offer: choice.likeness,
                lacks: member.lacks(choice.place),
                amounts: choice.amounts,
            };
            let place = choice.place;
            (!has_gap(&case, &ABOUT_BOTH)).then_some(Passing { case, place })
        })
    }

    /// What every offer of a runner lacks.
    pub(super) fn failures(&mut self, member: &'a Member) -> Vec<Failure<'a>> {
        let Some(any) = self.any_case(member) else {
            return Vec::new();
        };
        let of_runner = gaps(&any, &ABOUT_RUNNER);
        let menu = member.menu().iter().enumerate();
        menu.map(|(place, likeness)| {
            let case = Case {
                offer: likeness,
                lacks: member.lacks(place),
                amounts: self.wish.amounts(likeness),
                ..any
            };
            let of_both = gaps(&case, &ABOUT_BOTH);
            let gaps = of_runner.union(self.finding(&case)).union(of_both);
            Failure { case, gaps }
        })
        .collect()
    }

    /// A case to judge a runner by; which offer stands in it does not matter.
    fn any_case(&self, member: &'a Member) -> Option<Case<'a>> {
        Some(Case {
            wish: self.wish,
            member,
            offer: member.menu().first()?,
            lacks: None,
            amounts: None,
        })
    }

    /// What of a runner's menu leaves no gap that is about a profile alone.
    fn choices(&mut self, member: &'a Member) -> &[Choice<'a>] {
        let address = member.menu().as_ptr().addr();
        if self.boards.get(address).is_none() {
            let menu = member.menu().iter().enumerate();
            let choices = menu.filter_map(|(place, likeness)| {
                let amounts = self.wish.amounts(likeness);
                let case = Case {
                    wish: self.wish,
                    member,
                    offer: likeness,
                    lacks: None,
                    amounts,
                };
                self.finding(&case).is_empty().then_some(Choice {
                    place,
                    likeness,
                    amounts,
                })
            });
            let choices = choices.collect();
            self.boards.put(address, choices);
        }
        self.boards.get(address).map_or(&[], Vec::as_slice)
    }

    /// What a request lacks of a profile alone; the case has a likeness for the
    /// offer.
    fn finding(&mut self, case: &Case<'a>) -> Gaps {
        let address = std::ptr::from_ref(case.offer).addr();
        if let Some(known) = self.findings.get(address) {
            return *known;
        }
        let gaps = gaps(case, &ABOUT_PROFILE);
        self.findings.put(address, gaps);
        gaps
    }
}

impl<T: Default + Clone> Known<T> {
    /// No address is zero.
    fn with_places(count: usize) -> Self {
        Self(vec![(0, T::default()); count])
    }

    fn get(&self, address: usize) -> Option<&T> {
        let (known, value) = self.0.get(self.place(address))?;
        (*known == address).then_some(value)
    }

    fn put(&mut self, address: usize, value: T) {
        let place = self.place(address);
        if let Some(slot) = self.0.get_mut(place) {
            *slot = (address, value);
        }
    }

    /// What lies in memory is larger than a few words, so that lower bits of its
    /// address say little.
    fn place(&self, address: usize) -> usize {
        (address >> 6) % self.0.len()
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
