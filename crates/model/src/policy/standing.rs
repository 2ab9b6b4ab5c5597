//! Where a sandbox stands: whose it is, whom it may call, and what it exposes.
//!
//! This is all that a decision between two sandboxes looks at, and so all that a
//! backend has to keep of a launch to enforce it.

use std::collections::BTreeSet;

use super::peer::{self, Party, Visitor};
use super::rules::Peers;
use super::verdict::{Refused, Verdict};
use crate::id::ProfileId;
use crate::name::LevelName;
use crate::profile::{EgressMode, Scope};
use crate::sandbox::{AppliedExposure, Launch, Owner, Port, Protocol};

/// One sandbox, as far as reaching and being reached goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whose it is.
    pub owner: Owner,
    /// The profile that it runs under.
    pub profile: ProfileId,
    /// Whom it may call.
    pub egress: EgressMode,
    /// What others may call, if anything.
    pub exposed: Option<Exposed>,
}

/// The ports that a sandbox exposes, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    /// What the profile calls the level.
    pub level: LevelName,
    /// Who may come in.
    pub scope: Scope,
    /// Where.
    pub doors: BTreeSet<Door>,
}

/// A port of one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Door {
    /// The protocol.
    pub protocol: Protocol,
    /// The number of the port.
    pub port: u16,
}

/// What a caller asks of another sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Knock {
    /// A connection to a port.
    At(Door),
    /// An echo, or whatever else ICMP can ask for.
    Icmp,
}

impl Standing {
    /// The standing of a sandbox that is launched so.
    pub fn of(launch: &Launch) -> Self {
        let exposed = launch.exposure.as_ref();
        Self {
            owner: launch.owner.clone(),
            profile: launch.profile,
            egress: launch.egress.mode.clone(),
            exposed: exposed.map(|level| Exposed::of(level, &launch.ports)),
        }
    }

    /// Who it is.
    pub fn party(&self) -> Party<'_> {
        Party {
            owner: &self.owner,
            profile: self.profile,
        }
    }

    /// Whether it may open this to another sandbox: both sides have to agree.
    pub fn reaches(&self, target: &Self, knock: Knock) -> Verdict {
        let peers = Peers::of(&self.egress);
        match peer::includes(peers, self.party(), target.party()) {
            Ok(()) => {
                let visitor = Visitor::Sandbox(self.party());
                peer::admits(target.party(), target.exposed.as_ref(), knock, visitor)
            }
            Err(refused) => Verdict::Refused(refused),
        }
    }

    /// Whether a name of another sandbox exists for it: exactly if it may open
    /// something there.
    pub fn sees(&self, target: &Self, level: &LevelName) -> Verdict {
        let Some(exposed) = &target.exposed else {
            return Verdict::Refused(Refused::NotExposed);
        };
        if exposed.level != *level {
            return Verdict::Refused(Refused::NotExposed);
        }
        let mut doors = exposed.doors.iter();
        let first = doors.next().map_or(Knock::Icmp, |door| Knock::At(*door));
        self.reaches(target, first)
    }
}

impl Exposed {
    /// What is exposed of these ports at a level. A number that is not among the
    /// ports has no protocol, and so is no door.
    pub fn of(level: &AppliedExposure, ports: &[Port]) -> Self {
        let exposed = ports
            .iter()
            .filter(|port| level.ports.contains(&port.number));
        Self {
            level: level.name.clone(),
            scope: level.exposure.scope,
            doors: exposed
                .map(|port| Door {
                    protocol: port.protocol,
                    port: port.number,
                })
                .collect(),
        }
    }
}
