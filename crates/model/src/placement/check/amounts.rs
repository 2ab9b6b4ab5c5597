//! How much a sandbox may have, and how much there is.

use crate::placement::amounts::Amount;
use crate::placement::case::Case;
use crate::placement::digest::Digest;
use crate::placement::gap::{Gap, Side};
use crate::pool::Need;
use crate::quantity::Quantity;
use crate::runner::Resources;

pub(super) fn cpu_ceiling<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let cpu = case.amounts?.cpu;
    above(cpu, cpu.ceiling)
}

pub(super) fn memory_ceiling<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let memory = case.amounts?.memory;
    above(memory, memory.ceiling)
}

pub(super) fn gpu_ceiling<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let ceiling = case.resolved()?.spec.resource_ceiling.gpu?;
    more(
        case.amounts?.reserved.gpus.into(),
        ceiling.into(),
        Side::Count,
    )
}

pub(super) fn cpu_quota<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let cpu = case.amounts?.cpu;
    above(cpu, cpu.quota)
}

pub(super) fn memory_quota<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let memory = case.amounts?.memory;
    above(memory, memory.quota)
}

pub(super) fn gpu_quota<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let quota = case.wish.asking.quota.gpu?;
    more(
        case.amounts?.reserved.gpus.into(),
        quota.into(),
        Side::Count,
    )
}

pub(super) fn cpu_largest<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let (wanted, largest) = (wanted(case)?, digest(case)?.largest);
    more(wanted.cpu_millis, largest.cpu_millis, Side::Millis)
}

pub(super) fn memory_largest<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let (wanted, largest) = (wanted(case)?, digest(case)?.largest);
    more(wanted.memory_bytes, largest.memory_bytes, Side::Bytes)
}

pub(super) fn gpu_largest<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let (wanted, largest) = (wanted(case)?, digest(case)?.largest);
    more(wanted.gpus.into(), largest.gpus.into(), Side::Count)
}

/// Without any limit there is always enough.
pub(super) fn memory_smallest<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let bound = case.amounts?.memory.bound()?;
    let least = digest(case)?.memory_bytes_min;
    let is_less = bound.to_units().is_some_and(|bytes| bytes < least);
    is_less.then(|| Gap::new(Side::Quantity(bound), Side::Bytes(least)))
}

pub(super) fn slots_configured<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let slots = digest(case)?.sandboxes_max;
    more(1, slots.into(), Side::Count)
}

pub(super) fn free_slots<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let slots = digest(case)?.sandboxes_max;
    let used = case.member.live().usage.sandboxes;
    more(1, slots.saturating_sub(used).into(), Side::Count)
}

pub(super) fn free_cpu<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let free = free(case)?;
    more(wanted(case)?.cpu_millis, free.cpu_millis, Side::Millis)
}

pub(super) fn free_memory<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let free = free(case)?;
    more(wanted(case)?.memory_bytes, free.memory_bytes, Side::Bytes)
}

pub(super) fn free_gpus<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let free = free(case)?;
    more(wanted(case)?.gpus.into(), free.gpus.into(), Side::Count)
}

pub(super) fn free_pool<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let level = case.exposure()?;
    if level.expects_external_address {
        // Such a sandbox waits for it where it is.
        return None;
    }
    let need = Need::of(level, &case.exposed_ports())?;
    let live = case.member.live();
    let (pool, room) = case.report()?.rooms.find_with(&need.pool, &live.held)?;
    let there = Side::Room { pool, room };
    (need.count > room.free()).then(|| Gap::new(Side::Count(need.count.into()), there))
}

fn wanted(case: &Case<'_>) -> Option<Resources> {
    Some(case.amounts?.reserved)
}

/// What is known of the runner, once it said something.
fn digest<'a>(case: &Case<'a>) -> Option<&'a Digest> {
    Some(case.member.digest()).filter(|digest| digest.has_report)
}

fn free(case: &Case<'_>) -> Option<Resources> {
    digest(case).map(|_| case.member.free())
}

fn above<'a>(amount: Amount<'a>, allowed: Option<&'a Quantity>) -> Option<Gap<'a>> {
    let (peak, allowed) = (amount.peak()?, allowed?);
    (peak > allowed).then(|| Gap::new(Side::Quantity(peak), Side::Quantity(allowed)))
}

fn more<'a>(wanted: u64, there: u64, side: fn(u64) -> Side<'a>) -> Option<Gap<'a>> {
    (wanted > there).then(|| Gap::new(side(wanted), side(there)))
}
