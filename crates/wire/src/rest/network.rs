//! The network of a profile on a runner, and what lies around it.
//!
//! Together they are all that a decision about what a sandbox reaches is made
//! from; both directions are here, so that nobody else spells it.

use std::collections::BTreeMap;

use palisade_model::cidr::{Cidr, CidrError};
use palisade_model::policy;
use palisade_model::profile::{ProfileSpec, form};
use palisade_model::violation::Violation;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// The key of the network block in a spec.
const NETWORK: &str = "network";

/// What a runner makes of the network block of a profile that it binds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RunnerNetwork {
    /// The id of the runner that its operator chose.
    pub runner_id: String,
    /// The profile.
    #[schema(format = "uuid")]
    pub profile_template_id: String,
    /// The name that the profile has on the runner.
    pub profile_name: String,
    /// The revision of the profile.
    pub revision: u32,
    /// The network block with zone defaults and the overrides of the binding in
    /// it, spelled as in a profile.
    #[schema(value_type = Object)]
    pub network: Value,
    /// What lies around the sandboxes, as the runner says.
    pub surroundings: Surroundings,
    /// What the runner lacks that others have, by feature, and why: where it lacks
    /// `names`, there are no names of sandboxes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub lacks: BTreeMap<String, String>,
}

/// Address ranges around the sandboxes of a runner, from which it makes the
/// policy that it enforces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Surroundings {
    /// The addresses of the machine itself.
    #[schema(example = json!(["192.0.2.7/32"]))]
    pub host: Vec<String>,
    /// Where sandboxes get their addresses from.
    pub sandboxes: Vec<String>,
    /// Where the platform's own services listen.
    pub control: Vec<String>,
    /// Nodes and services of the cluster.
    pub cluster: Vec<String>,
}

/// An answer holds something that this version does not understand.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UnreadableNetwork {
    /// A network block.
    #[error("its network block is not understood: {}", first(.0))]
    Network(Vec<Violation>),
    /// An address range.
    #[error("{text:?} is not understood as an address range")]
    Range {
        /// The range.
        text: String,
        /// Why.
        #[source]
        source: CidrError,
    },
}

impl RunnerNetwork {
    /// The network block of a spec in which all layers had their say.
    pub fn block(spec: &ProfileSpec) -> Value {
        let mut spec = form::encode(spec);
        spec.remove(NETWORK).unwrap_or_else(|| json!({}))
    }

    /// The network block, read as a spec that holds nothing else.
    pub fn spec(&self) -> Result<ProfileSpec, UnreadableNetwork> {
        form::decode(&json!({ NETWORK: self.network })).map_err(UnreadableNetwork::Network)
    }
}

impl From<&policy::Surroundings> for Surroundings {
    fn from(surroundings: &policy::Surroundings) -> Self {
        let policy::Surroundings {
            host,
            sandboxes,
            control,
            cluster,
        } = surroundings;
        let texts = |ranges: &[Cidr]| ranges.iter().map(ToString::to_string).collect();
        Self {
            host: texts(host),
            sandboxes: texts(sandboxes),
            control: texts(control),
            cluster: texts(cluster),
        }
    }
}

impl TryFrom<&Surroundings> for policy::Surroundings {
    type Error = UnreadableNetwork;

    fn try_from(surroundings: &Surroundings) -> Result<Self, UnreadableNetwork> {
        let Surroundings {
            host,
            sandboxes,
            control,
            cluster,
        } = surroundings;
        Ok(Self {
            host: ranges(host)?,
            sandboxes: ranges(sandboxes)?,
            control: ranges(control)?,
            cluster: ranges(cluster)?,
        })
    }
}

fn ranges(texts: &[String]) -> Result<Vec<Cidr>, UnreadableNetwork> {
    let range = |text: &String| {
        text.parse().map_err(|source| UnreadableNetwork::Range {
            text: text.clone(),
            source,
        })
    };
    texts.iter().map(range).collect()
}

fn first(violations: &[Violation]) -> String {
    violations
        .first()
        .map(ToString::to_string)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_decision_is_made_from_survives_the_wire() {
        let here = policy::Surroundings {
            host: vec!["192.0.2.1/32".parse().unwrap()],
            sandboxes: vec!["fd00::/64".parse().unwrap()],
            ..policy::Surroundings::default()
        };
        let sent = Surroundings::from(&here);
        assert_eq!(policy::Surroundings::try_from(&sent).unwrap(), here);
        let spec = json!({"network": {
            "egress": {"default": "a", "modes": {
                "a": {"type": "allowlist", "cidrs": ["10.1.0.0/16"]},
                "b": {"type": "user"},
            }},
            "ingress": {"team": {"scope": "org", "service": {"serviceType": "ClusterIP"}}},
        }});
        let spec = form::decode(&spec).unwrap();
        let answer = RunnerNetwork {
            network: RunnerNetwork::block(&spec),
            ..RunnerNetwork::default()
        };
        assert_eq!(answer.spec().unwrap(), spec);
        let nothing = RunnerNetwork {
            network: RunnerNetwork::block(&ProfileSpec::default()),
            ..RunnerNetwork::default()
        };
        assert_eq!(
            nothing.spec().unwrap().egress(),
            ProfileSpec::default().egress()
        );
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let answer = RunnerNetwork {
            network: json!({"egress": {"modes": {"a": {"type": "teleport"}}}}),
            ..RunnerNetwork::default()
        };
        let said = answer.spec().unwrap_err().to_string();
        assert!(said.contains("not understood"), "{said}");
        let bad = Surroundings {
            host: vec!["everything".to_owned()],
            ..Surroundings::default()
        };
        let said = policy::Surroundings::try_from(&bad).unwrap_err();
        assert!(said.to_string().contains("everything"), "{said}");
    }
}
