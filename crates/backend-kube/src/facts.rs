//! What the cluster is: its nodes, and the classes that are installed in it.
//!
//! Pure bookkeeping of what the watches tell; capabilities and capacity are read
//! out of it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1;
use palisade_model::cidr::Cidr;
use palisade_model::name::RuntimeClass;
use palisade_model::policy::{EgressRules, Verdict};
use palisade_model::profile::{EgressMode, EgressType, ServiceType};
use palisade_model::quantity::Quantity;
use palisade_model::runner::{
    AddressPools, Capabilities, Capacity, Feature, PodFieldSupport, PortSupport, Resources,
    RouteSupport, SecretSupport,
};

use crate::manifest::surroundings;
use crate::settings::Settings;

/// Labels that say what a node is, which no sandbox would be selected by.
const HOST_NAME: &str = "kubernetes.io/hostname";
const ARCHITECTURE: &str = "kubernetes.io/arch";

/// What is known of the cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    nodes: BTreeMap<String, Node>,
    runtime_classes: BTreeSet<String>,
    storage_classes: BTreeSet<String>,
    ingress_classes: BTreeSet<String>,
}

/// A node, as far as sandboxes care.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    /// Whether it takes sandboxes on.
    is_open: bool,
    /// Whether it is known to be gone, or has not been heard of.
    is_lost: bool,
    labels: BTreeMap<String, String>,
    resources: Resources,
    pods_max: u32,
    gpu_type: Option<String>,
    instance_type: Option<String>,
    /// What of it would count as the internet if nobody knew better.
    public: Vec<Cidr>,
}

impl Node {
    /// Reads what the server has.
    pub(crate) fn read(node: &v1::Node, settings: &Settings) -> Self {
        let status = node.status.clone().unwrap_or_default();
        let ready = status.conditions.iter().flatten();
        let ready = ready.filter(|condition| condition.type_ == "Ready");
        let ready = ready.map(|condition| condition.status.as_str()).next();
        let cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable);
        let labels = node.metadata.labels.clone().unwrap_or_default();
        let allocatable = status.allocatable.unwrap_or_default();
        let amount = |name: &str| {
            let text = allocatable.get(name)?;
            text.0.parse::<Quantity>().ok()
        };
        let units = |name: &str| amount(name).and_then(|amount| amount.to_units());
        let whole = |name: &str| {
            let units = units(name).unwrap_or(0);
            u32::try_from(units).unwrap_or(u32::MAX)
        };
        Self {
            is_open: ready == Some("True") && cordoned != Some(true),
            is_lost: ready == Some("Unknown"),
            resources: Resources {
                cpu_millis: amount("cpu").and_then(|cpu| cpu.to_millis()).unwrap_or(0),
                memory_bytes: units("memory").unwrap_or(0),
                gpus: whole(&settings.gpu_resource),
            },
            pods_max: whole("pods"),
            gpu_type: labels.get(&settings.gpu_type_label).cloned(),
            instance_type: labels.get(&settings.instance_type_label).cloned(),
            public: public(node, settings),
            labels,
        }
    }
}

/// The addresses of a node, and the ranges that its pods get theirs from, where
/// these are public and not set apart already.
fn public(node: &v1::Node, settings: &Settings) -> Vec<Cidr> {
    let spec = node.spec.as_ref();
    let addresses = node.status.as_ref().and_then(|it| it.addresses.as_ref());
    // Names of nodes are among them.
    let addresses = addresses.into_iter().flatten();
    let addresses = addresses.filter_map(|one| one.address.parse().ok().map(Cidr::host));
    let ranges = spec.and_then(|spec| spec.pod_cidrs.as_ref());
    let ranges = ranges.into_iter().flatten();
    let ranges = ranges.filter_map(|range| range.parse().ok());
    let rules = EgressRules::new(&EgressMode::Internet, &surroundings(settings, &[]));
    let is_open = |range: &Cidr| matches!(rules.address(range.first()), Verdict::Allowed(_));
    addresses.chain(ranges).filter(is_open).collect()
}

impl Facts {
    /// Takes in what is known of a node; whether it is a new one.
    pub(crate) fn put_node(&mut self, name: &str, node: Option<Node>) -> bool {
        let is_there = node.is_some();
        let before = match node {
            Some(node) => self.nodes.insert(name.to_owned(), node),
            None => self.nodes.remove(name),
        };
        is_there && before.is_none()
    }

    pub(crate) fn put_runtime_class(&mut self, name: &str, is_there: bool) {
        put(&mut self.runtime_classes, name, is_there);
    }

