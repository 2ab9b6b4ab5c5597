//! Sandboxes among each other.
//!
//! Nothing here looks at addresses. A peer is judged by whose it is and under
//! which profile it runs, never by what it says of itself.

use super::rules::Peers;
use super::standing::{Exposed, Knock};
use super::verdict::{Allowed, Refused, Verdict};
use crate::id::ProfileId;
use crate::name::OrganizationId;
use crate::profile::Scope;
use crate::sandbox::Owner;

/// Who a sandbox is, as far as reaching goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party<'a> {
    /// Whose it is.
    pub owner: &'a Owner,
    /// The profile that it runs under.
    pub profile: ProfileId,
}

/// Who knocks at an exposed port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visitor<'a> {
    /// Another sandbox.
    Sandbox(Party<'a>),
    /// Something else inside an organization, such as a workload of its own.
    Member(&'a OrganizationId),
    /// Anybody.
    Stranger,
}

/// Whether a sandbox lets a visitor in.
///
/// Without an exposure level nothing comes in, and ICMP never does: it has no
/// port that could be exposed.
pub fn admits(
    host: Party<'_>,
    exposed: Option<&Exposed>,
    knock: Knock,
    visitor: Visitor<'_>,
) -> Verdict {
    let Some(exposed) = exposed else {
        return Verdict::Refused(Refused::NotExposed);
    };
    match knock {
        Knock::At(door) if exposed.doors.contains(&door) => {}
        Knock::At(_) => return Verdict::Refused(Refused::NotExposed),
        Knock::Icmp => return Verdict::Refused(Refused::NoPort),
    }
    let scope = exposed.scope;
    let inside = match (scope, visitor) {
        (Scope::Any, _) => true,
        (Scope::Org, Visitor::Member(organization)) => *organization == host.owner.organization,
        (Scope::Org, Visitor::Sandbox(party)) => same_organization(host, party),
        (Scope::User, Visitor::Sandbox(party)) => party.owner == host.owner,
        (Scope::Profile, Visitor::Sandbox(party)) => same_profile(host, party),
        (Scope::User | Scope::Profile, Visitor::Member(_))
        | (Scope::Org | Scope::User | Scope::Profile, Visitor::Stranger) => false,
    };
    if inside {
        Verdict::Allowed(Allowed::Exposed(scope))
    } else {
        Verdict::Refused(Refused::OutsideScope(scope))
    }
}

/// Whether the peers of an egress mode include another sandbox.
pub(super) fn includes(peers: Peers, caller: Party<'_>, target: Party<'_>) -> Result<(), Refused> {
    if peers == Peers::None {
        return Err(Refused::NoPeers);
    }
    if !same_organization(caller, target) {
        return Err(Refused::OtherOrganization);
    }
    match peers {
        Peers::User if caller.owner.user != target.owner.user => Err(Refused::OtherUser),
        Peers::Profile if caller.profile != target.profile => Err(Refused::OtherProfile),
        Peers::None | Peers::User | Peers::Org | Peers::Profile => Ok(()),
    }
}

fn same_organization(one: Party<'_>, other: Party<'_>) -> bool {
    one.owner.organization == other.owner.organization
}

/// Profiles belong to one organization; that is checked all the same, so that a
/// forged id cannot cross.
fn same_profile(one: Party<'_>, other: Party<'_>) -> bool {
    same_organization(one, other) && one.profile == other.profile
}
