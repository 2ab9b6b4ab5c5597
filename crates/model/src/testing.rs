//! Generators of arbitrary values, for property tests of this and other crates.
//!
//! Every generated value keeps the rules of its type: a generated spec is one
//! that [`crate::profile::form::decode`] can return. Sizes are small, so that
//! failures shrink to something that a person can read.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::str::FromStr;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

pub mod fleet;
mod launch;
mod snapshot;
mod standing;

pub use launch::{launch, put_under, sample_launch};
pub use snapshot::{file_system, sample_snapshot};
pub use standing::{knock, standing};

use crate::cidr::Cidr;
use crate::image::ImageReference;
use crate::name::{InstanceType, LevelName, ModeName, Tag};
use crate::profile::{
    Annotation, Egress, EgressMode, EgressType, Exposure, Ingress, IngressRoute, NamespaceSpec,
    NamespaceStrategy, NetworkSpec, PodPatch, ProfileSpec, ResourceCeiling, ResourceDefaults,
    Scope, ServiceSpec, ServiceType, form,
};
use crate::quantity::Quantity;
use crate::runner::SpecPatch;

pub mod pods;

/// One layer, with any of its fields.
pub fn spec() -> impl Strategy<Value = ProfileSpec> {
    let compute = (
        option::of(image()),
        option::of(parsed("[a-z]([a-z0-9.-]{0,8}[a-z0-9])?")),
        resources(),
        option::of(distinct(instance_type())),
        node_labels(),
        option::of(distinct(tag())),
    );
    let rest = (namespace(), option::of(network()), option::of(pod()));
    (compute, rest).prop_map(|(compute, (namespace, network, pod))| {
        let (container_image, runtime_class, resources, instance_types, node_selector, tags) =
            compute;
        ProfileSpec {
            container_image,
            runtime_class,
            resource_defaults: resources.0,
            resource_ceiling: resources.1,
            instance_types,
            node_selector,
            tags,
            namespace,
            network,
            pod,
        }
    })
}

/// A patch of a spec that sets some fields and removes others.
pub fn spec_patch() -> impl Strategy<Value = SpecPatch> {
    (spec(), vec(any::<u8>(), 32)).prop_map(|(spec, choices)| {
        let mut choices = choices.into_iter().cycle();
        let patch = thinned(form::encode(&spec), &mut choices);
        valid(form::decode_patch(&Value::Object(patch)))
    })
}

/// Removes about a third of the fields, at every level but inside lists.
fn thinned(map: Map<String, Value>, choices: &mut impl Iterator<Item = u8>) -> Map<String, Value> {
    map.into_iter()
        .filter_map(|(key, value)| match choices.next().unwrap_or(0) % 6 {
            0 => Some((key, Value::Null)),
            1 => None,
            _ => match value {
                Value::Object(below) => Some((key, Value::Object(thinned(below, choices)))),
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_) => Some((key, value)),
            },
        })
        .collect()
}

/// A reference to an image.
pub fn image() -> impl Strategy<Value = ImageReference> {
    parsed(
        "([a-z]{1,6}\\.[a-z]{2}/)?[a-z0-9]{1,8}(/[a-z0-9]{1,8})?(:[a-z0-9]([a-z0-9.]{0,6}[a-z0-9])?)?",
    )
}

/// Requests that are at most the limits, which are at most the ceiling.
pub fn resources() -> impl Strategy<Value = (ResourceDefaults, ResourceCeiling)> {
    let cpu = (millis(), millis(), millis()).prop_map(ascending);
    let memory = (mebibytes(), mebibytes(), mebibytes()).prop_map(ascending);
    (cpu, memory, option::of(any::<u32>())).prop_map(|(cpu, memory, gpu)| {
        let [cpu_request, cpu_limit, cpu] = cpu;
        let [memory_request, memory_limit, memory] = memory;
        let defaults = ResourceDefaults {
            cpu_request,
            memory_request,
            cpu_limit,
            memory_limit,
        };
        (defaults, ResourceCeiling { cpu, memory, gpu })
    })
}

fn millis() -> impl Strategy<Value = Option<Quantity>> {
    option::of(prop_oneof![
        parsed("[1-9][0-9]{0,3}m"),
        parsed("[1-9]"),
        parsed("[1-9]\\.[0-9]{1,2}"),
    ])
}

fn mebibytes() -> impl Strategy<Value = Option<Quantity>> {
    option::of(parsed("[1-9][0-9]{0,2}(M|Mi|G|Gi|e6)"))
}

/// Puts the amounts that are there in order.
fn ascending(
    amounts: (Option<Quantity>, Option<Quantity>, Option<Quantity>),
) -> [Option<Quantity>; 3] {
    let amounts = [amounts.0, amounts.1, amounts.2];
    let mut sorted = amounts.iter().flatten().cloned().collect::<Vec<_>>();
    sorted.sort();
    let mut sorted = sorted.into_iter();
    amounts.map(|amount| amount.and_then(|_| sorted.next()))
}

/// Any namespace block.
pub fn namespace() -> impl Strategy<Value = NamespaceSpec> {
    let strategy = prop_oneof![
        Just(NamespaceStrategy::PerUser),
        Just(NamespaceStrategy::PerOrg),
        Just(NamespaceStrategy::PerProfile),
        parsed("shared[a-z0-9]{0,4}").prop_map(NamespaceStrategy::Static),
    ];
    (
        option::of(strategy),
        option::of(parsed("[a-z][a-z0-9-]{0,8}")),
        option::of(any::<bool>()),
        node_labels(),
        btree_map(label_key(), ".{0,12}", 0..3),
    )
        .prop_map(
            |(strategy, prefix, auto_create, labels, annotations)| NamespaceSpec {
                strategy,
                prefix,
                auto_create,
                labels,
                annotations,
            },
        )
}

