//! How far a request has to come down, or up.

use crate::placement::amounts::Amount;
use crate::placement::case::Case;
use crate::placement::gap::{bytes_text, cpu_text};
use crate::quantity::Quantity;
use crate::runner::Resources;

use super::Resized;

/// The most that the runner could set aside for this sandbox now.
pub(super) fn largest(case: &Case<'_>) -> Option<Resources> {
    case.report()?;
    let (largest, free) = (case.member.digest().largest, case.member.free());
    Some(Resources {
        cpu_millis: largest.cpu_millis.min(free.cpu_millis),
        memory_bytes: largest.memory_bytes.min(free.memory_bytes),
        gpus: largest.gpus.min(free.gpus),
    })
}

pub(super) fn cpu(case: &Case<'_>) -> Option<Resized> {
    let room = largest(case).map(|largest| cpu_text(largest.cpu_millis));
    lowered(case.amounts?.cpu, room)
}

pub(super) fn memory(case: &Case<'_>) -> Option<Resized> {
    let room = largest(case).map(|largest| bytes_text(largest.memory_bytes));
    lowered(case.amounts?.memory, room)
}

/// What was the same stays the same.
pub(super) fn enough_memory(case: &Case<'_>) -> Option<Resized> {
    let least = bytes_text(case.member.digest().memory_bytes_min);
    let least = least.parse::<Quantity>().ok()?;
    let memory = case.amounts?.memory;
    let is_same = memory.request == memory.limit;
    let request = memory.request.filter(|_| !is_same).unwrap_or(&least);
    Some(Resized {
        request: request.clone(),
        limit: Some(least),
    })
}

/// Less than nothing cannot be set aside; then there is no change that helps.
fn lowered(amount: Amount<'_>, room: Option<String>) -> Option<Resized> {
    let room = room.and_then(|text| text.parse::<Quantity>().ok());
    let lowest = amount.lowest();
    let below = |asked: &Quantity, most: Option<&Quantity>| match most {
        Some(most) if most < asked => most.clone(),
        Some(_) | None => asked.clone(),
    };
    let is_lower = |limit: &&Quantity| lowest.is_some_and(|lowest| lowest < *limit);
    let limit = amount.limit.filter(is_lower).and(lowest).cloned();
    let request = below(&below(amount.request?, lowest), room.as_ref());
    (!request.is_zero()).then_some(Resized { request, limit })
}

/// The part that the request has to give up of CPU or memory, whichever is
/// more, in millionths.
pub(super) fn reduction_ppm(case: &Case<'_>) -> u64 {
    let Some(amounts) = case.amounts else {
        return 0;
    };
    let room = largest(case);
    let cpu_room = room.map(|room| room.cpu_millis);
    let memory_room = room.map(|room| room.memory_bytes);
    let cpu = reductions(amounts.cpu, Quantity::to_millis, cpu_room);
    let memory = reductions(amounts.memory, Quantity::to_units, memory_room);
    cpu.max(memory)
}

fn reductions(amount: Amount<'_>, steps: fn(&Quantity) -> Option<u64>, room: Option<u64>) -> u64 {
    let steps = |quantity: Option<&Quantity>| quantity.and_then(steps);
    let lowest = amount.lowest();
    let peak = reduction(steps(amount.peak()), steps(lowest));
    peak.max(reduction(steps(amount.request), room))
}

fn reduction(asked: Option<u64>, allowed: Option<u64>) -> u64 {
    let (Some(asked), Some(allowed)) = (asked, allowed) else {
        return 0;
    };
    let over = u128::from(asked.saturating_sub(allowed)) * 1_000_000;
    let part = over.checked_div(asked.into()).unwrap_or(0);
    u64::try_from(part).unwrap_or(u64::MAX)
}
