//! From an egress mode to ranges that are open and ranges that are closed.
//!
//! The closed ranges win. Ranges either nest or are disjoint, so the rules can
//! also be had as [`Block`]s: open ranges with their exceptions, the form that
//! interval sets and network policies take.

use std::net::IpAddr;

use super::peer::{self, Party, Visitor};
use super::ranges::{self, Special};
use super::standing::{Door, Exposed, Knock};
use super::verdict::{Allowed, Closed, Closure, Refused, Verdict};
use crate::cidr::Cidr;
use crate::profile::EgressMode;

/// The ports of servers of names, plain and encrypted. Only the runner's resolver
/// is asked there, whichever addresses are open.
pub const NAME_PORTS: [u16; 2] = [53, 853];

/// What lies around the sandboxes of one runner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The addresses of the machine itself, its uplink included.
    pub host: Vec<Cidr>,
    /// The pool that sandboxes get their addresses from.
    pub sandboxes: Vec<Cidr>,
    /// Where the platform's own services listen.
    pub control: Vec<Cidr>,
    /// Nodes and services of the cluster; only an allowlist can open these.
    pub cluster: Vec<Cidr>,
}

/// What one sandbox may open connections to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressRules {
    /// Ranges that are open.
    pub allow: Vec<Cidr>,
    /// Ranges that are closed, whatever [`Self::allow`] says.
    pub deny: Vec<Closure>,
    /// Which names the runner's resolver looks up.
    pub dns: Dns,
    /// Which other sandboxes it may call, at ports that these expose.
    pub peers: Peers,
}

/// Which names the runner's resolver looks up for a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dns {
    /// None at all.
    Off,
    /// Any.
    Forward,
    /// Those of other sandboxes.
    SandboxNamesOnly,
}

/// Which other sandboxes a sandbox may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peers {
    /// None.
    None,
    /// Those of the same user.
    User,
    /// Those of the same organization.
    Org,
    /// Those of the same profile, within the organization.
    Profile,
}

impl Peers {
    /// The sandboxes that an egress mode reaches.
    pub fn of(mode: &EgressMode) -> Self {
        match mode {
            EgressMode::None | EgressMode::Internet | EgressMode::Allowlist(_) => Self::None,
            EgressMode::User => Self::User,
            EgressMode::Org => Self::Org,
            EgressMode::Profile => Self::Profile,
        }
    }
}

/// An open range and what stays closed inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The addresses.
    pub range: Cidr,
    /// Ranges inside it that stay closed; none of them covers another.
    pub except: Vec<Cidr>,
}

/// What a sandbox wants to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target<'a> {
    /// An address, as it stands in a packet. A socket that is told an
    /// IPv4-mapped address sends version 4 packets: ask for that address.
    Address(IpAddr),
    /// A port of an address.
    Port(IpAddr, Door),
    /// The runner's resolver, asked for such a name.
    Name(NameKind),
    /// Another sandbox.
    Sandbox {
        /// Who that is.
        party: Party<'a>,
        /// What it exposes.
        exposed: Option<&'a Exposed>,
        /// What is asked of it.
        knock: Knock,
    },
}

/// What a name in a DNS question is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameKind {
    /// A sandbox.
    Sandbox,
    /// Anything else.
    Other,
}

impl EgressRules {
    /// The rules of an egress mode on a runner with these surroundings.
    pub fn new(mode: &EgressMode, here: &Surroundings) -> Self {
        let (allow, dns) = match mode {
            EgressMode::None => (Vec::new(), Dns::Off),
            EgressMode::Internet => (
                vec![ranges::ALL_V4, ranges::GLOBAL_UNICAST_V6],
                Dns::Forward,
            ),
            EgressMode::Allowlist(list) => (list.clone(), Dns::Forward),
            EgressMode::User | EgressMode::Org | EgressMode::Profile => {
                (Vec::new(), Dns::SandboxNamesOnly)
            }
        };
        Self {
            deny: closures(&allow, here),
            allow,
            dns,
            peers: Peers::of(mode),
        }
    }

    /// The same openings as ranges with exceptions.
    pub fn blocks(&self) -> Vec<Block> {
        let mut allow = self.allow.clone();
        keep_widest(&mut allow);
        allow
            .into_iter()
            .filter(|range| !self.deny.iter().any(|closed| closed.range.covers(*range)))
            .map(|range| Block {
                range,
                except: self.exceptions(range),
            })
            .collect()
    }

    fn exceptions(&self, range: Cidr) -> Vec<Cidr> {
        let mut except = self
            .deny
            .iter()
            .map(|closed| closed.range)
            .filter(|closed| range.covers(*closed))
            .collect::<Vec<_>>();
        keep_widest(&mut except);
        except
    }

