//! Every constraint, with a request and a fleet that break it before any other.

use super::*;
use crate::pool::Room;
use crate::profile::EgressType;
use crate::runner::{AddressPools, PodFieldSupport, RouteSupport, SecretSupport};
use crate::sandbox::{AskedSecret, FileSystemWish, GpuKind, GpuRequest, Port, Protocol};
use crate::secret::{SecretAddress, SecretSource, SecretVariable};

type Case = (Constraint, FleetPlan, Caller);
type Change = fn(&mut Live);

const SAME: Change = |_| {};

const WITH_GPUS: Change = |live| {
    report(live).capabilities.largest.gpus = 4;
    report(live).capacity.total.gpus = 4;
};

pub(super) fn all() -> Vec<Case> {
    [identity(), network(), machine(), ceilings(), capacity()].concat()
}

fn case(constraint: Constraint, profile: &Value, request: StartRequest, change: Change) -> Case {
    let mut document = json!({ "container_image": "python:3.11" });
    crate::merge::patch(&mut document, profile);
    let mut plan = plan(vec![spec(&document)], 1);
    change(&mut plan.runners[0].live);
    (constraint, plan, Caller::new(request))
}

fn nothing() -> StartRequest {
    StartRequest::default()
}

fn identity() -> Vec<Case> {
    let mut other_runner = nothing();
    other_runner.selectors.runners = vec!["absent".to_owned()];
    let mut other_profile = nothing();
    other_profile.selectors.profiles = vec!["absent".to_owned()];
    let none = json!({});
    let mut unresolved = case(Constraint::ProfileResolves, &none, nothing(), SAME);
    unresolved.1.profiles.clear();
    vec![
        case(Constraint::RunnerSelector, &none, other_runner, SAME),
        case(Constraint::ProfileSelector, &none, other_profile, SAME),
        unresolved,
    ]
}

fn network() -> Vec<Case> {
    let mut outward = nothing();
    outward.network.egress_mode = Some("open".parse().unwrap());
    let mut inward = nothing();
    inward.network.ingress_mode = Some("public".parse().unwrap());
    inward.ports = vec![Port {
        number: 80,
        name: String::new(),
        protocol: Protocol::Tcp,
    }];
    let none = json!({});
    let modes = json!({ "default": "open", "modes": { "open": { "type": "org" } } });
    let egress = json!({ "network": { "egress": modes } });
    let level = |level: Value| json!({ "network": { "ingress": { "public": level } } });
    let plain = level(json!({ "scope": "any" }));
    let routed = |template: &str| {
        let route = json!({ "controllerName": "nginx", "template": template });
        level(json!({ "scope": "any", "ingress": route }))
    };
    let selector = json!({ "key": "metallb.io/address-pool", "value": "blue" });
    let service = json!({ "serviceType": "LoadBalancer", "serviceSelectorAnnotation": selector });
    let balanced = level(json!({ "scope": "any", "service": service }));
    let short = routed("{{.SandboxID}}.example.com");
    let mut long = routed("{{.Namespace}}-{{.SandboxID}}.example.com");
    long["namespace"] = json!({ "strategy": "per-profile", "namespacePrefix": "quite-long" });
    vec![
        case(Constraint::EgressMode, &none, outward.clone(), SAME),
        case(Constraint::EgressType, &egress, outward, |live| {
            report(live).capabilities.egress.remove(&EgressType::Org);
        }),
        case(Constraint::IngressLevel, &none, inward.clone(), SAME),
        case(Constraint::ServiceType, &plain, inward.clone(), |live| {
            report(live).capabilities.services.clear();
        }),
        case(Constraint::AddressPool, &balanced, inward.clone(), |live| {
            report(live).capabilities.address_pools = AddressPools::Only(["red".to_owned()].into());
        }),
        case(Constraint::HttpRoute, &short, inward.clone(), |live| {
            report(live).capabilities.routes = RouteSupport::None;
        }),
        case(Constraint::HostName, &long, inward.clone(), SAME),
        case(
            Constraint::PortProtocol,
            &plain,
            listening(inward.clone(), 9_090, Protocol::Sctp),
            SAME,
        ),
        case(
            Constraint::ExposedPorts,
            &plain,
            listening(inward, 9_090, Protocol::Udp),
            |live| report(live).capabilities.ports.max = Some(1),
        ),
    ]
}

/// A request with one more port.
fn listening(mut request: StartRequest, number: u16, protocol: Protocol) -> StartRequest {
    request.ports.push(Port {
        number,
        name: String::new(),
        protocol,
    });
    request
}

fn gpu(kind: GpuKind) -> StartRequest {
    let mut request = nothing();
    request.limits.gpu = Some(GpuRequest { count: 1, kind });
    request
}

fn with_file_system() -> StartRequest {
    let mut request = nothing();
    request.file_system = Some(FileSystemWish {
        mount_path: "/workspace".parse().unwrap(),
        size: None,
        snapshot: None,
    });
    request
}

fn secret(source: SecretSource) -> StartRequest {
    let mut request = nothing();
    request.secrets = vec![AskedSecret {
        variable: SecretVariable {
            env_var: "TOKEN".to_owned(),
            source,
        },
        at: crate::violation::FieldPath::root(),
    }];
    request
}

