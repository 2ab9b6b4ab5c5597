//! The network policy of a sandbox, from the same rules as everywhere else.
//!
//! Two-sided: what a sandbox may open is in its egress, and what it exposes is in
//! its ingress; a connection between sandboxes needs both. Sandboxes are told by
//! their labels, which only the system sets, in their own namespace and in those
//! that are for sandboxes; pods of other namespaces can bear any label.
//!
//! A cluster's resolver answers every name to whoever may ask it, so a mode that
//! knows names of sandboxes only may ask nothing: that is closer to the mode than
//! all names of the world. Its sandboxes find each other by address.

use palisade_model::cidr::Cidr;
use palisade_model::policy::{
    Block, Dns, EgressRules, Exposed, NAME_PORTS, Peers, Standing, Surroundings,
};
use palisade_model::profile::Scope;
use palisade_model::sandbox::Launch;
use serde_json::{Value, json};

use super::{metadata, program};
use crate::naming;
use crate::settings::{DirectExec, RunnerPods, Settings};

/// What lies around the sandboxes: what the operator said, and ranges of the nodes.
pub(crate) fn surroundings(settings: &Settings, nodes: &[Cidr]) -> Surroundings {
    Surroundings {
        cluster: [settings.cluster_ranges.as_slice(), nodes].concat(),
        ..Surroundings::default()
    }
}

/// The policy of a launch among nodes with such ranges. Without any rule, everything
/// is closed.
pub fn network_policy(launch: &Launch, settings: &Settings, nodes: &[Cidr]) -> Value {
    let rules = EgressRules::new(&launch.egress.mode, &surroundings(settings, nodes));
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(launch, settings, &naming::object(launch.id)),
        "spec": {
            "podSelector": { "matchLabels": { naming::SANDBOX_ID: launch.id.to_string() } },
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress(launch, settings),
            "egress": egress(launch, &rules, settings),
        },
    })
}

fn egress(launch: &Launch, rules: &EgressRules, settings: &Settings) -> Value {
    let mut open = Vec::new();
    let blocks: Vec<Value> = rules.blocks().iter().map(block).collect();
    if !blocks.is_empty() {
        let mut rule = json!({ "to": blocks });
        if settings.has_port_ranges {
            rule["ports"] = ports_without_names();
        }
        open.push(rule);
    }
    match rules.dns {
        Dns::Forward => open.push(dns(settings)),
        Dns::Off | Dns::SandboxNamesOnly => {}
    }
    open.extend(peers(launch, rules.peers));
    Value::Array(open)
}

fn block(block: &Block) -> Value {
    let mut entry = json!({ "cidr": block.range.to_string() });
    if !block.except.is_empty() {
        let except = block.except.iter().map(ToString::to_string);
        entry["except"] = except.collect();
    }
    json!({ "ipBlock": entry })
}

/// Every port but those of servers of names: only the cluster's resolver is asked.
/// A plugin that does not know ranges takes each for its first port, and closes
/// too much rather than too little.
fn ports_without_names() -> Value {
    let mut closed = NAME_PORTS;
    closed.sort_unstable();
    let mut ports = vec![json!({ "protocol": "SCTP" })];
    for protocol in ["TCP", "UDP"] {
        let mut first = 1;
        for port in closed {
            ports.push(json!({ "protocol": protocol, "port": first, "endPort": port - 1 }));
            first = port + 1;
        }
        ports.push(json!({ "protocol": protocol, "port": first, "endPort": u16::MAX }));
    }
    Value::Array(ports)
}

fn dns(settings: &Settings) -> Value {
    json!({
        "to": [{
            "namespaceSelector": { "matchLabels": settings.dns_namespace_labels },
            "podSelector": { "matchLabels": settings.dns_pod_labels },
        }],
        "ports": [
            { "protocol": "UDP", "port": 53 },
            { "protocol": "TCP", "port": 53 },
        ],
    })
}

