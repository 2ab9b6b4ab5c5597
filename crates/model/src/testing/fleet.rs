//! Fleets and requests for a place in them.
//!
//! A [`FleetPlan`] is what a fleet is made from, so that a test can change one
//! thing and make the fleet again. Names come from small sets: requests and
//! profiles must often go together, or a property would hold for want of cases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use uuid::Uuid;

use super::{ascending, network, parsed, valid};
use crate::clock::Timestamp;
use crate::id::{ClusterId, ProfileId, RunnerUid};
use crate::placement::{Fleet, Live, Presence, Report, Usage};
use crate::pool::{Room, Rooms};
use crate::profile::{
    EgressType, Profile, ProfileSpec, ResourceCeiling, ResourceDefaults, Revision, ServiceType,
};
use crate::runner::{
    AddressPools, Binding, Bindings, Capabilities, Capacity, Cluster, PodFieldSupport, PortSupport,
    Resources, RouteSupport, Runner, RunnerSettings, SecretSupport,
};
use crate::sandbox::{
    GpuKind, GpuRequest, Network, Owner, Port, Protocol, ResourceAmounts, Selectors, StartRequest,
};
use crate::tenant::SandboxQuota;

/// What a fleet of one organization is made from.
#[derive(Clone, Debug, Default)]
pub struct FleetPlan {
    /// The profiles; their places in the list are their numbers.
    pub profiles: Vec<ProfileSpec>,
    /// The runners.
    pub runners: Vec<RunnerPlan>,
}

/// What a runner of a fleet is made from.
#[derive(Clone, Debug)]
pub struct RunnerPlan {
    /// Makes its ids.
    pub number: u32,
    /// The numbers of the profiles that it binds; the first is the default.
    pub binds: Vec<usize>,
    /// What is known of the process behind it.
    pub live: Live,
}

/// Whoever asks in these fleets.
pub fn sample_owner() -> Owner {
    Owner {
        organization: valid("acme".parse()),
        user: valid("ada".parse()),
    }
}

/// A profile with nothing special about it but its spec.
pub fn sample_profile(number: usize, spec: ProfileSpec) -> Profile {
    Profile {
        id: profile_id(number),
        organization: sample_owner().organization,
        display_name: valid(format!("profile-{number}").parse()),
        description: String::new(),
        labels: BTreeMap::new(),
        spec,
        revision: Revision::FIRST,
        created_at: Timestamp::EPOCH,
        updated_at: Timestamp::EPOCH,
    }
}

/// A runner with nothing special about it; the first profile is its default.
pub fn sample_runner(number: u32, binds: &[usize]) -> Runner {
    let bindings = binds.iter().enumerate().map(|(place, &profile)| Binding {
        profile: profile_id(profile),
        alias: None,
        is_default: place == 0,
        overrides: None,
    });
    Runner {
        uid: RunnerUid::new(Uuid::from_u128(number.into())),
        organization: sample_owner().organization,
        display_name: String::new(),
        id: valid(format!("runner-{number}").parse()),
        zone: valid("zone".parse()),
        cluster: Cluster {
            id: ClusterId::new(Uuid::from_u128(number.into())),
            name: valid(format!("cluster-{number}").parse()),
        },
        group: valid("group".parse()),
        settings: RunnerSettings::default(),
        bindings: valid(Bindings::new(bindings.collect())),
        revision: Revision::FIRST,
        created_at: Timestamp::EPOCH,
        updated_at: Timestamp::EPOCH,
        deleting_since: None,
        drain_until: None,
    }
}

/// A connected runner that can do everything and has plenty.
pub fn sample_live() -> Live {
    let largest = Resources {
        cpu_millis: 16_000,
        memory_bytes: 64 << 30,
        gpus: 0,
    };
    Live {
        report: Some(Arc::new(Report {
            capabilities: Capabilities {
                egress: BTreeSet::from(EgressType::ALL),
                services: BTreeSet::from(ServiceType::ALL),
                address_pools: AddressPools::Unknown,
                routes: RouteSupport::Public,
                architectures: BTreeSet::from(["amd64".to_owned()]),
                pod_fields: PodFieldSupport::All,
                pause: true,
                file_systems: true,
                secrets: SecretSupport::StoresAndOwn,
                largest,
                ..Capabilities::default()
            },
            capacity: Capacity {
                total: largest,
                sandboxes_max: 100,
            },
            rooms: Rooms::default(),
        })),
        presence: Presence::Connected,
        is_draining: false,
        usage: Usage::default(),
        held: Arc::default(),
    }
}

fn profile_id(number: usize) -> ProfileId {
    ProfileId::new(Uuid::from_u128(1_000_000 + number as u128))
}

impl FleetPlan {
    /// Makes the fleet, runner by runner.
    pub fn build(&self) -> Fleet {
        let mut fleet = Fleet::default();
        for plan in &self.runners {
            self.put(&mut fleet, plan);
        }
        fleet
    }