    pub(crate) fn put_storage_class(&mut self, name: &str, is_there: bool) {
        put(&mut self.storage_classes, name, is_there);
    }

    pub(crate) fn put_ingress_class(&mut self, name: &str, is_there: bool) {
        put(&mut self.ingress_classes, name, is_there);
    }

    /// Whether what ran on this node can no longer be asked to end.
    pub(crate) fn is_lost(&self, node: &str) -> bool {
        self.nodes.get(node).is_none_or(|node| node.is_lost)
    }

    /// Public addresses and ranges of the nodes, which are no internet all the same.
    pub(crate) fn public_ranges(&self) -> Vec<Cidr> {
        let all = self.nodes.values().flat_map(|node| &node.public);
        let all: BTreeSet<Cidr> = all.copied().collect();
        all.into_iter().collect()
    }

    /// The classes of ingress controllers.
    pub(crate) fn ingress_classes(&self) -> &BTreeSet<String> {
        &self.ingress_classes
    }

    fn open(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values().filter(|node| node.is_open)
    }

    /// What sandboxes may use together.
    pub(crate) fn capacity(&self) -> Capacity {
        let mut capacity = Capacity::default();
        for node in self.open() {
            capacity.total = capacity.total.saturating_add(node.resources);
            capacity.sandboxes_max = capacity.sandboxes_max.saturating_add(node.pods_max);
        }
        capacity
    }

    /// What can be done here, with these egress types.
    pub(crate) fn capabilities(&self, egress: BTreeSet<EgressType>) -> Capabilities {
        let classes = self.runtime_classes.iter();
        let texts =
            |text: fn(&Node) -> Option<&String>| self.open().filter_map(text).cloned().collect();
        Capabilities {
            egress,
            services: BTreeSet::from(ServiceType::ALL),
            address_pools: AddressPools::Unknown,
            // Nobody tells the controller of a cluster whose its clients are.
            routes: if self.ingress_classes.is_empty() {
                RouteSupport::None
            } else {
                RouteSupport::Public
            },
            ports: PortSupport {
                // What of it gets through is a matter of the plugin, as of TCP and UDP.
                sctp: true,
                max: None,
            },
            runtime_classes: classes
                .filter_map(|name| RuntimeClass::new(name.clone()).ok())
                .collect(),
            architectures: texts(|node| node.labels.get(ARCHITECTURE)),
            gpu_types: texts(|node| node.gpu_type.as_ref()),
            instance_types: texts(|node| node.instance_type.as_ref()),
            storage_classes: self.storage_classes.clone(),
            node_labels: self.node_labels(),
            pod_fields: PodFieldSupport::All,
            privileged: true,
            // Pods have no freezer.
            pause: false,
            // Nobody archives a volume of theirs.
            file_systems: false,
            // Its settings may say more, which are not known here.
            secrets: SecretSupport::Stores,
            largest: self.largest(),
            memory_bytes_min: Capabilities::MEMORY_BYTES_MIN,
            lacks: lacks(),
        }
    }

    /// Labels of nodes. Of several values of one label the one is told that most
    /// nodes have.
    fn node_labels(&self) -> BTreeMap<String, String> {
        let mut counts: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
        for (key, value) in self.open().flat_map(|node| &node.labels) {
            if key != HOST_NAME {
                *counts.entry(key).or_default().entry(value).or_default() += 1;
            }
        }
        let most = |values: BTreeMap<&str, usize>| {
            let most = values.into_iter().max_by_key(|(_, count)| *count);
            most.map(|(value, _)| value.to_owned())
        };
        let labels = counts.into_iter();
        labels
            .filter_map(|(key, values)| Some((key.to_owned(), most(values)?)))
            .collect()
    }

    /// The node with the most GPUs, and of these the one with the most memory.
    fn largest(&self) -> Resources {
        let all = self.open().map(|node| node.resources);
        all.max_by_key(|node| (node.gpus, node.memory_bytes, node.cpu_millis))
            .unwrap_or_default()
    }
}

/// What no cluster has, whatever is installed in it.
fn lacks() -> BTreeMap<Feature, String> {
    let lacks = [
        (
            Feature::Denials,
            "network plugins of clusters do not tell in any common form what they refused",
        ),
        (
            Feature::Names,
            "a cluster's resolver answers every name to whoever may ask it, so that sandboxes \
             find each other by address",
        ),
        (
            Feature::FileSystems,
            "the volume of a pod cannot be archived while nothing in the pod runs",
        ),
    ];
    let lacks = lacks.into_iter();
    lacks
        .map(|(feature, why)| (feature, why.to_owned()))
        .collect()
}

