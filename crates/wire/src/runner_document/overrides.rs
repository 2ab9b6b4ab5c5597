//! Changes to the deployment of a runner itself, as documents hold them.

use std::collections::BTreeMap;

use palisade_model::document::{Node as Place, Reader, one_of};
use palisade_model::label::{self, LabelError};
use palisade_model::profile::ResourceDefaults;
use palisade_model::quantity::Quantity;
use palisade_model::runner::{DeploymentOverrides, Scaling, Toleration};
use palisade_model::violation::ViolationKind;

/// The most entries of a map, and the most items of a list.
const ENTRIES_MAX: usize = 64;

/// The longest value of a variable, and the longest argument, in bytes.
const VALUE_BYTES_MAX: usize = 4096;

/// The most replicas of a runner.
const REPLICAS_MAX: u32 = 100;

pub(super) fn read(node: &Place<'_>, reader: &mut Reader) -> Option<DeploymentOverrides> {
    const KEYS: [&str; 10] = [
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
    let fields = reader.fields(node, &KEYS)?;
    let mut map = |key, rule: Rule| {
        let node = fields.get(key);
        node.map(|node| entries(&node, reader, rule))
            .unwrap_or_default()
    };
    let node_selector = map("node_selector", LABEL);
    let annotations = map("annotations", ANNOTATION);
    let labels = map("labels", LABEL);
    let env = map("env", VARIABLE);
    Some(DeploymentOverrides {
        node_selector,
        tolerations: (fields.get("tolerations"))
            .map(|node| tolerations(&node, reader))
            .unwrap_or_default(),
        resources: (fields.get("resources"))
            .and_then(|node| resources(&node, reader))
            .unwrap_or_default(),
        annotations,
        labels,
        env,
        args: (fields.get("args"))
            .map(|node| args(&node, reader))
            .unwrap_or_default(),
        scaling: (fields.get("scaling"))
            .and_then(|node| scaling(&node, reader))
            .unwrap_or_default(),
        cpu_runtime_class: (fields.get("cpu_runtime_class")).and_then(|node| reader.parsed(&node)),
        gpu_runtime_class: (fields.get("gpu_runtime_class")).and_then(|node| reader.parsed(&node)),
    })
}

/// What a key and a value must be.
#[derive(Clone, Copy)]
struct Rule {
    key: fn(&str) -> Result<(), LabelError>,
    value: fn(&str) -> Result<(), LabelError>,
}

const LABEL: Rule = Rule {
    key: label::check_label_key,
    value: label::check_label_value,
};

const ANNOTATION: Rule = Rule {
    key: label::check_annotation_key,
    value: |_| Ok(()),
};

/// The rules for the names of variables are those of keys without a prefix.
const VARIABLE: Rule = Rule {
    key: label::check_label_key,
    value: |_| Ok(()),
};

fn entries(node: &Place<'_>, reader: &mut Reader, rule: Rule) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    for (key, node) in reader.entries(node, ENTRIES_MAX).unwrap_or_default() {
        let Some(value) = short_text(&node, reader) else {
            continue;
        };
        let checked = (rule.key)(key).and_then(|()| (rule.value)(&value));
        if reader.accept(&node, checked).is_some() {
            map.insert(key.to_owned(), value);
        }
    }
    map
}

fn args(node: &Place<'_>, reader: &mut Reader) -> Vec<String> {
    let items = reader.items(node, ENTRIES_MAX).unwrap_or_default();
    items
        .iter()
        .filter_map(|item| short_text(item, reader))
        .collect()
}

fn short_text(node: &Place<'_>, reader: &mut Reader) -> Option<String> {
    let text = reader.text(node)?;
    if text.contains('\0') {
        reader.refuse(node, ViolationKind::Invalid, "must not contain a NUL");
        return None;
    }
    let fits = reader.is_within(node, text.len(), VALUE_BYTES_MAX, "bytes");
    fits.then(|| text.to_owned())
}

