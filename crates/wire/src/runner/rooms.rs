//! What is in a runner's pools, on its way to the gateway.

use palisade_model::pool::{Room, Rooms};

use crate::proto::runner_v1 as pb;

/// How many pools of a runner are known; those above are not counted.
const POOLS_MAX: usize = 256;

/// Rooms as the protocol carries them.
pub fn rooms_message(rooms: &Rooms) -> pb::Rooms {
    let Rooms {
        node_ports,
        addresses,
        usual,
    } = rooms;
    let addresses = addresses.iter();
    pb::Rooms {
        node_ports: node_ports.map(room_message),
        addresses: addresses
            .map(|(name, room)| (name.clone(), room_message(*room)))
            .collect(),
        usual: usual.clone().unwrap_or_default(),
    }
}

/// Rooms as a runner reported them.
pub fn rooms(message: pb::Rooms) -> Rooms {
    let pb::Rooms {
        node_ports,
        addresses,
        usual,
    } = message;
    let addresses = addresses.into_iter().take(POOLS_MAX);
    Rooms {
        node_ports: node_ports.map(room),
        addresses: addresses.map(|(name, said)| (name, room(said))).collect(),
        usual: (!usual.is_empty()).then_some(usual),
    }
}

fn room_message(room: Room) -> pb::Room {
    let Room { size, used } = room;
    pb::Room { size, used }
}

fn room(message: pb::Room) -> Room {
    let pb::Room { size, used } = message;
    Room { size, used }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_survive_the_way() {
        let room = |size, used| Room { size, used };
        let all = Rooms {
            node_ports: Some(room(10, 3)),
            addresses: [("far".to_owned(), room(4, 1))].into(),
            usual: Some("far".to_owned()),
        };
        for sent in [all, Rooms::default()] {
            assert_eq!(rooms(rooms_message(&sent)), sent);
        }
    }
}
