//! The decision between sandboxes, in a form that can be looked up.
//!
//! What has to be the same of a caller and a target follows from two words only:
//! the mode of the one and the scope of the other. So every caller holds a few
//! [`Claim`]s, every door takes one claim for each mode, and a door opens to
//! whoever holds a claim that it takes. That is a lookup in a set, whatever the
//! number of sandboxes.
//!
//! The invariant, which a test holds against [`super::decide`]: a caller holds a
//! claim that a door takes if and only if the caller may open that door.

use super::peer::Party;
use super::rules::Peers;
use super::standing::Standing;
use crate::id::ProfileId;
use crate::name::{OrganizationId, UserId};
use crate::profile::Scope;

/// What callers hold and doors take.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The egress mode of the caller.
    pub peers: Peers,
    /// What it has in common with the target.
    pub group: Group,
}

/// Sandboxes with something in common, always within one organization.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// The organization.
    Organization(OrganizationId),
    /// The user.
    User(OrganizationId, UserId),
    /// The profile.
    Profile(OrganizationId, ProfileId),
    /// The user and the profile.
    Both(OrganizationId, UserId, ProfileId),
}

/// The kinds of groups.
#[derive(Clone, Copy)]
enum Kind {
    Organization,
    User,
    Profile,
    Both,
}

/// The most claims that one caller holds.
pub const CLAIMS_MAX: usize = 3;

/// The modes that reach sandboxes.
const MODES: [Peers; 3] = [Peers::Org, Peers::User, Peers::Profile];

/// What a caller holds.
pub fn claims(caller: &Standing) -> Vec<Claim> {
    let peers = Peers::of(&caller.egress);
    let kinds: &[Kind] = match peers {
        Peers::None => &[],
        Peers::Org => &[Kind::Organization, Kind::User, Kind::Profile],
        Peers::User => &[Kind::User, Kind::Both],
        Peers::Profile => &[Kind::Profile, Kind::Both],
    };
    let claim = |kind: &Kind| Claim {
        peers,
        group: group(*kind, caller.party()),
    };
    kinds.iter().map(claim).collect()
}

/// What every door of a target takes; nothing if it exposes nothing.
pub fn taken(target: &Standing) -> Vec<Claim> {
    let Some(exposed) = &target.exposed else {
        return Vec::new();
    };
    let claim = |peers: Peers| {
        let kind = kind(peers, exposed.scope)?;
        let group = group(kind, target.party());
        Some(Claim { peers, group })
    };
    MODES.into_iter().filter_map(claim).collect()
}

/// What a caller with such a mode must have in common with a target of such a
/// scope; `None` if nothing would do.
fn kind(peers: Peers, scope: Scope) -> Option<Kind> {
    Some(match (peers, scope) {
        (Peers::None, _) => return None,
        (Peers::Org, Scope::Any | Scope::Org) => Kind::Organization,
        (Peers::Org | Peers::User, Scope::User) | (Peers::User, Scope::Any | Scope::Org) => {
            Kind::User
        }
        (Peers::Org | Peers::Profile, Scope::Profile)
        | (Peers::Profile, Scope::Any | Scope::Org) => Kind::Profile,
        (Peers::User, Scope::Profile) | (Peers::Profile, Scope::User) => Kind::Both,
    })
}

fn group(kind: Kind, party: Party<'_>) -> Group {
    let organization = party.owner.organization.clone();
    let user = || party.owner.user.clone();
    match kind {
        Kind::Organization => Group::Organization(organization),
        Kind::User => Group::User(organization, user()),
        Kind::Profile => Group::Profile(organization, party.profile),
        Kind::Both => Group::Both(organization, user(), party.profile),
    }
}
