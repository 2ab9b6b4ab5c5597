//! Whether a runner and a profile are ones that the caller means.

use crate::placement::case::Case;
use crate::placement::gap::{Gap, Side};

pub(super) fn runner_selector<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let wish = case.wish;
    (!wish.accepts_runner(case.member)).then(|| {
        let own = Side::Text(case.member.runner().id.as_str());
        Gap::new(Side::Names(wish.runners()), own)
    })
}

pub(super) fn runner_kept<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let is_kept = case.member.digest().is_kept;
    (!is_kept).then(|| {
        Gap::new(
            Side::Text("a runner that stays"),
            Side::Text("being deleted"),
        )
    })
}

pub(super) fn profile_selector<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let wish = case.wish;
    (!wish.accepts_profile(case.offer)).then(|| {
        let own = Side::Text(case.offer.name.as_str());
        Gap::new(Side::Names(wish.profiles()), own)
    })
}

pub(super) fn profile_resolves<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let violations = case.offer.spec.as_ref().err()?;
    let wanted = Side::Text("a profile that is valid on this runner");
    Some(Gap::new(wanted, Side::Violations(violations)))
}
