//! What was refused on the network, as the control plane answers it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use palisade_model::clock::Timestamp;
use palisade_model::denial as domain;
use palisade_model::id::{ProfileId, SandboxId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::timestamp;

/// What was refused to one sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Denials {
    /// The sandbox.
    pub sandbox_id: String,
    /// The profile that it runs under.
    pub profile_template_id: String,
    /// The egress mode in force.
    pub egress_mode: String,
    /// Packets of the sandbox that the policy refused, while it was seen running.
    pub packets: u64,
    /// Packets from outside that were for it and that its policy refused, likewise.
    #[serde(default)]
    pub incoming_packets: u64,
    /// Questions that the resolver refused, or answered without something.
    pub questions: u64,
    /// The last flows that were refused, the oldest first. Of a flood only some.
    pub recent: Vec<DeniedFlow>,
}

/// A flow that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeniedFlow {
    /// When that was last seen.
    pub time: String,
    /// `outgoing`, away from the sandbox, or `incoming`, from outside to it.
    #[serde(default = "outgoing")]
    pub direction: String,
    /// `tcp`, `udp`, `icmp`, `icmpv6`, or the number of the protocol.
    pub protocol: String,
    /// Where it came from, as the packet said.
    #[schema(value_type = String)]
    pub source: IpAddr,
    /// From which port; 0 if the protocol has none.
    pub source_port: u16,
    /// Where it went.
    #[schema(value_type = String)]
    pub destination: IpAddr,
    /// To which port; 0 if the protocol has none.
    pub destination_port: u16,
    /// How often it was seen, at least.
    pub times: u32,
}

/// What was refused to the sandboxes of one profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProfileDenials {
    /// The profile.
    pub profile_template_id: String,
    /// From when on was counted, which is when the server started; absent if
    /// nobody counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Packets of sandboxes that the policy refused since then, and what runners knew by then.
    pub packets: u64,
    /// Packets from outside that were for them, likewise.
    #[serde(default)]
    pub incoming_packets: u64,
    /// Questions that the resolver refused since then, likewise.
    pub questions: u64,
    /// Runners that bind the profile and cannot tell what they refuse, each with
    /// why: what is refused there is in none of the numbers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub uncounted_runners: BTreeMap<String, String>,
}

/// What a profile's sandboxes were refused, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DenialTotals {
    /// Packets of theirs.
    pub packets: u64,
    /// Packets from outside.
    pub incoming: u64,
    /// Questions of the resolver.
    pub questions: u64,
    /// From when on.
    pub since: Option<Timestamp>,
}

impl Denials {
    /// The answer for a sandbox.
    pub fn new(id: SandboxId, denials: &domain::Denials) -> Self {
        let domain::Denials {
            profile,
            mode,
            packets,
            incoming,
            questions,
            recent,
        } = denials;
        Self {
            sandbox_id: id.to_string(),
            profile_template_id: profile.to_string(),
            egress_mode: mode.to_string(),
            packets: *packets,
            incoming_packets: *incoming,
            questions: *questions,
            recent: recent.iter().map(DeniedFlow::new).collect(),
        }
    }
}

impl DeniedFlow {
    fn new(flow: &domain::DeniedFlow) -> Self {
        let domain::DeniedFlow {
            direction,
            at,
            protocol,
            source,
            source_port,
            destination,
            destination_port,
            times,
        } = *flow;
        Self {
            time: timestamp::format(at),
            direction: direction.as_str().to_owned(),
            protocol: protocol_name(protocol),
            source,
            source_port,
            destination,
            destination_port,
            times,
        }
    }
}

impl ProfileDenials {
    /// The answer for a profile.
    pub fn new(
        profile: ProfileId,
        totals: DenialTotals,
        uncounted: BTreeMap<String, String>,
    ) -> Self {
        let DenialTotals {
            packets,
            incoming,
            questions,
            since,
        } = totals;
        Self {
            profile_template_id: profile.to_string(),
            since: since.map(timestamp::format),
            packets,
            incoming_packets: incoming,
            questions,
            uncounted_runners: uncounted,
        }
    }
}

/// What servers meant before they told of a direction.
fn outgoing() -> String {
    domain::Direction::Outgoing.as_str().to_owned()
}

fn protocol_name(number: u8) -> String {
    match number {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        58 => "icmpv6".to_owned(),
        other => other.to_string(),
    }
}
