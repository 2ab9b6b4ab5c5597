//! What was refused on the network, on its way to the gateway.

use palisade_model::clock::Timestamp;
use palisade_model::denial::{Denials, DeniedFlow, Direction};
use palisade_model::id::SandboxId;

use crate::proto::runner_v1 as pb;
use crate::runner::BadMessage;

/// What was refused to a sandbox, as the protocol carries it.
pub fn denials_message(id: SandboxId, denials: &Denials) -> pb::Denials {
    let Denials {
        profile,
        mode,
        packets,
        incoming,
        questions,
        recent,
    } = denials;
    pb::Denials {
        sandbox_id: id.to_string(),
        profile_id: profile.to_string(),
        egress_mode: mode.to_string(),
        packets: *packets,
        incoming: *incoming,
        questions: *questions,
        recent: recent.iter().map(flow_message).collect(),
    }
}

fn flow_message(flow: &DeniedFlow) -> pb::DeniedFlow {
    let DeniedFlow {
        direction,
        at,
        protocol,
        source,
        source_port,
        destination,
        destination_port,
        times,
    } = *flow;
    pb::DeniedFlow {
        incoming: match direction {
            Direction::Outgoing => false,
            Direction::Incoming => true,
        },
        at: at.as_micros(),
        protocol: protocol.into(),
        source: source.to_string(),
        source_port: source_port.into(),
        destination: destination.to_string(),
        destination_port: destination_port.into(),
        times,
    }
}

/// What was refused to a sandbox, as a runner reported it. Flows beyond the most
/// that are kept are left out, the oldest first.
pub fn denials(message: pb::Denials) -> Result<(SandboxId, Denials), BadMessage> {
    let pb::Denials {
        sandbox_id,
        profile_id,
        egress_mode,
        packets,
        incoming,
        questions,
        recent,
    } = message;
    let id = sandbox_id
        .parse()
        .map_err(|_| BadMessage::new("sandbox_id", "is not the id of a sandbox"))?;
    let surplus = recent.len().saturating_sub(Denials::RECENT_MAX);
    let recent = recent.into_iter().skip(surplus).map(flow);
    let denials = Denials {
        profile: profile_id
            .parse()
            .map_err(|_| BadMessage::new("profile_id", "is not the id of a profile"))?,
        mode: egress_mode
            .parse()
            .map_err(|_| BadMessage::new("egress_mode", "is not the name of a mode"))?,
        packets,
        incoming,
        questions,
        recent: recent.collect::<Result<_, _>>()?,
    };
    Ok((id, denials))
}

fn flow(message: pb::DeniedFlow) -> Result<DeniedFlow, BadMessage> {
    let pb::DeniedFlow {
        incoming,
        at,
        protocol,
        source,
        source_port,
        destination,
        destination_port,
        times,
    } = message;
    let address = |field, text: String| {
        text.parse()
            .map_err(|_| BadMessage::new(field, "is not an address"))
    };
    let port = |field, number: u32| {
        u16::try_from(number).map_err(|_| BadMessage::new(field, "is not the number of a port"))
    };
    Ok(DeniedFlow {
        direction: if incoming {
            Direction::Incoming
        } else {
            Direction::Outgoing
        },
        at: Timestamp::from_micros(at),
        protocol: u8::try_from(protocol)
            .map_err(|_| BadMessage::new("protocol", "is not the number of a protocol"))?,
        source: address("source", source)?,
        source_port: port("source_port", source_port)?,
        destination: address("destination", destination)?,
        destination_port: port("destination_port", destination_port)?,
        times,
    })
}

#[cfg(test)]
mod tests {
    use palisade_model::id::ProfileId;
    use uuid::Uuid;

    use super::*;

    fn sample(flows: i64) -> Denials {
        let flow = |number| DeniedFlow {
            direction: Direction::ALL[usize::from(number % 2 == 1)],
            at: Timestamp::from_micros(number),
            protocol: 17,
            source: "fd00::1".parse().unwrap(),
            source_port: 1,
            destination: [10, 0, 0, 2].into(),
            destination_port: 53,
            times: 3,
        };
        Denials {
            profile: ProfileId::new(Uuid::from_u128(2)),
            mode: "deny-all".parse().unwrap(),
            packets: 7,
            incoming: 5,
            questions: 1,
            recent: (0..flows).map(flow).collect(),
        }
    }

    #[test]
    fn what_is_sent_is_what_is_read_and_no_more_than_is_kept() {
        let id = SandboxId::new(Uuid::from_u128(1));
        let sent = sample(2);
        assert_eq!(denials(denials_message(id, &sent)), Ok((id, sent)));
        let (_, read) = denials(denials_message(id, &sample(40))).unwrap();
        assert_eq!(read.recent.len(), Denials::RECENT_MAX);
        assert_eq!(read.recent.last().unwrap().at.as_micros(), 39);
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_its_field() {
        let id = SandboxId::new(Uuid::from_u128(1));
        let mut message = denials_message(id, &sample(1));
        message.recent[0].destination_port = 65_536;
        assert_eq!(denials(message).unwrap_err().field, "destination_port");
        let mut message = denials_message(id, &sample(1));
        message.egress_mode = "\u{1b}[2J".to_owned();
        assert_eq!(denials(message).unwrap_err().field, "egress_mode");
    }
}
