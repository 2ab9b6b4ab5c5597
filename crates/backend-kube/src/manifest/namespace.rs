//! The namespace of a sandbox.

use std::collections::BTreeMap;

use palisade_model::sandbox::LaunchNamespace;
use serde_json::{Map, Value, json};

use crate::naming;
use crate::settings::Settings;

/// The namespace, if it is made when missing.
///
/// Labels and annotations of the profile cannot take the place of our own.
pub fn namespace(namespace: &LaunchNamespace, settings: &Settings) -> Option<Value> {
    let LaunchNamespace {
        name,
        auto_create,
        labels,
        annotations,
    } = namespace;
    if !auto_create {
        return None;
    }
    let texts = |map: &BTreeMap<String, String>| {
        let pairs = map.iter();
        let pairs = pairs.map(|(key, value)| (key.clone(), Value::String(value.clone())));
        pairs.collect::<Map<_, _>>()
    };
    let mut labels = texts(labels);
    labels.insert(naming::MANAGED_BY.to_owned(), naming::MANAGER.into());
    labels.insert(
        naming::INSTANCE.to_owned(),
        settings.instance.clone().into(),
    );
    let mut annotations = texts(annotations);
    annotations.insert(naming::AUTO_CREATED.to_owned(), "true".into());
    Some(json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name.as_str(),
            "labels": labels,
            "annotations": annotations,
        },
    }))
}
