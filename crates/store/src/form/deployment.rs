//! Changes to the deployment of a runner.

use palisade_model::document::{Node, Reader};
use palisade_model::profile::ResourceDefaults;
use palisade_model::runner::{DeploymentOverrides, Scaling, Toleration};
use serde_json::{Value, json};

use super::{optional, parsed, quantity, read_list, read_text, read_text_map, text_map};

const FIELDS: [&str; 10] = [
    "node_selector",
    "tolerations",
    "resources",
    "annotations",
    "labels",
    "env",
    "args",
    "scaling",
    "cpu_runtime_class",
    "gpu_runtime_class",
];

pub(super) fn write_deployment(deployment: &DeploymentOverrides) -> Value {
    let DeploymentOverrides {
        node_selector,
        tolerations,
        resources,
        annotations,
        labels,
        env,
        args,
        scaling,
        cpu_runtime_class,
        gpu_runtime_class,
    } = deployment;
    json!({
        "node_selector": text_map(node_selector),
        "tolerations": tolerations.iter().map(write_toleration).collect::<Vec<_>>(),
        "resources": write_resources(resources),
        "annotations": text_map(annotations),
        "labels": text_map(labels),
        "env": text_map(env),
        "args": args,
        "scaling": write_scaling(scaling),
        "cpu_runtime_class": cpu_runtime_class.as_ref().map(AsRef::<str>::as_ref),
        "gpu_runtime_class": gpu_runtime_class.as_ref().map(AsRef::<str>::as_ref),
    })
}

pub(super) fn read_deployment(reader: &mut Reader, node: &Node<'_>) -> Option<DeploymentOverrides> {
    let fields = reader.fields(node, &FIELDS)?;
    Some(DeploymentOverrides {
        node_selector: read_text_map(reader, &fields.get("node_selector")?)?,
        tolerations: read_list(reader, &fields.get("tolerations")?, read_toleration)?,
        resources: read_resources(reader, &fields.get("resources")?)?,
        annotations: read_text_map(reader, &fields.get("annotations")?)?,
        labels: read_text_map(reader, &fields.get("labels")?)?,
        env: read_text_map(reader, &fields.get("env")?)?,
        args: read_list(reader, &fields.get("args")?, read_text)?,
        scaling: read_scaling(reader, &fields.get("scaling")?)?,
        cpu_runtime_class: optional(reader, &fields, "cpu_runtime_class", parsed)?,
        gpu_runtime_class: optional(reader, &fields, "gpu_runtime_class", parsed)?,
    })
}

fn write_toleration(toleration: &Toleration) -> Value {
    let Toleration {
        key,
        operator,
        value,
        effect,
    } = toleration;
    json!({ "key": key, "operator": operator, "value": value, "effect": effect })
}

fn read_toleration(reader: &mut Reader, node: &Node<'_>) -> Option<Toleration> {
    let fields = reader.fields(node, &["key", "operator", "value", "effect"])?;
    Some(Toleration {
        key: read_text(reader, &fields.get("key")?)?,
        operator: read_text(reader, &fields.get("operator")?)?,
        value: read_text(reader, &fields.get("value")?)?,
        effect: read_text(reader, &fields.get("effect")?)?,
    })
}

fn write_resources(resources: &ResourceDefaults) -> Value {
    let ResourceDefaults {
        cpu_request,
        memory_request,
        cpu_limit,
        memory_limit,
    } = resources;
    json!({
        "cpu_request": quantity(cpu_request.as_ref()),
        "memory_request": quantity(memory_request.as_ref()),
        "cpu_limit": quantity(cpu_limit.as_ref()),
        "memory_limit": quantity(memory_limit.as_ref()),
    })
}

fn read_resources(reader: &mut Reader, node: &Node<'_>) -> Option<ResourceDefaults> {
    let known = ["cpu_request", "memory_request", "cpu_limit", "memory_limit"];
    let fields = reader.fields(node, &known)?;
    Some(ResourceDefaults {
        cpu_request: optional(reader, &fields, "cpu_request", parsed)?,
        memory_request: optional(reader, &fields, "memory_request", parsed)?,
        cpu_limit: optional(reader, &fields, "cpu_limit", parsed)?,
        memory_limit: optional(reader, &fields, "memory_limit", parsed)?,
    })
}

fn write_scaling(scaling: &Scaling) -> Value {
    let Scaling {
        replicas,
        autoscaling_enabled,
        min_replicas,
        max_replicas,
    } = scaling;
    json!({
        "replicas": replicas,
        "autoscaling_enabled": autoscaling_enabled,
        "min_replicas": min_replicas,
        "max_replicas": max_replicas,
    })
}

fn read_scaling(reader: &mut Reader, node: &Node<'_>) -> Option<Scaling> {
    let known = [
        "replicas",
        "autoscaling_enabled",
        "min_replicas",
        "max_replicas",
    ];
    let fields = reader.fields(node, &known)?;
    Some(Scaling {
        replicas: optional(reader, &fields, "replicas", Reader::count)?,
        autoscaling_enabled: reader.boolean(&fields.get("autoscaling_enabled")?)?,
        min_replicas: optional(reader, &fields, "min_replicas", Reader::count)?,
        max_replicas: optional(reader, &fields, "max_replicas", Reader::count)?,
    })
}
