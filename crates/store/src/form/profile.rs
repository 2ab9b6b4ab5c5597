//! The spec of a profile, and labels that people gave.

use std::collections::BTreeMap;

use palisade_model::document::{Node, Reader};
use palisade_model::profile::{ProfileSpec, form};
use serde_json::Value;

use super::{read, read_text_map, refuse_all, text_map};
use crate::error::Fault;

pub(crate) fn write_spec(spec: &ProfileSpec) -> String {
    Value::Object(form::encode(spec)).to_string()
}

pub(crate) fn read_spec(text: &str) -> Result<ProfileSpec, Fault> {
    read("spec of a profile", text, spec)
}

pub(crate) fn write_labels(labels: &BTreeMap<String, String>) -> String {
    text_map(labels).to_string()
}

pub(crate) fn read_labels(text: &str) -> Result<BTreeMap<String, String>, Fault> {
    read("labels of a profile", text, read_text_map)
}

/// A spec within another document.
pub(super) fn spec(reader: &mut Reader, node: &Node<'_>) -> Option<ProfileSpec> {
    match form::decode(node.value()) {
        Ok(spec) => Some(spec),
        Err(violations) => {
            refuse_all(reader, node, violations);
            None
        }
    }
}
