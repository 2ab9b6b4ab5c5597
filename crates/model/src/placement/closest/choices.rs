//! What a request could pick instead, among what a candidate has.

use crate::name::{LevelName, ModeName};
use crate::placement::asking::Asking;
use crate::placement::case::{Case, Wish};
use crate::placement::check;
use crate::profile::Scope;
use crate::sandbox::{GpuKind, GpuRequest, Port, Protocol, StartRequest};

use super::amounts::largest;
use super::{Change, INGRESS};

/// The default mode if the runner enforces it, else the first that it does.
pub(super) fn egress(case: &Case<'_>) -> Option<ModeName> {
    let egress = case.resolved()?.spec.egress();
    let enforced = case.report().map(|report| &report.capabilities.egress);
    let modes = egress.modes();
    let default = modes.get_key_value(egress.default_name());
    default
        .into_iter()
        .chain(modes)
        .find(|(_, mode)| enforced.is_none_or(|enforced| enforced.contains(&mode.kind())))
        .map(|(name, _)| name.clone())
}

/// The narrowest level that the candidate can make; `None` exposes nothing.
pub(super) fn ingress(case: &Case<'_>) -> Option<LevelName> {
    let levels = &case.resolved()?.spec.ingress();
    let mut levels = levels.iter().collect::<Vec<_>>();
    levels.sort_by_key(|(_, level)| Scope::ALL.iter().position(|scope| *scope == level.scope));
    levels
        .into_iter()
        .map(|(name, _)| name)
        .find(|name| can_expose(case, name))
        .cloned()
}

fn can_expose(case: &Case<'_>, level: &LevelName) -> bool {
    let mut request = StartRequest::default();
    request.network.ingress_mode = Some(level.clone());
    let asking = Asking {
        request: &request,
        ..case.wish.asking
    };
    let wish = Wish::new(case.wish.fleet, asking);
    let changed = case.under(&wish);
    INGRESS
        .iter()
        .all(|&constraint| check::gap(&changed, constraint).is_none())
}

/// The first of the ports that can be exposed, as many as may be, or nothing.
pub(super) fn ports(case: &Case<'_>) -> Option<Change> {
    let can = case.report()?.capabilities.ports;
    let all = &case.request().ports;
    let doors = |number: u16| all.iter().filter(move |port| port.number == number);
    let is_possible = |port: &Port| can.sctp || port.protocol != Protocol::Sctp;
    let mut left = can.max.map_or(usize::MAX, |most| most as usize);
    let mut ports = case.exposed_ports();
    ports.retain(|&number| doors(number).all(is_possible));
    ports.retain(|&number| {
        let fits = left.checked_sub(doors(number).count());
        left = fits.unwrap_or(left);
        fits.is_some()
    });
    Some(if ports.is_empty() {
        Change::Ingress(None)
    } else {
        Change::Ports(ports)
    })
}

/// As many GPUs as there may be, of a type that there is, or none.
pub(super) fn gpu(case: &Case<'_>) -> Option<Change> {
    let asked = case.amounts?.gpu?;
    let ceilings = [
        case.resolved()?.spec.resource_ceiling.gpu,
        case.wish.asking.quota.gpu,
        largest(case).map(|largest| largest.gpus),
    ];
    let count = ceilings.into_iter().flatten().fold(asked.count, u32::min);
    let types = case.report().map(|report| &report.capabilities.gpu_types);
    let has = |name: &String| types.is_none_or(|types| types.contains(name));
    let kind = match &asked.kind {
        GpuKind::Any => GpuKind::Any,
        GpuKind::Type(name) if has(name) => GpuKind::Type(name.clone()),
        GpuKind::Type(_) | GpuKind::MemoryGb(_) => types
            .and_then(|types| types.first())
            .map_or(GpuKind::Any, |first| GpuKind::Type(first.clone())),
    };
    let gpu = (count > 0).then_some(GpuRequest { count, kind });
    Some(Change::Gpu(gpu))
}
