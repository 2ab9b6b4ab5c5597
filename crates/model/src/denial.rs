//! What was refused to a sandbox on the network, for people who ask why.
//!
//! Counters are exact and only grow while the sandbox is connected. Of single
//! flows only the last few are known, and of a flood only a part: they are
//! examples, and say so.

use std::net::IpAddr;

use crate::clock::Timestamp;
use crate::id::ProfileId;
use crate::name::ModeName;

/// What was refused to one sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denials {
    /// The profile that it runs under.
    pub profile: ProfileId,
    /// The egress mode in force.
    pub mode: ModeName,
    /// Packets of the sandbox that the policy refused.
    pub packets: u64,
    /// Packets from outside, where no sandboxes are, that were for it and that its policy refused.
    pub incoming: u64,
    /// Questions that the resolver refused, or answered without something.
    pub questions: u64,
    /// The last flows that were refused, the oldest first; at most
    /// [`Self::RECENT_MAX`].
    pub recent: Vec<DeniedFlow>,
}

/// How much a counter grew. One that went back began anew, as when a sandbox was
/// connected again.
pub fn grown(before: u64, now: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

/// Which way a flow was to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Away from the sandbox.
    Outgoing,
    /// From outside, to the sandbox.
    Incoming,
}

impl Direction {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Outgoing, Self::Incoming];

    /// How it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outgoing => "outgoing",
            Self::Incoming => "incoming",
        }
    }
}

/// A flow that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeniedFlow {
    /// Which way it was to go.
    pub direction: Direction,
    /// When that was last seen.
    pub at: Timestamp,
    /// The protocol, by its number in packets.
    pub protocol: u8,
    /// Where it came from, as the packet said.
    pub source: IpAddr,
    /// From which port, if the protocol has ports; the last one seen.
    pub source_port: u16,
    /// Where it went.
    pub destination: IpAddr,
    /// To which port, if the protocol has ports.
    pub destination_port: u16,
    /// How often it was seen, at least.
    pub times: u32,
}

impl Denials {
    /// How many flows are kept.
    pub const RECENT_MAX: usize = 16;

    /// Whether anything was refused at all.
    pub fn is_empty(&self) -> bool {
        self.packets == 0 && self.incoming == 0 && self.questions == 0
    }
}
