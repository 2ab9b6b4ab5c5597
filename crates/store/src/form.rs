//! The JSON that a store keeps of what has no columns of its own.
//!
//! The same for every database. Reading is strict: a field that is not known
//! may be a guardrail of a newer version, and makes the whole record unreadable
//! rather than weaker. Each pair of functions is inverse.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use palisade_model::document::{Fields, Node, Reader};
use palisade_model::quantity::Quantity;
use palisade_model::violation::{FieldPath, Step, Violation};
use serde_json::{Map, Value, json};

use crate::error::Fault;

mod bindings;
mod deployment;
mod profile;
mod provenance;
mod quota;
mod sandbox;
mod settings;
mod status;
#[cfg(test)]
mod tests;

pub(crate) use bindings::{read_bindings, write_bindings};
pub(crate) use profile::{read_labels, read_spec, write_labels, write_spec};
pub(crate) use quota::{read_quota, write_quota};
pub(crate) use sandbox::{Record, read_record, write_record};
pub(crate) use settings::{read_settings, write_settings};
pub(crate) use status::{read_status, write_status};

/// The most entries of a list or a map. What is written keeps far tighter
/// bounds; this one only holds a damaged record within reason.
const ENTRIES_MAX: usize = 65_536;

/// A record cannot be read.
///
/// Names the field and not what stands in it, which may be anybody's secret.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {field:?} cannot be read")]
pub(crate) struct Unreadable {
    what: &'static str,
    field: String,
}

impl Unreadable {
    pub(crate) fn new(what: &'static str, field: impl Into<String>) -> Self {
        let field = field.into();
        Self { what, field }
    }
}

impl From<Unreadable> for Fault {
    fn from(unreadable: Unreadable) -> Self {
        Self::Damaged(Arc::new(unreadable))
    }
}

/// Reads a document with `reading`, which returns `None` only for a damaged one.
fn read<T>(
    what: &'static str,
    text: &str,
    reading: impl FnOnce(&mut Reader, &Node<'_>) -> Option<T>,
) -> Result<T, Fault> {
    let document: Value =
        serde_json::from_str(text).map_err(|_| Unreadable::new(what, String::new()))?;
    let mut reader = Reader::default();
    let read = reading(&mut reader, &Node::root(&document));
    let violations = reader.finish();
    match read {
        Some(read) if violations.is_empty() => Ok(read),
        Some(_) | None => Err(unreadable(what, &violations).into()),
    }
}

fn unreadable(what: &'static str, violations: &[Violation]) -> Unreadable {
    let path = violations.first().map(|violation| &violation.path);
    // Deeper steps can be keys that a person chose.
    let field = match path.and_then(|path| path.steps().first()) {
        Some(Step::Key(key)) => key.clone(),
        Some(Step::Index(index)) => index.to_string(),
        None => String::new(),
    };
    Unreadable::new(what, field)
}

/// Adds what another reading found at `node` to what this one found.
fn refuse_all(reader: &mut Reader, node: &Node<'_>, violations: Vec<Violation>) {
    for violation in violations {
        let path: FieldPath = node.path().join(&violation.path);
        reader.refuse_at(path, violation.kind, violation.description);
    }
}

fn text_map(map: &BTreeMap<String, String>) -> Value {
    let entries = map.iter().map(|(key, value)| (key.clone(), json!(value)));
    Value::Object(entries.collect::<Map<_, _>>())
}

fn read_text_map(reader: &mut Reader, node: &Node<'_>) -> Option<BTreeMap<String, String>> {
    let entries = reader.entries(node, ENTRIES_MAX)?;
    entries
        .iter()
        .map(|(key, value)| Some(((*key).to_owned(), reader.text(value)?.to_owned())))
        .collect()
}

fn read_list<T>(
    reader: &mut Reader,
    node: &Node<'_>,
    mut read: impl FnMut(&mut Reader, &Node<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let items = reader.items(node, ENTRIES_MAX)?;
    items.iter().map(|item| read(reader, item)).collect()
}

/// A field that may be absent: `Some(None)` if it is, `None` if it is damaged.
#[expect(
    clippy::option_option,
    reason = "the outer one ends a reading, like that of any other field"
)]
fn optional<'a, T>(
    reader: &mut Reader,
    fields: &Fields<'a>,
    key: &'a str,
    read: impl FnOnce(&mut Reader, &Node<'_>) -> Option<T>,
) -> Option<Option<T>> {
    match fields.get(key) {
        Some(node) => read(reader, &node).map(Some),
        None => Some(None),
    }
}

fn quantity(quantity: Option<&Quantity>) -> Value {
    json!(quantity.map(Quantity::as_str))
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(reader: &mut Reader, node: &Node<'_>) -> Option<T> {
    reader.parsed(node)
}

fn read_text(reader: &mut Reader, node: &Node<'_>) -> Option<String> {
    reader.text(node).map(str::to_owned)
}

fn read_u64(reader: &mut Reader, node: &Node<'_>) -> Option<u64> {
    let number = node.value().as_u64();
    if number.is_none() {
        reader.wrong_type(node, "a whole number");
    }
    number
}

fn read_i64(reader: &mut Reader, node: &Node<'_>) -> Option<i64> {
    let number = node.value().as_i64();
    if number.is_none() {
        reader.wrong_type(node, "a whole number");
    }
    number
}
