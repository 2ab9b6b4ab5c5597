//! The answer to «may it reach that», and what it rests on.
//!
//! The grounds are part of the answer, so that a refused connection can be
//! explained without deciding again.

use std::fmt;

use crate::cidr::Cidr;
use crate::profile::Scope;

/// The answer, and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Allowed(Allowed),
    /// No.
    Refused(Refused),
}

/// Why something may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// This range is open.
    Range(Cidr),
    /// Names of this kind are looked up.
    Name,
    /// The port is exposed to this scope.
    Exposed(Scope),
}

/// Why something may not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The address lies in a closed range.
    Closed(Closure),
    /// No open range holds the address.
    NotListed,
    /// Names are looked up by the runner's resolver and by no other.
    OtherResolver,
    /// The egress mode looks up no such names.
    NoSuchNames,
    /// The egress mode reaches no sandboxes.
    NoPeers,
    /// The sandbox belongs to another organization.
    OtherOrganization,
    /// The sandbox belongs to another user.
    OtherUser,
    /// The sandbox runs under another profile.
    OtherProfile,
    /// The port is not exposed.
    NotExposed,
    /// It asks for no port, and nothing but ports can be exposed.
    NoPort,
    /// The port is exposed to a scope that the caller is not in.
    OutsideScope(Scope),
}

/// A closed range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Closure {
    /// The addresses.
    pub range: Cidr,
    /// Why.
    pub because: Closed,
}

/// Why a range is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closed {
    /// A registry sets it apart; the text says for what.
    Special(&'static str),
    /// It is the machine itself.
    Host,
    /// Sandboxes are reached through a peer mode, not by address.
    Sandboxes,
    /// The platform's own services.
    Control,
    /// Nodes and services of the cluster.
    Cluster,
}

impl Verdict {
    /// Whether the answer is yes.
    pub fn is_allowed(self) -> bool {
        match self {
            Self::Allowed(_) => true,
            Self::Refused(_) => false,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed(why) => write!(f, "allowed: {why}"),
            Self::Refused(why) => write!(f, "refused: {why}"),
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(range) => write!(f, "{range} is open"),
            Self::Name => f.write_str("such names are looked up"),
            Self::Exposed(scope) => write!(f, "the port is exposed to scope {}", scope.as_str()),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(closure) => write!(f, "{} is {}", closure.range, closure.because),
            Self::NotListed => f.write_str("the egress mode opens no range with this address"),
            Self::OtherResolver => f.write_str("names are looked up by the runner's resolver only"),
            Self::NoSuchNames => f.write_str("the egress mode looks up no such names"),
            Self::NoPeers => f.write_str("the egress mode reaches no other sandboxes"),
            Self::OtherOrganization => f.write_str("it belongs to another organization"),
            Self::OtherUser => f.write_str("it belongs to another user"),
            Self::OtherProfile => f.write_str("it runs under another profile"),
            Self::NotExposed => f.write_str("it does not expose that port"),
            Self::NoPort => f.write_str("it asks for no port, and only ports can be exposed"),
            Self::OutsideScope(scope) => {
                write!(f, "the port is exposed to scope {} only", scope.as_str())
            }
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Special(name) => name,
            Self::Host => "the machine itself",
            Self::Sandboxes => "for sandboxes, which are reached through a peer mode",
            Self::Control => "where the platform's own services listen",
            Self::Cluster => "part of the cluster",
        })
    }
}