    fn put(&self, fleet: &mut Fleet, plan: &RunnerPlan) {
        let runner = Arc::new(sample_runner(plan.number, &plan.binds));
        let (organization, uid) = (runner.organization.clone(), runner.uid);
        let profiles = self.profiles.iter().enumerate();
        let profiles = profiles
            .map(|(number, spec)| Arc::new(sample_profile(number, spec.clone())))
            .map(|profile| (profile.id, profile))
            .collect::<BTreeMap<_, _>>();
        fleet.put(runner, |id| profiles.get(&id).cloned());
        fleet.update(&organization, uid, |live| *live = plan.live.clone());
    }
}

const PROFILES: usize = 4;

/// Any plan with a few profiles and runners.
pub fn fleet_plan() -> impl Strategy<Value = FleetPlan> {
    let runners = vec((binds(), live()), 0..4).prop_map(|runners| {
        let numbered = (0u32..).zip(runners);
        numbered
            .map(|(number, (binds, live))| RunnerPlan {
                number,
                binds,
                live,
            })
            .collect()
    });
    (vec(placeable_spec(), PROFILES), runners)
        .prop_map(|(profiles, runners)| FleetPlan { profiles, runners })
}

/// One more runner for a plan; its number is above those of [`fleet_plan`].
pub fn runner_plan() -> impl Strategy<Value = RunnerPlan> {
    (binds(), live()).prop_map(|(binds, live)| RunnerPlan {
        number: 1_000,
        binds,
        live,
    })
}

fn binds() -> impl Strategy<Value = Vec<usize>> {
    subsequence((0..PROFILES).collect::<Vec<_>>(), 1..=PROFILES).prop_shuffle()
}

/// A spec that some runners and requests go together with.
pub fn placeable_spec() -> impl Strategy<Value = ProfileSpec> {
    let rarely = |value: &'static str| prop_oneof![9 => Just(None), 1 => Just(Some(value))];
    (
        option::weighted(0.8, parsed("python:3\\.11")),
        option::weighted(0.2, parsed("runc|gvisor")),
        small_resources(),
        rarely("h100"),
        rarely("ssd"),
        option::weighted(0.7, network()),
    )
        .prop_map(
            |(container_image, runtime_class, resources, instance, disk, network)| ProfileSpec {
                container_image,
                runtime_class,
                resource_defaults: resources.0,
                resource_ceiling: resources.1,
                instance_types: instance.map(|name| vec![valid(name.parse())]),
                node_selector: disk
                    .map(|disk| ("disk".to_owned(), disk.to_owned()))
                    .into_iter()
                    .collect(),
                network,
                ..ProfileSpec::default()
            },
        )
}

/// Any state of a runner.
pub fn live() -> impl Strategy<Value = Live> {
    let report = prop_oneof![1 => Just(None), 9 => report().prop_map(Some)];
    let presence = prop_oneof![
        1 => Just(Presence::NeverSeen),
        8 => Just(Presence::Connected),
        1 => Just(Presence::Lost),
    ];
    (report, presence, 0u8..10, usage()).prop_map(|(report, presence, draining, usage)| Live {
        report: report.map(Arc::new),
        presence,
        is_draining: draining == 0,
        usage,
        held: Arc::default(),
    })
}

