//! What a launch wants in front of its sandbox: ports of the host, or an address.

use palisade_model::policy::Door;
use palisade_model::profile::{Annotation, ServiceType};
use palisade_model::sandbox::Launch;

use crate::network::{Kind, Wish};

/// What leads to a sandbox besides its own addresses, if its ingress level wants that.
pub(crate) fn wish(launch: &Launch) -> Option<Wish> {
    let level = launch.exposure.as_ref()?;
    let service = &level.exposure.service;
    let kind = match service.service_type {
        ServiceType::ClusterIp => return None,
        ServiceType::NodePort => Kind::NodePort,
        ServiceType::LoadBalancer => Kind::LoadBalancer {
            pool: pool(service.selector_annotation.as_ref()),
        },
    };
    let doors = doors(launch);
    // Where nothing can be reached, nothing leads to.
    (!doors.is_empty()).then_some(Wish { kind, doors })
}

/// Whether the sandbox counts as running only once it has an address.
pub(crate) fn waits(launch: &Launch) -> bool {
    let level = launch.exposure.as_ref();
    level.is_some_and(|level| level.exposure.expects_external_address)
}

/// The annotation that says under which name the sandbox is to be found.
pub(crate) fn name(launch: &Launch) -> Option<&Annotation> {
    let level = launch.exposure.as_ref()?;
    level.exposure.service.dns_annotation.as_ref()
}

/// The name of the pool. Which add-on of a cluster the key is of makes no difference
/// here.
fn pool(selector: Option<&Annotation>) -> Option<String> {
    selector.map(|selector| selector.value().to_owned())
}

/// The exposed ports in the order in which they were asked for.
pub(crate) fn doors(launch: &Launch) -> Vec<Door> {
    let numbers = launch.exposure.iter().flat_map(|level| &level.ports);
    let mut doors = Vec::new();
    for number in numbers {
        let ports = launch.ports.iter().filter(|port| port.number == *number);
        for port in ports {
            let door = Door {
                protocol: port.protocol,
                port: port.number,
            };
            if !doors.contains(&door) {
                doors.push(door);
            }
        }
    }
    doors
}
