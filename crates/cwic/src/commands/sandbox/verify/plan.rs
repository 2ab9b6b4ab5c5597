//! Which sandboxes it takes to ask everything, and how each is asked for.
//!
//! Pure. Each egress mode has a sandbox that asks, and each ingress level one
//! that is asked about; one sandbox can be both.

use palisade_init_protocol::probe::{LISTEN, PROGRAM};
use palisade_model::id::ProfileId;
use palisade_model::name::{LevelName, ModeName};
use palisade_model::policy::{Exposed, Standing};
use palisade_model::profile::{EgressMode, Exposure, ProfileSpec, Scope, ServiceType};
use palisade_model::sandbox::Owner;
use palisade_wire::proto::v1beta2 as pb;

use super::crew::LIFETIME;
use super::peers::{EXPOSED, doors};

/// What all sandboxes of one run are known by.
const TAG: &str = "palisade-verify";
/// A profile that no organization has.
const NOBODYS: &str = "00000000-0000-0000-0000-000000000000";

/// A sandbox that is to be started.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Post {
    pub(super) egress: (ModeName, EgressMode),
    pub(super) level: Option<(LevelName, Scope)>,
    /// How that level is reached from outside.
    pub(super) service: ServiceType,
    /// Whether it is the one that is asked for its egress mode.
    pub(super) asks: bool,
}

/// Where sandboxes are started, and of what.
#[derive(Clone, Debug)]
pub(super) struct Ground {
    pub(super) runner: String,
    pub(super) profile: ProfileId,
    pub(super) image: Option<String>,
}

/// Whose a probe sandbox is. The names are of no meaning but to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kin {
    /// The caller's.
    Own,
    /// Another user's of the same organization.
    OtherUser,
    /// Somebody's of another organization.
    OtherOrganization,
}

/// The sandboxes that it takes, at least two, so that there is another one.
pub(super) fn posts(spec: &ProfileSpec) -> Vec<Post> {
    let modes = spec.egress().modes();
    let levels = spec.ingress();
    let count = modes.len().max(levels.len()).max(2);
    let egress = modes.iter().cycle();
    let level = |place: usize| {
        let place = place.checked_rem(levels.len())?;
        levels.iter().nth(place)
    };
    let named = |(name, exposure): (&LevelName, &Exposure)| (name.clone(), exposure.scope);
    egress
        .take(count)
        .enumerate()
        .map(|(place, (name, mode))| Post {
            egress: (name.clone(), mode.clone()),
            level: level(place).map(named),
            service: level(place).map_or_else(ServiceType::default, |(_, exposure)| {
                exposure.service.service_type
            }),
            asks: place < modes.len(),
        })
        .collect()
}

impl Post {
    /// The same without a level.
    pub(super) fn unexposed(&self) -> Self {
        Self {
            level: None,
            ..self.clone()
        }
    }

    /// How it is asked for.
    pub(super) fn request(&self, ground: &Ground) -> pb::StartSandboxRequest {
        let network = pb::NetworkOptions {
            egress_mode: self.egress.0.to_string(),
            ..pb::NetworkOptions::default()
        };
        let network = match &self.level {
            None => network,
            Some((level, _)) => pb::NetworkOptions {
                ingress_mode: level.to_string(),
                exposed_ports: EXPOSED.map(|door| i32::from(door.port)).to_vec(),
                ..network
            },
        };
        pb::StartSandboxRequest {
            profile_ids: vec![ground.profile.to_string()],
            runner_ids: vec![ground.runner.clone()],
            network: Some(network),
            ports: EXPOSED
                .map(|door| pb::Port {
                    container_port: i32::from(door.port),
                    name: String::new(),
                    protocol: door.protocol.as_str().to_owned(),
                })
                .to_vec(),
            ..bare(ground.image.as_deref())
        }
    }

    /// Where such a sandbox stands. Another organization has profiles of its own.
    pub(super) fn standing(&self, kin: Kin, profile: ProfileId) -> Standing {
        Standing {
            owner: kin.owner(),
            profile: match kin {
                Kin::Own | Kin::OtherUser => profile,
                Kin::OtherOrganization => NOBODYS.parse().expect("it is a UUID"),
            },
            egress: self.egress.1.clone(),
            exposed: self.level.as_ref().map(|(level, scope)| Exposed {
                level: level.clone(),
                scope: *scope,
                doors: EXPOSED.into(),
            }),
        }
    }

