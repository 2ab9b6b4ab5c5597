//! Ports and addresses in front of sandboxes, which a runner has a number of.
//!
//! Pure. What a launch needs follows from its ingress level; how much there is, a runner says.
//! Which port or address it is, the runner alone decides.

use std::collections::BTreeMap;

use crate::profile::{Exposure, ServiceType};

/// Something that there is a number of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pool {
    /// Ports of the runner's machine.
    NodePorts,
    /// The external addresses of this name, or the usual ones.
    Addresses(Option<String>),
}

/// What a sandbox needs of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Which pool.
    pub pool: Pool,
    /// How much of it.
    pub count: u32,
}

/// How much of a pool there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// In all.
    pub size: u32,
    /// Of these, what sandboxes have and what others cannot have yet.
    pub used: u32,
}

/// The pools of a runner. What is not among them is not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rooms {
    /// Ports of its machine.
    pub node_ports: Option<Room>,
    /// External addresses, by the name of their pool.
    pub addresses: BTreeMap<String, Room>,
    /// The pool of those who name none.
    pub usual: Option<String>,
}

impl Need {
    /// What a sandbox needs that exposes these ports at such a level.
    pub fn of(level: &Exposure, ports: &[u16]) -> Option<Self> {
        let service = &level.service;
        let (pool, count) = match service.service_type {
            ServiceType::ClusterIp => return None,
            ServiceType::NodePort => (Pool::NodePorts, ports.len()),
            ServiceType::LoadBalancer => {
                let selector = service.selector_annotation.as_ref();
                let name = selector.map(|selector| selector.value().to_owned());
                (Pool::Addresses(name), usize::from(!ports.is_empty()))
            }
        };
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        (count > 0).then_some(Self { pool, count })
    }
}

impl Room {
    /// How much of it is free.
    pub fn free(self) -> u32 {
        self.size.saturating_sub(self.used)
    }
}

impl Rooms {
    /// What is known of a pool, and its name.
    pub fn find(&self, pool: &Pool) -> Option<(&str, Room)> {
        match pool {
            Pool::NodePorts => Some(("node ports", self.node_ports?)),
            Pool::Addresses(name) => {
                let name = name.as_ref().or(self.usual.as_ref())?;
                let (name, room) = self.addresses.get_key_value(name)?;
                Some((name, *room))
            }
        }
    }

    /// The room of a pool, if sandboxes hold so much of it as is known here: the runner may not
    /// know of all of them yet, or still of some that are gone.
    pub fn find_with(&self, pool: &Pool, held: &BTreeMap<Pool, u32>) -> Option<(&str, Room)> {
        let (name, room) = self.find(pool)?;
        let same = held
            .iter()
            .filter(|(other, _)| self.find(other).is_some_and(|(other, _)| other == name));
        let held = same.map(|(_, count)| *count).sum::<u32>();
        let used = room.used.max(held);
        Some((name, Room { used, ..room }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms() -> Rooms {
        let room = |size, used| Room { size, used };
        Rooms {
            node_ports: Some(room(10, 3)),
            addresses: [
                ("far".to_owned(), room(4, 1)),
                ("near".to_owned(), room(2, 2)),
            ]
            .into(),
            usual: Some("far".to_owned()),
        }
    }

    fn named(name: &str) -> Pool {
        Pool::Addresses(Some(name.to_owned()))
    }

    #[test]
    fn whoever_names_no_pool_takes_of_the_usual_one() {
        let held = [
            (Pool::Addresses(None), 1),
            (named("far"), 2),
            (named("near"), 1),
        ]
        .into();
        let rooms = rooms();
        for pool in [Pool::Addresses(None), named("far")] {
            let (name, room) = rooms.find_with(&pool, &held).unwrap();
            assert_eq!((name, room.used, room.free()), ("far", 3, 1));
        }
        let (_, room) = rooms.find_with(&named("near"), &held).unwrap();
        assert_eq!((room.used, room.free()), (2, 0));
        assert_eq!(rooms.find(&named("other")), None);
    }

    #[test]
    fn what_the_runner_and_what_others_know_is_not_counted_twice() {
        let held = |count| [(Pool::NodePorts, count)].into();
        let used = |count| {
            rooms()
                .find_with(&Pool::NodePorts, &held(count))
                .unwrap()
                .1
                .used
        };
        assert_eq!((used(2), used(3), used(5)), (3, 3, 5));
    }
}