fn report() -> impl Strategy<Value = Report> {
    let machine = (
        select(vec!["", "runc", "gvisor"]),
        select(vec!["", "A100", "H100"]),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    let egress = subsequence(EgressType::ALL.to_vec(), 3..=EgressType::ALL.len());
    let services = subsequence(ServiceType::ALL.to_vec(), 1..=ServiceType::ALL.len());
    let slots = prop_oneof![1 => Just(0), 9 => 4u32..8];
    (
        machine,
        egress,
        services,
        some_resources(),
        some_resources(),
        slots,
    )
        .prop_map(
            |(machine, egress, services, largest, total, sandboxes_max)| {
                let (class, gpu, routes, has_h100, has_ssd) = machine;
                let if_has = |has: bool, name: &str| has.then(|| name.to_owned());
                Report {
                    capabilities: Capabilities {
                        egress: egress.into_iter().collect(),
                        services: services.into_iter().collect(),
                        address_pools: AddressPools::Unknown,
                        routes: match (routes, has_ssd) {
                            (false, _) => RouteSupport::None,
                            (true, false) => RouteSupport::Public,
                            (true, true) => RouteSupport::Scoped,
                        },
                        ports: PortSupport {
                            sctp: has_ssd,
                            max: (has_h100 && has_ssd).then_some(1),
                        },
                        runtime_classes: class.parse().into_iter().collect(),
                        architectures: BTreeSet::from(["amd64".to_owned()]),
                        gpu_types: if_has(!gpu.is_empty(), gpu).into_iter().collect(),
                        instance_types: if_has(has_h100, "h100").into_iter().collect(),
                        storage_classes: BTreeSet::new(),
                        node_labels: if_has(has_ssd, "ssd")
                            .map(|disk| ("disk".to_owned(), disk))
                            .into_iter()
                            .collect(),
                        pod_fields: PodFieldSupport::All,
                        privileged: false,
                        pause: true,
                        file_systems: true,
                        secrets: SecretSupport::StoresAndOwn,
                        largest,
                        memory_bytes_min: if has_ssd && has_h100 { 128 << 20 } else { 0 },
                        lacks: BTreeMap::new(),
                    },
                    capacity: Capacity {
                        total,
                        sandboxes_max,
                    },
                    rooms: Rooms {
                        // As arbitrary as anything that is known of the machine.
                        node_ports: has_ssd.then_some(Room { size: 4, used: 3 }),
                        ..Rooms::default()
                    },
                }
            },
        )
}

fn some_resources() -> impl Strategy<Value = Resources> {
    (4_000u64..20_000, 8u64..64, 0u32..4).prop_map(|(cpu_millis, gib, gpus)| Resources {
        cpu_millis,
        memory_bytes: gib << 30,
        gpus,
    })
}

fn usage() -> impl Strategy<Value = Usage> {
    (some_resources(), 0u64..4, 0u32..6).prop_map(|(some, part, sandboxes)| Usage {
        reserved: Resources {
            cpu_millis: some.cpu_millis * part / 4,
            memory_bytes: some.memory_bytes / 4 * part,
            gpus: some.gpus / 2,
        },
        sandboxes,
    })
}

/// Requests, limits and ceilings that machines of these fleets have.
fn small_resources() -> impl Strategy<Value = (ResourceDefaults, ResourceCeiling)> {
    let amount = |texts: &'static [&'static str]| {
        let one = || option::weighted(0.4, select(texts).prop_map(|text| valid(text.parse())));
        (one(), one(), one()).prop_map(ascending)
    };
    let cpu = amount(&["250m", "1", "1.5", "2", "4000m", "8"]);
    let memory = amount(&["64Mi", "1Gi", "2G", "4Gi", "8e9", "16Gi"]);
    let gpu = option::weighted(0.3, 0u32..4);
    (cpu, memory, gpu).prop_map(|(cpu, memory, gpu)| {
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

/// Mostly no name, else one or two.
fn few(names: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![2 => Just(Vec::new()), 1 => vec(select(names), 1..3)]
}

/// Any request that is sound in itself.
pub fn start_request() -> impl Strategy<Value = StartRequest> {
    let selectors = (
        few(&["profile-0", "profile-1", "absent"]),
        few(&["runner-0", "runner-1", "absent"]),
    );
    let network = (
        option::weighted(0.3, parsed("internet|deny-all|ci")),
        option::weighted(0.2, parsed("internal|public")),
    );
    (
        selectors,
        network,
        amounts(),
        option::of(parsed("python:3\\.12")),
        ports(),
    )
        .prop_map(
            |(
                (profiles, runners),
                (egress_mode, ingress_mode),
                (requests, limits),
                image,
                ports,
            )| {
                StartRequest {
                    image,
                    requests,
                    limits,
                    ports,
                    network: Network {
                        ingress_mode,
                        exposed_ports: Vec::new(),
                        egress_mode,
                    },
                    selectors: Selectors {
                        profiles: profiles.into_iter().map(str::to_owned).collect(),
                        runners: runners.into_iter().map(str::to_owned).collect(),
                    },
                    max_lifetime: Some(Duration::from_mins(1)),
                    ..StartRequest::default()
                }
            },
        )
}

/// One port that every runner can expose, and sometimes one more.
fn ports() -> impl Strategy<Value = Vec<Port>> {
    let port = |(number, protocol)| Port {
        number,
        name: String::new(),
        protocol,
    };
    let more = select(vec![(8080, Protocol::Sctp), (9090, Protocol::Udp)]);
    option::weighted(0.1, more).prop_map(move |more| {
        let all = std::iter::once((8080, Protocol::Tcp)).chain(more);
        all.map(port).collect()
    })
}

fn amounts() -> impl Strategy<Value = (ResourceAmounts, ResourceAmounts)> {
    let kind = prop_oneof![
        Just(GpuKind::Any),
        parsed("A100|H100").prop_map(GpuKind::Type),
        Just(GpuKind::MemoryGb(40)),
    ];
    let gpu = (1u32..3, kind).prop_map(|(count, kind)| GpuRequest { count, kind });
    (small_resources(), option::weighted(0.2, gpu)).prop_map(|((amounts, _), gpu)| {
        let requests = ResourceAmounts {
            cpu: amounts.cpu_request,
            memory: amounts.memory_request,
            gpu: gpu.clone(),
        };
        let limits = ResourceAmounts {
            cpu: amounts.cpu_limit,
            memory: amounts.memory_limit,
            gpu,
        };
        (requests, limits)
    })
}

/// Any quota.
pub fn quota() -> impl Strategy<Value = SandboxQuota> {
    (
        option::weighted(0.3, small_resources()),
        option::weighted(0.2, 0u32..3),
    )
        .prop_map(|(amounts, gpu)| {
            let (cpu, memory) = amounts
                .map(|(_, ceiling)| (ceiling.cpu, ceiling.memory))
                .unwrap_or_default();
            SandboxQuota { cpu, memory, gpu }
        })
}
