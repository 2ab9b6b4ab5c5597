//! Which of several runners that could serve a request does.
//!
//! The fuller one: sandboxes are packed, so that room for large ones stays. What
//! counts is the resource that is scarcest afterwards. A runner with GPUs is left
//! to those who need them. A runtime class chooses among runners and refuses
//! none: who lacks it fails the sandbox and says so. Nothing here is random, so that the same fleet and
//! request always give the same answer.

use crate::name::RunnerId;
use crate::runner::Resources;

use super::case::Case;

/// How well a runner fits; the lowest is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Score<'a> {
    /// Whether the runner says which runtime classes it has, and not this one.
    lacks_class: bool,
    /// Whether GPUs of the runner would be of no use to the sandbox.
    wastes_gpus: bool,
    /// How much of the scarcest resource would be left, in millionths of what
    /// the runner has of it.
    left_ppm: u64,
    /// How many sandboxes there already are.
    sandboxes: u32,
    /// The runner, so that no two scores are equal.
    runner: &'a RunnerId,
}

const MILLION: u128 = 1_000_000;

impl<'a> Score<'a> {
    pub(super) fn new(case: &Case<'a>, wanted: Resources) -> Self {
        let live = case.member.live();
        let total = case.member.digest().total;
        let after = total.saturating_sub(live.usage.reserved.saturating_add(wanted));
        Self {
            lacks_class: lacks_class(case),
            wastes_gpus: wanted.gpus == 0 && total.gpus > 0,
            left_ppm: left_ppm(total, after, wanted.gpus > 0),
            sandboxes: live.usage.sandboxes,
            runner: &case.member.runner().id,
        }
    }
}

fn lacks_class(case: &Case<'_>) -> bool {
    let known = case
        .report()
        .map(|report| &report.capabilities.runtime_classes);
    case.runtime_class()
        .is_some_and(|class| known.is_some_and(|known| !known.is_empty() && !known.contains(class)))
}

fn left_ppm(total: Resources, after: Resources, counts_gpus: bool) -> u64 {
    let gpus = counts_gpus.then_some((total.gpus.into(), after.gpus.into()));
    [
        Some((total.cpu_millis, after.cpu_millis)),
        Some((total.memory_bytes, after.memory_bytes)),
        gpus,
    ]
    .into_iter()
    .flatten()
    .filter_map(|(total, after)| share_ppm(total, after))
    .min()
    .unwrap_or(0)
}

fn share_ppm(total: u64, after: u64) -> Option<u64> {
    let share = (u128::from(after) * MILLION).checked_div(total.into())?;
    u64::try_from(share).ok()
}
