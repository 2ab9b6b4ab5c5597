//! Deciding, and saying how it was decided.

use super::admitted::Admitted;
use super::asking::Asking;
use super::case::{Case, Wish};
use super::explanation::{Candidate, Explanation};
use super::fleet::Fleet;
use super::judge::{Judge, Passing};
use super::place::Placement;
use super::refused::Refused;

/// Finds the runner and the profile that serve a request, or says why none does.
pub fn select(fleet: &Fleet, asking: &Asking<'_>) -> Result<Placement, Refused> {
    let violations = asking.request.violations();
    if !violations.is_empty() {
        return Err(Refused::Invalid(violations));
    }
    let wish = Wish::new(fleet, *asking);
    match best(fleet, &wish) {
        Some(admitted) => admitted.place().map_err(Refused::Invalid),
        None => Err(Refused::unplaced(fleet, &wish)),
    }
}

/// Judges every candidate by every constraint, and says what [`select`] would.
pub fn explain(fleet: &Fleet, asking: &Asking<'_>) -> Explanation {
    let wish = Wish::new(fleet, *asking);
    let mut members = fleet
        .members(&asking.owner.organization)
        .collect::<Vec<_>>();
    members.sort_by_key(|member| &member.runner().id);
    let candidates = members
        .into_iter()
        .flat_map(|member| Case::all_of(&wish, member))
        .map(|case| Candidate::new(&case))
        .collect();
    Explanation {
        candidates,
        outcome: select(fleet, asking),
    }
}

/// The best of what each runner has for the request.
fn best<'a>(fleet: &'a Fleet, wish: &'a Wish<'a>) -> Option<Admitted<'a>> {
    let mut judge = Judge::new(wish);
    fleet
        .members(&wish.asking.owner.organization)
        .filter_map(|member| judge.passing(member))
        .min_by_key(Passing::score)?
        .admitted()
}