/// Any network block.
pub fn network() -> impl Strategy<Value = NetworkSpec> {
    (option::of(egress()), ingress()).prop_map(|(egress, ingress)| NetworkSpec { egress, ingress })
}

/// Named modes and a default among them.
pub fn egress() -> impl Strategy<Value = Egress> {
    btree_map(mode_name(), egress_mode(), 1..4)
        .prop_flat_map(|modes| {
            let names = modes.keys().cloned().collect::<Vec<_>>();
            (select(names), Just(modes))
        })
        .prop_map(|(default, modes)| valid(Egress::new(default, modes)))
}

/// The name of an egress mode; few, so that layers share some.
pub fn mode_name() -> impl Strategy<Value = ModeName> {
    prop_oneof![parsed("internet|deny-all|ci"), parsed("[a-z]{1,3}")]
}

/// Any egress mode.
pub fn egress_mode() -> impl Strategy<Value = EgressMode> {
    let ranges = btree_set(cidr(), 1..4).prop_map(|set| set.into_iter().collect());
    let plain = EgressType::ALL
        .into_iter()
        .filter_map(EgressMode::plain)
        .collect::<Vec<_>>();
    prop_oneof![
        3 => select(plain),
        1 => ranges.prop_map(EgressMode::Allowlist),
    ]
}

/// A range of addresses of either version.
pub fn cidr() -> impl Strategy<Value = Cidr> {
    prop_oneof![
        (any::<u8>(), any::<u8>()).prop_map(|(a, b)| range(&format!("{a}.{b}.0.0/16"))),
        any::<u16>().prop_map(|a| range(&format!("2001:db8:{a:x}::/48"))),
    ]
}

fn range(text: &str) -> Cidr {
    valid(text.parse())
}

/// Any ingress levels.
pub fn ingress() -> impl Strategy<Value = Ingress> {
    btree_map(level_name(), exposure(), 0..3)
}

fn level_name() -> impl Strategy<Value = LevelName> {
    prop_oneof![parsed("internal|public"), parsed("[a-z]{1,3}")]
}

fn exposure() -> impl Strategy<Value = Exposure> {
    let route = (
        parsed("nginx|istio"),
        parsed("\\{\\{\\.SandboxID\\}\\}\\.[a-z]{1,5}\\.com"),
    )
        .prop_map(|(controller_name, template)| IngressRoute {
            controller_name,
            template,
        });
    (
        select(Scope::ALL.to_vec()),
        any::<bool>(),
        service(),
        option::of(route),
    )
        .prop_map(|(scope, wants_address, service, route)| Exposure {
            scope,
            expects_external_address: wants_address
                && (route.is_some() || service.service_type == ServiceType::LoadBalancer),
            service,
            route,
        })
}

fn service() -> impl Strategy<Value = ServiceSpec> {
    (
        select(ServiceType::ALL.to_vec()),
        option::of(annotation()),
        option::of(annotation()),
    )
        .prop_map(
            |(service_type, selector_annotation, dns_annotation)| ServiceSpec {
                service_type,
                selector_annotation,
                dns_annotation,
            },
        )
}

fn annotation() -> impl Strategy<Value = Annotation> {
    (label_key(), "[a-z.]{0,8}").prop_map(|(key, value)| valid(Annotation::new(key, value)))
}

/// A pod patch that weakens nothing.
pub fn pod() -> impl Strategy<Value = PodPatch> {
    let metadata = (node_labels(), option::of(node_labels())).prop_map(|(labels, annotations)| {
        let mut metadata = json!({ "labels": labels });
        if let Some(annotations) = annotations {
            metadata["annotations"] = json!(annotations);
        }
        metadata
    });
    let types = (1u8..4).prop_map(|count| {
        let types = (0..count).map(|n| format!("type-{n}")).collect::<Vec<_>>();
        json!({ "instanceTypes": types })
    });
    let spec = select(pods::good_specs());
    (option::of(metadata), option::of(spec), option::of(types)).prop_map(
        |(metadata, spec, types)| {
            let parts = [("metadata", metadata), ("spec", spec), ("placement", types)];
            let patch = parts
                .into_iter()
                .filter_map(|(key, value)| Some((key.to_owned(), value?)))
                .collect();
            PodPatch::new(patch)
        },
    )
}

/// Labels as Kubernetes allows them.
pub fn node_labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(
        label_key(),
        "([a-zA-Z0-9]([a-zA-Z0-9._-]{0,6}[a-zA-Z0-9])?)?",
        0..3,
    )
}

fn label_key() -> impl Strategy<Value = String> {
    "([a-z]{1,4}\\.io/)?[a-zA-Z]([a-zA-Z0-9._-]{0,6}[a-zA-Z0-9])?"
}

fn instance_type() -> impl Strategy<Value = InstanceType> {
    parsed("[a-z][a-z0-9.-]{0,6}[a-z0-9]")
}

fn tag() -> impl Strategy<Value = Tag> {
    parsed("[a-z]([a-z ]{0,6}[a-z])?")
}

/// A list of up to three different items, in any order.
fn distinct<T: Ord + Clone + Debug>(
    item: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vec<T>> {
    btree_set(item, 0..4)
        .prop_map(|set| set.into_iter().collect::<Vec<_>>())
        .prop_shuffle()
}

/// What the texts of a pattern parse to; every one of them must.
fn parsed<T>(pattern: &'static str) -> impl Strategy<Value = T>
where
    T: FromStr<Err: Debug> + Debug,
{
    pattern.prop_map(|text| valid(text.parse()))
}

/// Generators make only what the rules allow; anything else is their fault.
fn valid<T, E: Debug>(made: Result<T, E>) -> T {
    made.expect("generators keep the rules")
}
