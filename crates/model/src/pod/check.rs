//! Whether a pod patch has the shape of a pod.
//!
//! A patch that passes can be merged without a further look: every list item
//! has its keys, every directive is one that merging knows, and the main
//! container stays.

use std::collections::BTreeMap;

use serde_json::Value;

use super::MAIN_CONTAINER;
use super::shape::{self, Key, Kind, Shape};
use super::strategic::{DIRECTIVE, Directive, identity};
use crate::document::{Node, Reader, clipped};
use crate::name::DnsLabel;
use crate::quantity::Quantity;
use crate::violation::ViolationKind;

/// The most items of any list in a pod patch.
const ITEMS_MAX: usize = 256;

/// Notes what in the `spec` of a pod patch is not as Kubernetes has it.
pub(crate) fn check_spec(reader: &mut Reader, node: &Node<'_>) {
    check_fields(reader, node, shape::POD_SPEC, Directives::None);
    let Some(entries) = reader.entries(node, usize::MAX) else {
        return;
    };
    for (key, child) in entries {
        match key {
            "containers" => check_main(reader, &child),
            "ephemeralContainers" => reader.refuse(
                &child,
                ViolationKind::Invalid,
                "can only be added to a pod that runs; use initContainers or containers",
            ),
            "restartPolicy" if child.value() != "Never" => reader.refuse(
                &child,
                ViolationKind::Conflict,
                "must be Never or left out, as a sandbox runs once",
            ),
            _ => {}
        }
    }
}

fn check(reader: &mut Reader, node: &Node<'_>, kind: Kind) {
    match kind {
        Kind::Text => {
            reader.text(node);
        }
        Kind::Label => {
            reader.parsed::<DnsLabel>(node);
        }
        Kind::ContainerName => {
            if node.value() != MAIN_CONTAINER {
                reader.parsed::<DnsLabel>(node);
            }
        }
        Kind::Flag => {
            reader.boolean(node);
        }
        Kind::Number if !node.value().is_i64() && !node.value().is_u64() => {
            reader.wrong_type(node, "a whole number");
        }
        Kind::Port if !node.value().is_u64() && !node.value().is_string() => {
            reader.wrong_type(node, "the number or the name of a port");
        }
        Kind::Number | Kind::Port => {}
        Kind::Texts | Kind::GrowingTexts => {
            for item in reader.items(node, ITEMS_MAX).unwrap_or_default() {
                reader.text(&item);
            }
        }
        Kind::Strings => {
            for (_, item) in reader.entries(node, ITEMS_MAX).unwrap_or_default() {
                reader.text(&item);
            }
        }
        Kind::Amounts => {
            for (_, item) in reader.entries(node, ITEMS_MAX).unwrap_or_default() {
                check_amount(reader, &item);
            }
        }
        Kind::Free => refuse_directives(reader, node),
        Kind::Fields(shape) => check_fields(reader, node, shape, Directives::OfAMap),
        Kind::Items(shape) => {
            for item in reader.items(node, ITEMS_MAX).unwrap_or_default() {
                check_fields(reader, &item, shape, Directives::None);
            }
        }
        Kind::Keyed(shape, keys) => check_keyed(reader, node, shape, keys),
    }
}

/// Where a directive may stand.
#[derive(Clone, Copy)]
enum Directives {
    None,
    OfAMap,
}

fn check_fields(reader: &mut Reader, node: &Node<'_>, shape: Shape, directives: Directives) {
    for (key, child) in reader.entries(node, usize::MAX).unwrap_or_default() {
        match (shape::field(shape, key), directives) {
            (Some(kind), _) => check(reader, &child, kind),
            (None, Directives::OfAMap) if key == DIRECTIVE => check_directive(reader, &child),
            (None, _) if key.starts_with('$') => refuse_directive(reader, &child),
            (None, _) => {
                let known = shape.iter().map(|(field, _)| *field).collect::<Vec<_>>();
                reader.unknown_field(&child, key, &known);
            }
        }
    }
}