    /// What it is called in the table.
    pub(super) fn name(&self, kin: Kin) -> String {
        let who = kin.word();
        match (kin, &self.level) {
            (Kin::OtherOrganization, _) => who.to_owned(),
            (Kin::Own | Kin::OtherUser, Some((level, _))) => {
                format!("{who}, same profile, level {level}")
            }
            (Kin::Own | Kin::OtherUser, None) => format!("{who}, same profile"),
        }
    }
}

impl Kin {
    /// What it is called.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Own => "same user",
            Self::OtherUser => "other user",
            Self::OtherOrganization => "other organization",
        }
    }

    fn owner(self) -> Owner {
        let (organization, user) = match self {
            Self::Own => ("own", "own"),
            Self::OtherUser => ("own", "other"),
            Self::OtherOrganization => ("other", "other"),
        };
        Owner {
            organization: organization.parse().expect("a word is a name"),
            user: user.parse().expect("a word is a name"),
        }
    }
}

/// A sandbox that answers at all doors, with whatever its owner gets who asks for
/// nothing in particular.
pub(super) fn bare(image: Option<&str>) -> pb::StartSandboxRequest {
    let listen = std::iter::once(LISTEN.to_owned());
    pb::StartSandboxRequest {
        command: PROGRAM.to_owned(),
        args: listen.chain(doors().map(|door| door.to_string())).collect(),
        tags: vec![TAG.to_owned()],
        container_image: image.unwrap_or_default().to_owned(),
        max_lifetime_seconds: i32::try_from(LIFETIME.as_secs()).unwrap_or(i32::MAX),
        ..pb::StartSandboxRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use palisade_model::profile::form;
    use palisade_model::sandbox::Protocol;
    use serde_json::json;

    use super::*;

    fn spec(network: &serde_json::Value) -> ProfileSpec {
        form::decode(&json!({ "network": network })).unwrap()
    }

    #[test]
    fn every_mode_asks_once_and_every_level_is_there() {
        let level = |scope: &str| json!({"scope": scope, "service": {"serviceType": "ClusterIP"}});
        let spec = spec(&json!({
            "egress": {"default": "a", "modes": {"a": {"type": "none"}, "b": {"type": "user"}}},
            "ingress": {"x": level("user"), "y": level("org"), "z": level("any")},
        }));
        let posts = posts(&spec);
        let asking = posts.iter().filter(|post| post.asks);
        let asking: Vec<&str> = asking.map(|post| post.egress.0.as_str()).collect();
        assert_eq!(asking, ["a", "b"]);
        let levels = posts.iter().filter_map(|post| post.level.as_ref());
        let levels: Vec<&str> = levels.map(|(level, _)| level.as_str()).collect();
        assert_eq!(levels, ["x", "y", "z"]);
    }

    #[test]
    fn a_profile_that_says_nothing_has_two_closed_sandboxes() {
        let posts = posts(&ProfileSpec::default());
        assert_eq!(posts.len(), 2);
        let closed = |post: &Post| post.egress.1 == EgressMode::None && post.level.is_none();
        assert!(posts.iter().all(closed));
        assert_eq!(posts.iter().filter(|post| post.asks).count(), 1);
    }

    #[test]
    fn a_request_exposes_what_the_model_is_told() {
        let ground = Ground {
            runner: "r1".to_owned(),
            profile: ProfileId::new(uuid::Uuid::max()),
            image: None,
        };
        let post = Post {
            egress: ("a".parse().unwrap(), EgressMode::User),
            level: Some(("team".parse().unwrap(), Scope::User)),
            service: ServiceType::ClusterIp,
            asks: true,
        };
        let request = post.request(&ground);
        let exposed = request.network.unwrap().exposed_ports;
        let standing = post.standing(Kin::Own, ground.profile);
        let doors = standing.exposed.unwrap().doors;
        let told: Vec<i32> = doors.iter().map(|door| door.port.into()).collect();
        assert_eq!(exposed, told);
        assert!(doors.iter().any(|door| door.protocol == Protocol::Tcp));
        assert!(
            post.unexposed()
                .request(&ground)
                .network
                .unwrap()
                .exposed_ports
                .is_empty()
        );
    }
}
