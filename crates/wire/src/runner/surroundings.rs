//! What lies around the sandboxes of a runner, on its way to the gateway.
//!
//! Who asks what a sandbox may reach has to decide from the same ranges as the
//! runner does. So ranges are taken all or not at all: without one of them, a
//! decision would be wrong and look right.

use palisade_model::cidr::Cidr;
use palisade_model::policy::Surroundings;

use crate::proto::runner_v1 as pb;

/// The most ranges of one kind that are taken from a runner.
const RANGES_MAX: usize = 4096;

/// Surroundings as the protocol carries them.
pub fn surroundings_message(surroundings: &Surroundings) -> pb::Surroundings {
    let Surroundings {
        host,
        sandboxes,
        control,
        cluster,
    } = surroundings;
    let texts = |ranges: &[Cidr]| ranges.iter().map(ToString::to_string).collect();
    pb::Surroundings {
        host: texts(host),
        sandboxes: texts(sandboxes),
        control: texts(control),
        cluster: texts(cluster),
    }
}

/// Surroundings as a runner reported them; `None` if a part of them cannot be
/// read.
pub fn surroundings(message: pb::Surroundings) -> Option<Surroundings> {
    let pb::Surroundings {
        host,
        sandboxes,
        control,
        cluster,
    } = message;
    Some(Surroundings {
        host: ranges(&host)?,
        sandboxes: ranges(&sandboxes)?,
        control: ranges(&control)?,
        cluster: ranges(&cluster)?,
    })
}

fn ranges(texts: &[String]) -> Option<Vec<Cidr>> {
    if texts.len() > RANGES_MAX {
        return None;
    }
    texts.iter().map(|text| text.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surroundings_survive_the_wire() {
        let range = |text: &str| vec![text.parse().unwrap()];
        let sent = Surroundings {
            host: range("192.0.2.1/32"),
            sandboxes: range("fd00::/64"),
            control: range("10.0.0.0/8"),
            cluster: range("172.16.0.0/12"),
        };
        assert_eq!(surroundings(surroundings_message(&sent)), Some(sent));
    }

    #[test]
    fn a_part_that_cannot_be_read_leaves_nothing() {
        let host = |host: Vec<String>| pb::Surroundings {
            host,
            ..Default::default()
        };
        assert_eq!(surroundings(host(vec!["everything".into()])), None);
        assert_eq!(surroundings(host(vec!["::1/128".into(); 5000])), None);
    }
}
