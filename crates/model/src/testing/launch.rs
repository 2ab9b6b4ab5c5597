//! Generators of launches.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use super::{
    distinct, egress_mode, file_system, image, ingress, instance_type, node_labels, parsed, pod,
    resources,
};
use crate::id::{ProfileId, SandboxId};
use crate::profile::{EgressMode, ProfileSpec};
use crate::sandbox::{
    AppliedEgress, AppliedExposure, GpuKind, GpuRequest, GrantedResources, Launch, LaunchNamespace,
    MountedFile, Owner, PodMetadata, Port, Protocol, Workload,
};
use crate::secret::{SecretAddress, SecretSource, SecretVariable};

/// A launch with nothing special about it.
pub fn sample_launch() -> Launch {
    let valid = "the sample uses valid names";
    Launch {
        id: SandboxId::new(Uuid::from_u128(1)),
        owner: Owner {
            organization: "acme".parse().expect(valid),
            user: "ada".parse().expect(valid),
        },
        runner: "local".parse().expect(valid),
        profile: ProfileId::new(Uuid::from_u128(2)),
        profile_name: "default".parse().expect(valid),
        workload: Workload {
            image: "python:3.11".parse().expect(valid),
            command: vec!["sleep".to_owned(), "infinity".to_owned()],
            environment: BTreeMap::new(),
        },
        resources: GrantedResources::default(),
        runtime_class: None,
        instance_types: Vec::new(),
        node_selector: BTreeMap::new(),
        namespace: LaunchNamespace {
            name: "user-ns-acme-ada".parse().expect(valid),
            auto_create: true,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        },
        egress: AppliedEgress {
            name: "deny-all".parse().expect(valid),
            mode: EgressMode::None,
        },
        exposure: None,
        ports: Vec::new(),
        secrets: Vec::new(),
        mounted_files: Vec::new(),
        file_system: None,
        metadata: PodMetadata::default(),
        pod: None,
        max_lifetime: None,
    }
}

/// Puts in force what a profile says of the machine, the pod and the default egress mode, as
/// far as it says anything. Its namespace and its ingress levels stay out.
pub fn put_under(launch: &mut Launch, spec: ProfileSpec) {
    launch.instance_types = spec.instance_types();
    if let Some(image) = spec.container_image {
        launch.workload.image = image;
    }
    launch.runtime_class = spec.runtime_class;
    launch.node_selector = spec.node_selector;
    launch.pod = spec.pod;
    let defaults = spec.resource_defaults;
    launch.resources.cpu_request = defaults.cpu_request;
    launch.resources.cpu_limit = defaults.cpu_limit;
    launch.resources.memory_request = defaults.memory_request;
    launch.resources.memory_limit = defaults.memory_limit;
    let network = spec.network.unwrap_or_default();
    if let Some(egress) = network.egress {
        launch.egress = AppliedEgress {
            name: egress.default_name().clone(),
            mode: egress.modes()[egress.default_name()].clone(),
        };
    }
}

/// Any launch.
pub fn launch() -> impl Strategy<Value = Launch> {
    let placement = (
        option::of(parsed("[a-z]{1,8}")),
        option::of(distinct(instance_type())),
        node_labels(),
        option::of(pod()),
    );
    let network = (parsed("[a-z]{1,5}"), egress_mode(), exposure());
    let texts = (node_labels(), node_labels(), node_labels(), node_labels());
    let payload = (
        image(),
        vec(any::<String>(), 0..3),
        granted(),
        vec(port(), 0..3),
        vec(file(), 0..3),
        (
            option::of(0u64..1 << 40),
            option::of(file_system()),
            vec(secret(), 0..3),
        ),
    );
    (any::<(u128, u128)>(), placement, network, texts, payload).prop_map(
        |(ids, placement, network, texts, payload)| {
            let (runtime_class, instance_types, node_selector, pod) = placement;
            let (name, mode, exposure) = network;
            let (environment, labels, annotations, namespace_labels) = texts;
            let (image, command, resources, ports, mounted_files, rest) = payload;
            let (lifetime, file_system, secrets) = rest;
            let sample = sample_launch();
            Launch {
                id: SandboxId::new(Uuid::from_u128(ids.0)),
                profile: ProfileId::new(Uuid::from_u128(ids.1)),
                workload: Workload {
                    image,
                    command,
                    environment,
                },
                resources,
                runtime_class,
                instance_types: instance_types
                    .filter(|list| !list.is_empty())
                    .unwrap_or_default(),
                node_selector,
                namespace: LaunchNamespace {
                    labels: namespace_labels,
                    ..sample.namespace
                },
                egress: AppliedEgress { name, mode },
                exposure,
                ports,
                secrets,
                mounted_files,
                file_system,
                metadata: PodMetadata {
                    labels,
                    annotations,
                },
                pod,
                max_lifetime: lifetime.map(Duration::from_millis),
                ..sample
            }
        },
    )
}

fn granted() -> impl Strategy<Value = GrantedResources> {
    (resources(), option::of(gpu())).prop_map(|((defaults, _), gpu)| GrantedResources {
        cpu_request: defaults.cpu_request,
        cpu_limit: defaults.cpu_limit,
        memory_request: defaults.memory_request,
        memory_limit: defaults.memory_limit,
        gpu,
    })
}

fn gpu() -> impl Strategy<Value = GpuRequest> {
    let kind = prop_oneof![
        Just(GpuKind::Any),
        "[A-Z][0-9]{2}".prop_map(GpuKind::Type),
        any::<u32>().prop_map(GpuKind::MemoryGb),
    ];
    (any::<u32>(), kind).prop_map(|(count, kind)| GpuRequest { count, kind })
}

fn port() -> impl Strategy<Value = Port> {
    let protocol = select(Protocol::ALL.to_vec());
    (any::<u16>(), "[a-z]{0,5}", protocol).prop_map(|(number, name, protocol)| Port {
        number,
        name,
        protocol,
    })
}

fn secret() -> impl Strategy<Value = SecretVariable> {
    let of_store = (
        parsed("[a-z]{3,5}"),
        parsed("[a-z]{1,5}(/[a-z]{1,3})?"),
        option::of(parsed("[a-z]{1,3}")),
    );
    let of_store = of_store.prop_map(|(store, path, field)| SecretSource::Store {
        store,
        address: SecretAddress { path, field },
    });
    let of_runner = (parsed("[a-z]{1,5}"), parsed("[A-Z_.]{1,5}x"));
    let of_runner = of_runner.prop_map(|(name, key)| SecretSource::Runner { name, key });
    let source = prop_oneof![of_store, of_runner];
    ("[A-Z]{1,5}", source).prop_map(|(env_var, source)| SecretVariable { env_var, source })
}

fn file() -> impl Strategy<Value = MountedFile> {
    ("/[a-z]{1,5}", vec(any::<u8>(), 0..16))
        .prop_map(|(path, content)| MountedFile { path, content })
}

fn exposure() -> impl Strategy<Value = Option<AppliedExposure>> {
    (ingress(), vec(any::<u16>(), 0..3)).prop_map(|(levels, ports)| {
        levels
            .into_iter()
            .next()
            .map(|(name, exposure)| AppliedExposure {
                name,
                exposure,
                ports,
            })
    })
}
