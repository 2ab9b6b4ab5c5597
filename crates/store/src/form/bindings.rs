//! The profiles that a runner offers, as one list.

use palisade_model::document::{Node, Reader};
use palisade_model::runner::{Binding, Bindings, SpecPatch};
use palisade_model::violation::ViolationKind;
use serde_json::{Map, Value, json};

use super::{optional, parsed, read, read_list};
use crate::error::Fault;

pub(crate) fn write_bindings(bindings: &Bindings) -> String {
    let list = bindings.as_slice().iter().map(write_binding);
    Value::Array(list.collect()).to_string()
}

pub(crate) fn read_bindings(text: &str) -> Result<Bindings, Fault> {
    read("bindings of a runner", text, |reader, root| {
        let list = read_list(reader, root, read_binding)?;
        let bindings = Bindings::new(list).ok();
        if bindings.is_none() {
            reader.refuse(root, ViolationKind::Invalid, "is not a list of bindings");
        }
        bindings
    })
}

fn write_binding(binding: &Binding) -> Value {
    let Binding {
        profile,
        alias,
        is_default,
        overrides,
    } = binding;
    json!({
        "profile": profile.to_string(),
        "alias": alias.as_ref().map(AsRef::<str>::as_ref),
        "is_default": is_default,
        "overrides": overrides.as_ref().map(SpecPatch::as_map),
    })
}

fn read_binding(reader: &mut Reader, node: &Node<'_>) -> Option<Binding> {
    let known = ["profile", "alias", "is_default", "overrides"];
    let fields = reader.fields(node, &known)?;
    Some(Binding {
        profile: reader.parsed(&fields.get("profile")?)?,
        alias: optional(reader, &fields, "alias", parsed)?,
        is_default: reader.boolean(&fields.get("is_default")?)?,
        overrides: optional(reader, &fields, "overrides", read_patch)?,
    })
}

/// A patch as it was checked when it was written. What a newer version of the
/// structured form has more is found when it is applied.
fn read_patch(reader: &mut Reader, node: &Node<'_>) -> Option<SpecPatch> {
    let map: Option<&Map<String, Value>> = node.value().as_object();
    if map.is_none() {
        reader.wrong_type(node, "a map");
    }
    map.cloned().map(SpecPatch::new)
}