fn peers(launch: &Launch, peers: Peers) -> Option<Value> {
    let narrower = match peers {
        Peers::None => return None,
        Peers::Org => None,
        Peers::User => Some(user(launch)),
        Peers::Profile => Some(profile(launch)),
    };
    Some(json!({ "to": sandboxes(launch, narrower) }))
}

fn ingress(launch: &Launch, settings: &Settings) -> Value {
    let exposed = Standing::of(launch).exposed;
    let open = exposed.filter(|exposed| !exposed.doors.is_empty());
    let doors = open.map(|exposed| door(launch, &exposed));
    let agent = program::agent(launch, settings).map(agent);
    doors.into_iter().chain(agent).collect()
}

/// Lets the runner, and nobody else, to the agent of the sandbox.
fn agent(direct: &DirectExec) -> Value {
    let mut from = Vec::new();
    if let Some(RunnerPods { namespace, labels }) = direct.pods() {
        // A label that the server sets, and nobody else can.
        let namespaces = json!({ "matchLabels": { "kubernetes.io/metadata.name": namespace } });
        from.push(within(&namespaces, &json!({ "matchLabels": labels })));
    }
    let ranges = direct.ranges().iter();
    from.extend(ranges.map(|range| json!({ "ipBlock": { "cidr": range.to_string() } })));
    json!({
        "from": from,
        "ports": [{ "protocol": "TCP", "port": direct.port() }],
    })
}

fn door(launch: &Launch, exposed: &Exposed) -> Value {
    let doors = exposed.doors.iter();
    let ports = doors.map(|door| json!({ "protocol": door.protocol.as_str(), "port": door.port }));
    let mut rule = json!({ "ports": ports.collect::<Vec<_>>() });
    rule["from"] = match exposed.scope {
        // Whoever it is.
        Scope::Any => return rule,
        Scope::Org => workloads(launch),
        Scope::User => sandboxes(launch, Some(user(launch))),
        Scope::Profile => sandboxes(launch, Some(profile(launch))),
    };
    rule
}

/// Sandboxes of the same organization, and of something narrower.
fn sandboxes(launch: &Launch, narrower: Option<(&'static str, String)>) -> Value {
    let mut labels = pair(organization(launch));
    if let Some((key, value)) = narrower {
        labels[key] = value.into();
    }
    let pods = json!({
        "matchLabels": labels,
        "matchExpressions": [{ "key": naming::SANDBOX_ID, "operator": "Exists" }],
    });
    json!([nearby(&pods), within(&ours(), &pods)])
}

/// Whatever bears the label of the organization: its sandboxes, and workloads of
/// others in namespaces that bear it as well.
fn workloads(launch: &Launch) -> Value {
    let labels = json!({ "matchLabels": pair(organization(launch)) });
    json!([
        nearby(&labels),
        within(&ours(), &labels),
        within(&labels, &labels)
    ])
}

/// Such pods of the sandbox's own namespace, whoever made that.
fn nearby(pods: &Value) -> Value {
    json!({ "podSelector": pods })
}

/// Such pods of such namespaces. Never of all: whoever makes pods somewhere in the
/// cluster sets their labels as he likes.
fn within(namespaces: &Value, pods: &Value) -> Value {
    json!({ "namespaceSelector": namespaces, "podSelector": pods })
}

/// Namespaces that were made for sandboxes, or that somebody who may label
/// namespaces says are for them.
fn ours() -> Value {
    json!({ "matchLabels": { naming::MANAGED_BY: naming::MANAGER } })
}

fn organization(launch: &Launch) -> (&'static str, String) {
    let organization = naming::value(launch.owner.organization.as_str());
    (naming::ORGANIZATION_ID, organization)
}

fn user(launch: &Launch) -> (&'static str, String) {
    (naming::USER_ID, naming::value(launch.owner.user.as_str()))
}

fn profile(launch: &Launch) -> (&'static str, String) {
    (naming::PROFILE_ID, launch.profile.to_string())
}

fn pair((key, value): (&'static str, String)) -> Value {
    json!({ key: value })
}