fn check_keyed(reader: &mut Reader, node: &Node<'_>, shape: Shape, keys: &[Key]) {
    let mut first_use = BTreeMap::new();
    for (index, item) in (reader.items(node, ITEMS_MAX).unwrap_or_default())
        .iter()
        .enumerate()
    {
        check_fields(reader, item, shape, Directives::OfAMap);
        let Some(fields) = item.value().as_object() else {
            continue;
        };
        if fields.len() == 1 && Directive::of(fields) == Some(Directive::Replace) {
            continue;
        }
        let Some(identity) = identity(fields, keys) else {
            let names = keys.iter().filter(|key| key.default.is_none());
            let names = names.map(|key| key.field).collect::<Vec<_>>().join(" and ");
            reader.refuse(
                item,
                ViolationKind::Required,
                format!("needs {names}, by which the items of this list are told apart"),
            );
            continue;
        };
        let first = *first_use.entry(identity).or_insert(index);
        if first != index {
            reader.refuse(
                item,
                ViolationKind::Duplicate,
                format!("is the same as item {first} of the list"),
            );
        }
    }
}

fn check_amount(reader: &mut Reader, node: &Node<'_>) {
    let text = match node.value() {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            reader.wrong_type(node, "a quantity such as 500m or 8Gi");
            return;
        }
    };
    reader.accept(node, text.parse::<Quantity>());
}

fn check_directive(reader: &mut Reader, node: &Node<'_>) {
    reader.word(node, &Directive::ALL, Directive::as_str);
}

fn refuse_directive(reader: &mut Reader, node: &Node<'_>) {
    reader.refuse(
        node,
        ViolationKind::Invalid,
        format!(
            "is not supported here; of the directives only {DIRECTIVE} is, in maps and in lists that merge"
        ),
    );
}

/// Depth is bounded by [`crate::profile::form::POD_DEPTH_MAX`].
fn refuse_directives(reader: &mut Reader, node: &Node<'_>) {
    if node.value().is_array() {
        for item in reader.items(node, ITEMS_MAX).unwrap_or_default() {
            refuse_directives(reader, &item);
        }
    }
    if node.value().is_object() {
        for (key, child) in reader.entries(node, usize::MAX).unwrap_or_default() {
            if key.starts_with('$') {
                refuse_directive(reader, &child);
            }
            refuse_directives(reader, &child);
        }
    }
}

/// The main container cannot be taken away, and gets what was admitted.
fn check_main(reader: &mut Reader, node: &Node<'_>) {
    let items = node.value().as_array().map_or(0, Vec::len);
    if items == 0 || items > ITEMS_MAX {
        return;
    }
    for item in reader.items(node, ITEMS_MAX).unwrap_or_default() {
        let Some(fields) = item.value().as_object() else {
            continue;
        };
        let is_main = fields
            .get("name")
            .is_some_and(|name| name == MAIN_CONTAINER);
        let directive = Directive::of(fields);
        let replaces_all = fields.len() == 1 && directive == Some(Directive::Replace);
        let takes_main =
            is_main && matches!(directive, Some(Directive::Delete | Directive::Replace));
        if replaces_all || takes_main {
            reader.refuse(
                &item,
                ViolationKind::Invalid,
                "would take away the main container of the sandbox; patch its fields instead",
            );
        }
        if is_main {
            check_admitted(reader, &item);
        }
    }
}

/// What placement counted must not be changed behind its back.
fn check_admitted(reader: &mut Reader, main: &Node<'_>) {
    let resources = main.value().get("resources");
    for side in ["requests", "limits"] {
        let amounts = resources
            .and_then(|r| r.get(side))
            .and_then(Value::as_object);
        for name in amounts.into_iter().flatten().map(|(name, _)| name) {
            if name == "cpu" || name == "memory" || name.ends_with("/gpu") {
                let path = main.path().key("resources").key(side).key(name);
                reader.refuse_at(
                    path,
                    ViolationKind::Conflict,
                    format!(
                        "is decided by resource_defaults and the request, which placement counts; set {} there",
                        clipped(name)
                    ),
                );
            }
        }
    }
}