    /// Whether a connection to this address may be opened.
    pub fn address(&self, address: IpAddr) -> Verdict {
        let closed = self
            .deny
            .iter()
            .filter(|closed| closed.range.contains(address))
            .max_by_key(|closed| closed.range.prefix_len());
        if let Some(closed) = closed {
            return Verdict::Refused(Refused::Closed(*closed));
        }
        let open = self.allow.iter().find(|range| range.contains(address));
        open.map_or(Verdict::Refused(Refused::NotListed), |range| {
            Verdict::Allowed(Allowed::Range(*range))
        })
    }

    /// Whether a connection to this port of an address may be opened.
    pub fn port(&self, address: IpAddr, door: Door) -> Verdict {
        match self.address(address) {
            Verdict::Allowed(_) if NAME_PORTS.contains(&door.port) => {
                Verdict::Refused(Refused::OtherResolver)
            }
            verdict @ (Verdict::Allowed(_) | Verdict::Refused(_)) => verdict,
        }
    }

    /// Whether the runner's resolver looks up names of this kind.
    pub fn name(&self, kind: NameKind) -> Verdict {
        match (self.dns, kind) {
            (Dns::Forward, NameKind::Other) | (Dns::SandboxNamesOnly, NameKind::Sandbox) => {
                Verdict::Allowed(Allowed::Name)
            }
            // A mode that forwards reaches no sandboxes, so that it has no use
            // for their names and learns none of them.
            (Dns::Off, _)
            | (Dns::Forward, NameKind::Sandbox)
            | (Dns::SandboxNamesOnly, NameKind::Other) => Verdict::Refused(Refused::NoSuchNames),
        }
    }
}

/// Whether `caller`, under these rules, may reach the target.
pub fn decide(rules: &EgressRules, caller: Party<'_>, target: Target<'_>) -> Verdict {
    match target {
        Target::Address(address) => rules.address(address),
        Target::Port(address, door) => rules.port(address, door),
        Target::Name(kind) => rules.name(kind),
        Target::Sandbox {
            party,
            exposed,
            knock,
        } => match peer::includes(rules.peers, caller, party) {
            Ok(()) => peer::admits(party, exposed, knock, Visitor::Sandbox(caller)),
            Err(refused) => Verdict::Refused(refused),
        },
    }
}

/// Everything that stays closed although a range in `allow` may cover it.
fn closures(allow: &[Cidr], here: &Surroundings) -> Vec<Closure> {
    let always = ranges::SPECIAL
        .iter()
        .filter(|special| !special.openable)
        .map(Special::closure)
        .chain(all(&here.host, Closed::Host))
        .chain(all(&here.sandboxes, Closed::Sandboxes))
        .chain(all(&here.control, Closed::Control));
    let unless_listed = ranges::SPECIAL
        .iter()
        .filter(|special| special.openable)
        .map(Special::closure)
        .chain(all(&here.cluster, Closed::Cluster))
        .flat_map(|closure| unlisted(closure, allow));
    always.chain(unless_listed).collect()
}

fn all(ranges: &[Cidr], because: Closed) -> impl Iterator<Item = Closure> {
    ranges.iter().map(move |&range| Closure { range, because })
}

/// The parts of a closure that no range in `allow` names.
///
/// A range names what lies inside it only if it lies inside the closure itself:
/// `10.1.0.0/16` opens that part of `10.0.0.0/8`, and `0.0.0.0/0` opens none.
fn unlisted(closure: Closure, allow: &[Cidr]) -> Vec<Closure> {
    let mut parts = vec![closure.range];
    for hole in allow.iter().filter(|range| closure.range.covers(**range)) {
        parts = parts
            .into_iter()
            .flat_map(|part| without(part, *hole))
            .collect();
    }
    parts
        .into_iter()
        .map(|range| Closure { range, ..closure })
        .collect()
}

/// A range less a part of it, as few ranges as that takes.
fn without(range: Cidr, hole: Cidr) -> Vec<Cidr> {
    if hole.covers(range) {
        return Vec::new();
    }
    let mut rest = Vec::new();
    let mut around = range;
    while around != hole && around.covers(hole) {
        let Some([low, high]) = around.halves() else {
            break;
        };
        let (within, beside) = if low.covers(hole) {
            (low, high)
        } else {
            (high, low)
        };
        rest.push(beside);
        around = within;
    }
    if around != hole {
        // The hole lies elsewhere.
        rest.push(around);
    }
    rest
}

/// Drops ranges that another one covers.
fn keep_widest(ranges: &mut Vec<Cidr>) {
    ranges.sort_by_key(|range| (range.prefix_len(), *range));
    ranges.dedup();
    let mut widest = Vec::<Cidr>::with_capacity(ranges.len());
    for range in ranges.drain(..) {
        if !widest.iter().any(|wider| wider.covers(range)) {
            widest.push(range);
        }
    }
    *ranges = widest;
}

impl Special {
    fn closure(&self) -> Closure {
        Closure {
            range: self.range,
            because: Closed::Special(self.name),
        }
    }
}
