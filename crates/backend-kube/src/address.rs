//! Where a sandbox can be reached from outside of its cluster.

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::networking::v1::Ingress;
use palisade_model::profile::ServiceType;
use palisade_model::sandbox::Launch;

/// Whether the sandbox counts as running only once it has an address.
pub(crate) fn is_awaited(launch: &Launch) -> bool {
    let level = launch.exposure.as_ref();
    level.is_some_and(|level| level.exposure.expects_external_address && !level.ports.is_empty())
}

/// The address, once it is there.
pub(crate) fn of(
    launch: &Launch,
    pod: &Pod,
    service: Option<&Service>,
    ingress: Option<&Ingress>,
) -> Option<String> {
    let level = launch.exposure.as_ref()?;
    if level.exposure.route.is_some() {
        return host_name(ingress?, level.exposure.expects_external_address);
    }
    match level.exposure.service.service_type {
        ServiceType::ClusterIp => None,
        ServiceType::NodePort => node_port(pod, service?),
        ServiceType::LoadBalancer => load_balancer(service?),
    }
}

/// The host name of an Ingress; before a controller took it on, only where
/// nobody waits for that.
fn host_name(ingress: &Ingress, is_awaited: bool) -> Option<String> {
    let status = ingress.status.as_ref();
    let balancer = status.and_then(|status| status.load_balancer.as_ref());
    let entries = balancer.and_then(|balancer| balancer.ingress.as_ref());
    let is_taken_on = entries.is_some_and(|entries| !entries.is_empty());
    let rules = ingress.spec.as_ref()?.rules.as_ref()?;
    let host = rules.first()?.host.clone();
    host.filter(|_| is_taken_on || !is_awaited)
}

fn load_balancer(service: &Service) -> Option<String> {
    let balancer = service.status.as_ref()?.load_balancer.as_ref()?;
    let entry = balancer.ingress.as_ref()?.first()?;
    let host = entry.ip.as_ref().or(entry.hostname.as_ref())?;
    let port = service.spec.as_ref()?.ports.as_ref()?.first()?.port;
    Some(joined(host, port))
}

fn node_port(pod: &Pod, service: &Service) -> Option<String> {
    let host = pod.status.as_ref()?.host_ip.as_ref()?;
    let port = service.spec.as_ref()?.ports.as_ref()?.first()?.node_port?;
    Some(joined(host, port))
}

fn joined(host: &str, port: i32) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::manifest::tests::network::exposed;

    fn service(spec: &Value, status: &Value) -> Service {
        serde_json::from_value(json!({ "metadata": {}, "spec": spec, "status": status })).unwrap()
    }

    fn pod() -> Pod {
        serde_json::from_value(json!({ "metadata": {}, "status": { "hostIP": "10.0.0.7" } }))
            .unwrap()
    }

    fn level(kind: &str) -> Launch {
        let service = json!({ "serviceType": kind });
        exposed(json!({ "scope": "any", "service": service }), &[8080])
    }

    #[test]
    fn each_service_type_has_its_kind_of_address() {
        let ports = json!({ "ports": [{ "port": 8080, "nodePort": 30_001 }] });
        let address = |kind, status: Value| {
            let service = service(&ports, &status);
            of(&level(kind), &pod(), Some(&service), None)
        };
        assert_eq!(address("ClusterIP", json!({})), None);
        assert_eq!(address("NodePort", json!({})).unwrap(), "10.0.0.7:30001");
        assert_eq!(address("LoadBalancer", json!({})), None);
        let balancer = |entry: Value| json!({ "loadBalancer": { "ingress": [entry] } });
        let v4 = address("LoadBalancer", balancer(json!({ "ip": "1.2.3.4" })));
        assert_eq!(v4.unwrap(), "1.2.3.4:8080");
        let v6 = address("LoadBalancer", balancer(json!({ "ip": "2001:db8::1" })));
        assert_eq!(v6.unwrap(), "[2001:db8::1]:8080");
        let name = address(
            "LoadBalancer",
            balancer(json!({ "hostname": "lb.example.com" })),
        );
        assert_eq!(name.unwrap(), "lb.example.com:8080");
    }

    #[test]
    fn a_host_name_counts_once_a_controller_took_it_on_or_at_once_if_nobody_waits() {
        let ingress = |status: Value| -> Ingress {
            let spec = json!({ "rules": [{ "host": "a.example.com" }] });
            serde_json::from_value(json!({ "metadata": {}, "spec": spec, "status": status }))
                .unwrap()
        };
        let route = |expects: bool| {
            let route = json!({ "controllerName": "nginx", "template": "{{.SandboxID}}.x" });
            let level = json!({
                "scope": "any", "expectsExternalAddress": expects, "ingress": route,
            });
            exposed(level, &[8080])
        };
        let host = Some("a.example.com".to_owned());
        let fresh = ingress(json!({}));
        assert_eq!(of(&route(true), &pod(), None, Some(&fresh)), None);
        assert_eq!(of(&route(false), &pod(), None, Some(&fresh)), host);
        let taken = ingress(json!({ "loadBalancer": { "ingress": [{ "ip": "1.2.3.4" }] } }));
        assert_eq!(of(&route(true), &pod(), None, Some(&taken)), host);
    }

    #[test]
    fn an_address_is_awaited_only_where_something_is_exposed() {
        let service = json!({ "serviceType": "LoadBalancer" });
        let level = json!({ "scope": "any", "expectsExternalAddress": true, "service": service });
        let mut closed = exposed(level, &[8080]);
        assert!(is_awaited(&closed));
        closed.exposure.as_mut().unwrap().ports.clear();
        assert!(!is_awaited(&closed));
    }
}
