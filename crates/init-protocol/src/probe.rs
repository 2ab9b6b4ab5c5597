//! What a sandbox can be asked about the network around it, and what it says.
//!
//! A sandbox is asked by running `palisade-init probe PROBE...` in it, which
//! prints one [`Reading`] for each [`Probe`], or `palisade-init around`, which
//! prints what it sees of itself ([`Sight`]). Nothing is decided here: a reading
//! says what was heard, and whoever asked knows what should have been.
//!
//! The invariant: every value is printed as one line, and that line is read as
//! that value. What a sandbox prints is foreign: texts are bounded and hold
//! nothing but visible characters.

mod host;
mod reading;
mod sight;

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

pub use host::Host;
pub use reading::{BadReading, Outcome, Reading};
pub use sight::Sight;

/// The most probes of one call.
pub const PROBES_MAX: usize = 256;
/// How long each of them waits for an answer.
pub const PROBE_LIMIT: std::time::Duration = std::time::Duration::from_secs(2);
/// Where every sandbox has the program.
pub const PROGRAM: &str = "/dev/palisade/init";
/// The first argument of the program that asks.
pub const PROBE: &str = "probe";
/// The first argument of the program that answers.
pub const LISTEN: &str = "listen";
/// The first argument of the program that looks around.
pub const AROUND: &str = "around";
/// What the program that answers prints once it does.
pub const LISTENING: &str = "listening";
/// What it says to whoever connects, or sends anything.
pub const GREETING: &[u8] = b"palisade\n";
/// The most ports that one program answers at.
pub const DOORS_MAX: usize = 64;

/// A question to the network.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Probe {
    /// Whether a connection comes about.
    Tcp(Host, NonZeroU16),
    /// Whether a datagram is answered.
    Udp(Host, NonZeroU16),
    /// Whether an echo comes back.
    Icmp(Host),
    /// What this server says the address of a name is.
    Dns(Host, HostName),
}

/// A port to answer at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Door {
    /// By TCP.
    Tcp(NonZeroU16),
    /// By UDP.
    Udp(NonZeroU16),
}

/// A name that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(String);

/// A text is no probe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProbe {
    /// It does not begin with what to ask.
    #[error("{text:?} is no probe; say tcp/ADDR/PORT, udp/ADDR/PORT, icmp/ADDR or dns/SERVER/NAME")]
    Form {
        /// What was given, cut short.
        text: String,
    },
    /// It is nowhere to answer.
    #[error("{text:?} is nowhere to answer; say tcp/PORT or udp/PORT")]
    Door {
        /// What was given, cut short.
        text: String,
    },
    /// The address is none.
    #[error("{text:?} is no address; say 192.0.2.1, 2001:db8::1 or fe80::1%2")]
    Address {
        /// What was given, cut short.
        text: String,
    },
    /// The port is none.
    #[error("{text:?} is no port; say a number from 1 to 65535")]
    Port {
        /// What was given, cut short.
        text: String,
    },
    /// The name is none.
    #[error(
        "{text:?} is no name; say labels of letters, digits, '-' and '_' with dots between them, \
         at most {} bytes in all and {} in a label",
        HostName::LEN_MAX,
        HostName::LABEL_LEN_MAX
    )]
    Name {
        /// What was given, cut short.
        text: String,
    },
}

impl HostName {
    /// The longest name, in bytes.
    pub const LEN_MAX: usize = 253;
    /// The longest part between two dots, in bytes.
    pub const LABEL_LEN_MAX: usize = 63;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = BadProbe;

    fn from_str(text: &str) -> Result<Self, BadProbe> {
        let is_label = |label: &str| {
            let is_of_form = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            (1..=Self::LABEL_LEN_MAX).contains(&label.len()) && label.bytes().all(is_of_form)
        };
        if text.len() <= Self::LEN_MAX && text.split('.').all(is_label) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadProbe::Name { text: cut(text) })
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Probe {
    type Err = BadProbe;

    fn from_str(text: &str) -> Result<Self, BadProbe> {
        let mut parts = text.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("tcp"), Some(host), Some(at)) => Ok(Self::Tcp(host.parse()?, port(at)?)),
            (Some("udp"), Some(host), Some(at)) => Ok(Self::Udp(host.parse()?, port(at)?)),
            (Some("icmp"), Some(host), None) => Ok(Self::Icmp(host.parse()?)),
            (Some("dns"), Some(server), Some(name)) => {
                Ok(Self::Dns(server.parse()?, name.parse()?))
            }
            _ => Err(BadProbe::Form { text: cut(text) }),
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) => write!(f, "tcp/{host}/{port}"),
            Self::Udp(host, port) => write!(f, "udp/{host}/{port}"),
            Self::Icmp(host) => write!(f, "icmp/{host}"),
            Self::Dns(server, name) => write!(f, "dns/{server}/{name}"),
        }
    }
}

impl FromStr for Door {
    type Err = BadProbe;

    fn from_str(text: &str) -> Result<Self, BadProbe> {
        match text.split_once('/') {
            Some(("tcp", at)) => Ok(Self::Tcp(port(at)?)),
            Some(("udp", at)) => Ok(Self::Udp(port(at)?)),
            Some(_) | None => Err(BadProbe::Door { text: cut(text) }),
        }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(port) => write!(f, "tcp/{port}"),
            Self::Udp(port) => write!(f, "udp/{port}"),
        }
    }
}

fn port(text: &str) -> Result<NonZeroU16, BadProbe> {
    text.parse().map_err(|_| BadProbe::Port { text: cut(text) })
}

/// As much of a text as an error tells again.
fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests;