fn machine() -> Vec<Case> {
    let none = json!({});
    let arm = json!({ "node_selector": { "kubernetes.io/arch": "arm64" } });
    let disk = json!({ "node_selector": { "disk": "ssd" } });
    let types = json!({ "instance_types": ["h100"] });
    let pod = json!({ "pod": { "spec": { "schedulerName": "sunk" } } });
    let h100 = gpu(GpuKind::Type("H100".to_owned()));
    let large = gpu(GpuKind::MemoryGb(40));
    let of_store = secret(SecretSource::Store {
        store: "team".parse().unwrap(),
        address: SecretAddress {
            path: "token".parse().unwrap(),
            field: None,
        },
    });
    let of_runner = secret(SecretSource::Runner {
        name: "db".parse().unwrap(),
        key: "password".parse().unwrap(),
    });
    vec![
        case(
            Constraint::Image,
            &json!({ "container_image": null }),
            nothing(),
            SAME,
        ),
        case(Constraint::GpuType, &none, h100, WITH_GPUS),
        case(Constraint::GpuMemory, &none, large, WITH_GPUS),
        case(Constraint::Architecture, &arm, nothing(), SAME),
        case(Constraint::InstanceType, &types, nothing(), SAME),
        case(Constraint::NodeSelector, &disk, nothing(), SAME),
        case(Constraint::PodFields, &pod, nothing(), |live| {
            report(live).capabilities.pod_fields = PodFieldSupport::default();
        }),
        case(Constraint::FileSystem, &none, with_file_system(), |live| {
            report(live).capabilities.file_systems = false;
        }),
        case(Constraint::Secrets, &none, of_store, |live| {
            report(live).capabilities.secrets = SecretSupport::None;
        }),
        case(Constraint::RunnerSecrets, &none, of_runner, |live| {
            report(live).capabilities.secrets = SecretSupport::Stores;
        }),
    ]
}

fn with_memory(limit: &str) -> StartRequest {
    let mut request = nothing();
    request.limits.memory = Some(limit.parse().unwrap());
    request
}

fn within(mut case: Case, quota: SandboxQuota) -> Case {
    case.2.quota = quota;
    case
}

fn ceilings() -> Vec<Case> {
    let none = json!({});
    let ceiling = json!({ "resource_ceiling": { "cpu": "4", "memory": "1Gi", "gpu": 0 } });
    let quota = || SandboxQuota {
        cpu: "4".parse().ok(),
        memory: "1Gi".parse().ok(),
        gpu: Some(0),
    };
    let any = || gpu(GpuKind::Any);
    vec![
        case(Constraint::CpuCeiling, &ceiling, with_cpu("8"), SAME),
        case(
            Constraint::MemoryCeiling,
            &ceiling,
            with_memory("2Gi"),
            SAME,
        ),
        case(Constraint::GpuCeiling, &ceiling, any(), WITH_GPUS),
        within(
            case(Constraint::CpuQuota, &none, with_cpu("8"), SAME),
            quota(),
        ),
        within(
            case(Constraint::MemoryQuota, &none, with_memory("2Gi"), SAME),
            quota(),
        ),
        within(case(Constraint::GpuQuota, &none, any(), WITH_GPUS), quota()),
        case(Constraint::CpuLargest, &none, with_cpu("17"), SAME),
        case(Constraint::MemoryLargest, &none, with_memory("65Gi"), SAME),
        case(Constraint::GpuLargest, &none, any(), SAME),
        case(
            Constraint::MemorySmallest,
            &none,
            with_memory("1Ki"),
            |live| report(live).capabilities.memory_bytes_min = 1 << 20,
        ),
        case(Constraint::SlotsConfigured, &none, nothing(), |live| {
            report(live).capacity.sandboxes_max = 0;
        }),
    ]
}

fn capacity() -> Vec<Case> {
    let none = json!({});
    let level = json!({ "scope": "any", "service": { "serviceType": "NodePort" } });
    let at_nodes = json!({ "network": { "ingress": { "public": level } } });
    let mut exposing = nothing();
    exposing.network.ingress_mode = Some("public".parse().unwrap());
    exposing.ports = vec![Port {
        number: 8080,
        name: String::new(),
        protocol: Protocol::Tcp,
    }];
    vec![
        case(Constraint::Connected, &none, nothing(), |live| {
            live.presence = Presence::Lost;
        }),
        case(Constraint::NotDraining, &none, nothing(), |live| {
            live.is_draining = true;
        }),
        case(Constraint::FreeSlots, &none, nothing(), |live| {
            live.usage.sandboxes = 100;
        }),
        case(Constraint::FreeCpu, &none, with_cpu("8"), |live| {
            live.usage.reserved.cpu_millis = 10_000;
        }),
        case(Constraint::FreeMemory, &none, with_memory("2Gi"), |live| {
            live.usage.reserved.memory_bytes = 63 << 30;
        }),
        case(Constraint::FreeGpus, &none, gpu(GpuKind::Any), |live| {
            WITH_GPUS(live);
            live.usage.reserved.gpus = 4;
        }),
        case(Constraint::FreePool, &at_nodes, exposing, |live| {
            report(live).rooms.node_ports = Some(Room { size: 1, used: 1 });
        }),
    ]
}
