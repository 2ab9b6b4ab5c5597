//! From a spec to its structured form.
//!
//! Every struct is taken apart completely, so that a field added to one is a
//! compile error here. What is absent is left out.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Object;
use crate::profile::{
    Annotation, Egress, EgressMode, Exposure, IngressRoute, NamespaceSpec, NamespaceStrategy,
    NetworkSpec, ProfileSpec, ResourceCeiling, ResourceDefaults, ServiceSpec,
};

/// The structured form of a spec.
pub fn encode(spec: &ProfileSpec) -> Map<String, Value> {
    let ProfileSpec {
        container_image,
        runtime_class,
        resource_defaults,
        resource_ceiling,
        instance_types,
        node_selector,
        tags,
        namespace,
        network,
        pod,
    } = spec;
    object([
        ("container_image", text(container_image.as_ref())),
        ("runtime_class", text(runtime_class.as_ref())),
        ("resource_defaults", filled(defaults(resource_defaults))),
        ("resource_ceiling", filled(ceiling(resource_ceiling))),
        ("instance_types", instance_types.as_deref().map(texts)),
        ("node_selector", strings(node_selector)),
        ("tags", tags.as_deref().map(texts)),
        ("namespace", filled(namespace_block(namespace))),
        ("network", network.as_ref().map(network_block)),
        (
            "pod",
            pod.as_ref().map(|pod| Value::Object(pod.as_map().clone())),
        ),
    ])
}

fn defaults(resources: &ResourceDefaults) -> Object {
    let ResourceDefaults {
        cpu_request,
        memory_request,
        cpu_limit,
        memory_limit,
    } = resources;
    object([
        ("cpuRequest", text(cpu_request.as_ref())),
        ("memoryRequest", text(memory_request.as_ref())),
        ("cpuLimit", text(cpu_limit.as_ref())),
        ("memoryLimit", text(memory_limit.as_ref())),
    ])
}

fn ceiling(ceiling: &ResourceCeiling) -> Object {
    let ResourceCeiling { cpu, memory, gpu } = ceiling;
    object([
        ("cpu", text(cpu.as_ref())),
        ("memory", text(memory.as_ref())),
        ("gpu", gpu.map(Value::from)),
    ])
}

fn namespace_block(namespace: &NamespaceSpec) -> Object {
    let NamespaceSpec {
        strategy,
        prefix,
        auto_create,
        labels,
        annotations,
    } = namespace;
    let static_namespace = strategy.as_ref().and_then(|strategy| match strategy {
        NamespaceStrategy::Static(namespace) => Some(namespace.name()),
        NamespaceStrategy::PerUser | NamespaceStrategy::PerOrg | NamespaceStrategy::PerProfile => {
            None
        }
    });
    object([
        (
            "strategy",
            strategy
                .as_ref()
                .map(|strategy| strategy.kind().as_str().into()),
        ),
        ("namespacePrefix", text(prefix.as_ref())),
        ("staticNamespace", text(static_namespace)),
        ("autoCreate", auto_create.map(Value::Bool)),
        ("labels", strings(labels)),
        ("annotations", strings(annotations)),
    ])
}

fn network_block(network: &NetworkSpec) -> Value {
    let NetworkSpec { egress, ingress } = network;
    let ingress = ingress
        .iter()
        .map(|(name, level)| (name.to_string(), exposure(level)))
        .collect::<Object>();
    Value::Object(object([
        ("egress", egress.as_ref().map(egress_block)),
        ("ingress", filled(ingress)),
    ]))
}

fn egress_block(egress: &Egress) -> Value {
    let modes = egress
        .modes()
        .iter()
        .map(|(name, mode)| (name.to_string(), egress_mode(mode)))
        .collect::<Object>();
    Value::Object(object([
        ("default", text(Some(egress.default_name()))),
        ("modes", Some(Value::Object(modes))),
    ]))
}

fn egress_mode(mode: &EgressMode) -> Value {
    let cidrs = match mode {
        EgressMode::Allowlist(cidrs) => Some(texts(cidrs)),
        EgressMode::None
        | EgressMode::Internet
        | EgressMode::User
        | EgressMode::Org
        | EgressMode::Profile => None,
    };
    Value::Object(object([
        ("type", Some(mode.kind().as_str().into())),
        ("cidrs", cidrs),
    ]))
}

fn exposure(exposure: &Exposure) -> Value {
    let Exposure {
        scope,
        expects_external_address,
        service,
        route,
    } = exposure;
    Value::Object(object([
        ("scope", Some(scope.as_str().into())),
        (
            "expectsExternalAddress",
            expects_external_address.then_some(Value::Bool(true)),
        ),
        ("service", Some(service_block(service))),
        ("ingress", route.as_ref().map(route_block)),
    ]))
}

fn service_block(service: &ServiceSpec) -> Value {
    let ServiceSpec {
        service_type,
        selector_annotation,
        dns_annotation,
    } = service;
    Value::Object(object([
        ("serviceType", Some(service_type.as_str().into())),
        (
            "serviceSelectorAnnotation",
            selector_annotation.as_ref().map(annotation),
        ),
        ("dnsAnnotation", dns_annotation.as_ref().map(annotation)),
    ]))
}

fn annotation(annotation: &Annotation) -> Value {
    Value::Object(object([
        ("key", Some(annotation.key().into())),
        ("value", Some(annotation.value().into())),
    ]))
}

fn route_block(route: &IngressRoute) -> Value {
    let IngressRoute {
        controller_name,
        template,
    } = route;
    Value::Object(object([
        ("controllerName", text(Some(controller_name))),
        ("template", text(Some(template))),
    ]))
}

fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Object {
    fields
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}

fn filled(object: Object) -> Option<Value> {
    (!object.is_empty()).then_some(Value::Object(object))
}

fn text<T: ToString>(value: Option<&T>) -> Option<Value> {
    value.map(|value| Value::String(value.to_string()))
}

fn texts<T: ToString>(list: &[T]) -> Value {
    list.iter()
        .map(|item| Value::String(item.to_string()))
        .collect()
}

fn strings(map: &BTreeMap<String, String>) -> Option<Value> {
    filled(
        map.iter()
            .map(|(key, value)| (key.clone(), Value::String(value.clone())))
            .collect(),
    )
}
