//! Whom a sandbox may reach, and who may reach it.

use crate::namespace::{self, Occupant};
use crate::placement::case::Case;
use crate::placement::gap::{Gap, Side};
use crate::profile::ServiceType;
use crate::runner::{AddressPools, Feature, RouteSupport};
use crate::sandbox::Protocol;

pub(super) fn egress_mode<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let asked = case.request().network.egress_mode.as_ref()?;
    let modes = case.resolved()?.spec.egress().modes();
    let has_it = modes.contains_key(asked);
    (!has_it).then(|| Gap::new(Side::Text(asked.as_str()), Side::Modes(modes)))
}

pub(super) fn egress_type<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let kind = case.egress()?.1.kind();
    if case.member.digest().enforces(kind) {
        return None;
    }
    let can = &case.report()?.capabilities;
    let why = can.lacks.get(&Feature::Egress).map(String::as_str);
    let enforced = Side::EgressTypes(&can.egress, why);
    Some(Gap::new(Side::Text(kind.as_str()), enforced))
}

pub(super) fn ingress_level<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let asked = case.request().network.ingress_mode.as_ref()?;
    let levels = case.resolved()?.spec.ingress();
    let has_it = levels.contains_key(asked);
    (!has_it).then(|| Gap::new(Side::Text(asked.as_str()), Side::Levels(levels)))
}

pub(super) fn service_type<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let kind = case.exposure()?.service.service_type;
    if case.member.digest().makes(kind) {
        return None;
    }
    let made = &case.report()?.capabilities.services;
    Some(Gap::new(
        Side::Text(kind.as_str()),
        Side::ServiceTypes(made),
    ))
}

pub(super) fn address_pool<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let service = &case.exposure()?.service;
    let picked = match service.service_type {
        ServiceType::LoadBalancer => service.selector_annotation.as_ref()?.value(),
        // These have no address of their own.
        ServiceType::ClusterIp | ServiceType::NodePort => return None,
    };
    match &case.report()?.capabilities.address_pools {
        AddressPools::Only(pools) if !pools.contains(picked) => {
            Some(Gap::new(Side::Text(picked), Side::Set(pools)))
        }
        AddressPools::Only(_) | AddressPools::Unknown => None,
    }
}

pub(super) fn http_route<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let exposure = case.exposure()?;
    let route = exposure.route.as_ref()?;
    let routes = case.report()?.capabilities.routes;
    if routes.serves(exposure.scope) {
        return None;
    }
    let controller = Side::Text(route.controller_name.as_str());
    let scope = Side::Text(exposure.scope.as_str());
    Some(match routes {
        RouteSupport::None => Gap::new(controller, Side::Text("no HTTP entry points")),
        RouteSupport::Public | RouteSupport::Scoped => Gap::new(
            scope,
            Side::Text("those of scope any only, as clients do not say who they are"),
        ),
    })
}

pub(super) fn host_name<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let route = case.exposure()?.route.as_ref()?;
    let occupant = Occupant {
        owner: case.wish.asking.owner,
        profile: case.offer.profile,
        profile_name: &case.offer.name,
    };
    let namespace = namespace::name(&case.resolved()?.spec.namespace, &occupant);
    let fits = route.template.fits(&namespace);
    (!fits).then(|| {
        let wanted = Side::Template(&route.template);
        Gap::new(wanted, Side::Text("a host name that DNS can hold"))
    })
}

pub(super) fn port_protocol<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    case.exposure()?;
    if case.report()?.capabilities.ports.sctp {
        return None;
    }
    let mut doors = case.doors();
    let door = doors.find(|port| port.protocol == Protocol::Sctp)?;
    Some(Gap::new(Side::Port(door), Side::Text("TCP, UDP")))
}

pub(super) fn exposed_ports<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    case.exposure()?;
    let most = u64::from(case.report()?.capabilities.ports.max?);
    let count = case.doors().count() as u64;
    (count > most).then(|| Gap::new(Side::Count(count), Side::Count(most)))
}
