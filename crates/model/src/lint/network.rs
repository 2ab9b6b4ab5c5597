//! Advice about whom sandboxes reach, and who reaches them.

use crate::cidr::Cidr;
use crate::policy;
use crate::profile::{Egress, EgressMode, Exposure, ProfileSpec, Scope, ServiceType};
use crate::violation::FieldPath;

use super::{Finding, Rule, spec_path};

/// An IPv4 range with fewer leading bits hardly chooses.
const NARROW_V4: u8 = 8;
/// So does an IPv6 range; this is what a registry gives to a large provider.
const NARROW_V6: u8 = 19;

pub(super) fn findings(spec: &ProfileSpec) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(network) = &spec.network {
        if let Some(egress) = &network.egress {
            findings.extend(default_mode(egress));
            findings.extend(alike_modes(egress));
            for (name, mode) in egress.modes() {
                let at = spec_path(["network", "egress", "modes", name.as_str()]);
                findings.extend(ranges(&at, mode));
            }
        }
        findings.extend(alike_levels(spec));
        for (name, level) in &network.ingress {
            let at = spec_path(["network", "ingress", name.as_str()]);
            findings.extend(exposure(&at, level));
        }
    }
    findings
}

fn default_mode(egress: &Egress) -> Option<Finding> {
    let at = spec_path(["network", "egress", "default"]);
    let name = egress.default_name();
    match egress.mode(name)? {
        EgressMode::Internet => Some(Finding::new(
            Rule::InternetByDefault,
            at,
            format!("is {name}, so that every sandbox that does not choose reaches the internet"),
            "make a mode of type none or allowlist the default, and let those who need the \
             internet choose it by name",
        )),
        EgressMode::None if egress.modes().len() == 1 => Some(Finding::new(
            Rule::DefaultUnused,
            at,
            "names the only mode, which allows nothing; a profile without egress does the same",
            "leave egress out, or add the modes that users may choose",
        )),
        EgressMode::None
        | EgressMode::User
        | EgressMode::Org
        | EgressMode::Profile
        | EgressMode::Allowlist(_) => None,
    }
}

/// Modes that allow the same as one before them.
fn alike_modes(egress: &Egress) -> Vec<Finding> {
    let modes = egress.modes().iter().collect::<Vec<_>>();
    let twin_of = |place: usize| {
        let (_, mode) = modes.get(place)?;
        let (name, _) = modes[..place]
            .iter()
            .find(|(_, other)| is_same(mode, other))?;
        Some(*name)
    };
    let twins = modes.iter().enumerate();
    twins
        .filter_map(|(place, (name, _))| {
            let twin = twin_of(place)?;
            Some(Finding::new(
                Rule::ModesAlike,
                spec_path(["network", "egress", "modes", name.as_str()]),
                format!("allows the same as mode {twin}, so that nobody can tell them apart"),
                format!("keep one of {twin} and {name}"),
            ))
        })
        .collect()
}

/// Whether two modes allow the same; the order of ranges says nothing.
fn is_same(one: &EgressMode, other: &EgressMode) -> bool {
    match (one, other) {
        (EgressMode::Allowlist(one), EgressMode::Allowlist(other)) => {
            let sorted = |ranges: &[Cidr]| {
                let mut ranges = ranges.to_vec();
                ranges.sort_unstable();
                ranges.dedup();
                ranges
            };
            sorted(one) == sorted(other)
        }
        (one, other) => one == other,
    }
}

fn ranges(at: &FieldPath, mode: &EgressMode) -> Vec<Finding> {
    let EgressMode::Allowlist(cidrs) = mode else {
        return Vec::new();
    };
    let at = at.key("cidrs");
    let places = cidrs.iter().enumerate();
    places
        .filter_map(|(place, range)| {
            width(at.index(place), *range).or_else(|| {
                let others = cidrs.iter().enumerate();
                // Of two equal ranges, only the later one is superfluous.
                let around = others.into_iter().find(|(other, around)| {
                    *other != place && around.covers(*range) && (*around != range || *other < place)
                });
                around.map(|(_, around)| {
                    Finding::new(
                        Rule::AllowlistRepeats,
                        at.index(place),
                        format!("is {range}, which {around} holds already"),
                        format!("leave out {range}, or {around} if the smaller one was meant"),
                    )
                })
            })
        })
        .collect()
}

fn width(at: FieldPath, range: Cidr) -> Option<Finding> {
    let narrow = if range.is_ipv4() {
        NARROW_V4
    } else {
        NARROW_V6
    };
    if range.prefix_len() == 0 {
        return Some(Finding::new(
            Rule::AllowlistOpen,
            at,
            format!("is {range}, which is every address, private ones of your network included"),
            "list the ranges that are needed, or use type internet, which keeps to public addresses",
        ));
    }
    if let Some(closed) = policy::ranges::never_opens(range) {
        return Some(Finding::new(
            Rule::AllowlistClosed,
            at,
            format!(
                "is {range}: {}, which stay closed in every mode",
                closed.name
            ),
            format!("leave out {range}"),
        ));
    }
    (range.prefix_len() < narrow).then(|| {
        Finding::new(
            Rule::AllowlistWide,
            at,
            format!("is {range}, which is wider than /{narrow}"),
            "list the ranges of the services that are needed",
        )
    })
}

/// Levels that do the same as one before them.
fn alike_levels(spec: &ProfileSpec) -> Vec<Finding> {
    let levels = spec.ingress().iter().collect::<Vec<_>>();
    let places = levels.iter().enumerate();
    places
        .filter_map(|(place, (name, level))| {
            let (twin, _) = levels[..place].iter().find(|(_, other)| other == level)?;
            Some(Finding::new(
                Rule::LevelsAlike,
                spec_path(["network", "ingress", name.as_str()]),
                format!("does the same as level {twin}, so that nobody can tell them apart"),
                format!("keep one of {twin} and {name}"),
            ))
        })
        .collect()
}

fn exposure(at: &FieldPath, level: &Exposure) -> Vec<Finding> {
    let service = &level.service;
    let is_balanced = service.service_type == ServiceType::LoadBalancer;
    let is_public = level.scope == Scope::Any;
    let is_inside = service.service_type == ServiceType::ClusterIp && level.route.is_none();
    let mut findings = Vec::new();
    if is_public && is_inside {
        findings.push(Finding::new(
            Rule::PublicWithoutEntry,
            at.key("scope"),
            "is any, but a ClusterIP service without an ingress block has no way in from outside",
            "use serviceType LoadBalancer or NodePort, add an ingress block with a host name, or \
             choose scope org",
        ));
    }
    if is_public && is_balanced && !level.expects_external_address {
        findings.push(Finding::new(
            Rule::PublicWithoutWaiting,
            at.key("expectsExternalAddress"),
            "is not set, so that a sandbox counts as running before anybody outside can reach it",
            "set expectsExternalAddress: true",
        ));
    }
    if is_balanced && service.selector_annotation.is_none() {
        findings.push(Finding::new(
            Rule::LoadBalancerWithoutPool,
            at.key("service").key("serviceSelectorAnnotation"),
            "is not set, so that the address comes from whichever pool has one",
            "name the pool with serviceSelectorAnnotation: {key: ..., value: ...}",
        ));
    }
    findings
}