fn put(set: &mut BTreeSet<String>, name: &str, is_there: bool) {
    if is_there {
        set.insert(name.to_owned());
    } else {
        set.remove(name);
    }
}

#[cfg(test)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "a json!() as an argument reads best without a reference"
)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(labels: Value, ready: &str, spec: Value) -> Node {
        let node = serde_json::from_value(json!({
            "metadata": { "labels": labels },
            "spec": spec,
            "status": {
                "allocatable": { "cpu": "1500m", "memory": "2Gi", "pods": "110", "nvidia.com/gpu": "8" },
                "conditions": [{ "type": "Ready", "status": ready }],
            },
        }));
        Node::read(&node.unwrap(), &Settings::default())
    }

    fn facts(nodes: Vec<Node>) -> Facts {
        let mut facts = Facts::default();
        for (index, node) in nodes.into_iter().enumerate() {
            facts.put_node(&format!("n{index}"), Some(node));
        }
        facts
    }

    #[test]
    fn capacity_is_what_open_nodes_have_together() {
        let facts = facts(vec![
            node(json!({}), "True", json!({})),
            node(json!({}), "True", json!({})),
            node(json!({}), "False", json!({})),
            node(json!({}), "True", json!({ "unschedulable": true })),
        ]);
        let capacity = facts.capacity();
        assert_eq!(capacity.sandboxes_max, 220);
        assert_eq!(capacity.total.cpu_millis, 3_000);
        assert_eq!(capacity.total.memory_bytes, 4 << 30);
        assert_eq!(
            (
                capacity.total.gpus,
                facts.capabilities(BTreeSet::new()).largest.gpus
            ),
            (16, 8)
        );
    }

    #[test]
    fn capabilities_are_read_off_labels_and_classes() {
        let labels = json!({
            "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": "a", "disk": "ssd",
            "gpu.nvidia.com/class": "H100", "node.kubernetes.io/instance-type": "h100",
        });
        let mut facts = facts(vec![node(labels, "True", json!({}))]);
        facts.put_runtime_class("kata-qemu", true);
        facts.put_runtime_class("gone", true);
        facts.put_runtime_class("gone", false);
        facts.put_storage_class("fast", true);
        let offered = facts.capabilities(BTreeSet::new());
        assert_eq!(offered.architectures, ["amd64".to_owned()].into());
        assert_eq!(offered.gpu_types, ["H100".to_owned()].into());
        assert_eq!(offered.instance_types, ["h100".to_owned()].into());
        assert_eq!(offered.storage_classes, ["fast".to_owned()].into());
        assert_eq!(
            offered.runtime_classes,
            ["kata-qemu".parse().unwrap()].into()
        );
        assert_eq!(offered.node_labels["disk"], "ssd");
        assert!(!offered.node_labels.contains_key("kubernetes.io/hostname"));
        assert_eq!(offered.routes, RouteSupport::None);
        facts.put_ingress_class("nginx", true);
        let routes = facts.capabilities(BTreeSet::new()).routes;
        assert_eq!(routes, RouteSupport::Public);
    }

    #[test]
    fn public_addresses_of_nodes_and_their_pods_are_known_and_others_are_not_needed() {
        let settings = Settings {
            cluster_ranges: vec!["8.8.8.0/24".parse().unwrap()],
            ..Settings::default()
        };
        let node = |addresses: &[&str], ranges: &[&str]| {
            let addresses = addresses.iter();
            let addresses = addresses.map(|one| json!({ "type": "ExternalIP", "address": one }));
            let node = serde_json::from_value(json!({
                "metadata": {},
                "spec": { "podCIDRs": ranges },
                "status": { "addresses": addresses.collect::<Vec<_>>() },
            }));
            Node::read(&node.unwrap(), &settings)
        };
        let first = node(
            &["10.0.0.7", "5.9.0.1", "8.8.8.8", "node-1", "2a01:4f8::1"],
            &["10.244.0.0/24", "2a01:4f8:1::/64"],
        );
        let facts = facts(vec![first, node(&["5.9.0.1", "5.9.0.2"], &[])]);
        let found = facts.public_ranges().into_iter();
        let found: Vec<String> = found.map(|range| range.to_string()).collect();
        let expected = [
            "5.9.0.1/32",
            "5.9.0.2/32",
            "2a01:4f8::1/128",
            "2a01:4f8:1::/64",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_node_that_is_gone_or_silent_is_lost() {
        let facts = facts(vec![
            node(json!({}), "True", json!({})),
            node(json!({}), "Unknown", json!({})),
        ]);
        assert!(!facts.is_lost("n0"));
        assert!(facts.is_lost("n1") && facts.is_lost("never"));
    }
}