fn tolerations(node: &Place<'_>, reader: &mut Reader) -> Vec<Toleration> {
    let items = reader.items(node, ENTRIES_MAX).unwrap_or_default();
    items
        .iter()
        .filter_map(|item| toleration(item, reader))
        .collect()
}

fn toleration(node: &Place<'_>, reader: &mut Reader) -> Option<Toleration> {
    const OPERATORS: [&str; 2] = ["Equal", "Exists"];
    const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    let fields = reader.fields(node, &["key", "operator", "value", "effect"])?;
    let mut text = |key| {
        let node = fields.get(key);
        node.and_then(|node| short_text(&node, reader))
            .unwrap_or_default()
    };
    let toleration = Toleration {
        key: text("key"),
        operator: text("operator"),
        value: text("value"),
        effect: text("effect"),
    };
    let mut refuse = |key, what: String| {
        reader.refuse_at(fields.path_of(key), ViolationKind::Invalid, what);
    };
    if !is_one_of(&toleration.operator, &OPERATORS) {
        refuse("operator", format!("must be {}", one_of(&OPERATORS)));
    }
    if !is_one_of(&toleration.effect, &EFFECTS) {
        refuse("effect", format!("must be {}", one_of(&EFFECTS)));
    }
    if toleration.operator == "Exists" && !toleration.value.is_empty() {
        refuse("value", "must be empty with the operator Exists".to_owned());
    }
    if toleration.key.is_empty() && toleration.operator != "Exists" {
        refuse(
            "key",
            "is required, but with the operator Exists".to_owned(),
        );
    }
    Some(toleration)
}

/// What is left out has the default of Kubernetes.
fn is_one_of(text: &str, words: &[&str]) -> bool {
    text.is_empty() || words.contains(&text)
}

fn resources(node: &Place<'_>, reader: &mut Reader) -> Option<ResourceDefaults> {
    const KEYS: [&str; 4] = ["cpu_request", "memory_request", "cpu_limit", "memory_limit"];
    let fields = reader.fields(node, &KEYS)?;
    let mut quantity = |key| -> Option<Quantity> {
        let node = fields.get(key)?;
        reader.parsed(&node)
    };
    let resources = ResourceDefaults {
        cpu_request: quantity("cpu_request"),
        memory_request: quantity("memory_request"),
        cpu_limit: quantity("cpu_limit"),
        memory_limit: quantity("memory_limit"),
    };
    for (key, request, limit) in [
        ("cpu_request", &resources.cpu_request, &resources.cpu_limit),
        (
            "memory_request",
            &resources.memory_request,
            &resources.memory_limit,
        ),
    ] {
        if let (Some(request), Some(limit)) = (request, limit)
            && request > limit
        {
            let what = format!("must not be larger than the limit, {limit}");
            reader.refuse_at(fields.path_of(key), ViolationKind::Conflict, what);
        }
    }
    Some(resources)
}

fn scaling(node: &Place<'_>, reader: &mut Reader) -> Option<Scaling> {
    const KEYS: [&str; 4] = [
        "replicas",
        "autoscaling_enabled",
        "min_replicas",
        "max_replicas",
    ];
    let fields = reader.fields(node, &KEYS)?;
    let autoscaling = (fields.get("autoscaling_enabled")).and_then(|n| reader.boolean(&n));
    let mut count = |key| {
        let node = fields.get(key)?;
        let count = reader.count(&node)?;
        reader.is_within(&node, count as usize, REPLICAS_MAX as usize, "replicas");
        Some(count)
    };
    let scaling = Scaling {
        replicas: count("replicas"),
        autoscaling_enabled: autoscaling.unwrap_or_default(),
        min_replicas: count("min_replicas"),
        max_replicas: count("max_replicas"),
    };
    if let (Some(min), Some(max)) = (scaling.min_replicas, scaling.max_replicas)
        && min > max
    {
        let what = format!("must not be larger than max_replicas, {max}");
        reader.refuse_at(
            fields.path_of("min_replicas"),
            ViolationKind::Conflict,
            what,
        );
    }
    Some(scaling)
}
