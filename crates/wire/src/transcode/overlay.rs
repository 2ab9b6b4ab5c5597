//! Fields from the texts of a path and of a query.
//!
//! A text becomes what its field is: a number, a truth, the name of a value. A
//! list is a key that is given several times. Messages cannot be given so. What
//! stands in two places of a request says the same in both, or is refused.

use std::collections::BTreeSet;

use palisade_model::violation::{FieldPath, Violation, ViolationKind, did_you_mean};
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value,
};
use serde_json::{Map, Value as Json};

use super::{deserialize, field_of, unknown};

/// How much of a value is shown to those who gave two.
const SHOWN_CHARS_MAX: usize = 48;

/// A message whose fields are these texts.
pub(super) fn from_texts(
    descriptor: &MessageDescriptor,
    texts: &[(String, String)],
) -> Result<DynamicMessage, Vec<Violation>> {
    let mut object = Map::new();
    let mut given = BTreeSet::new();
    for (key, text) in texts {
        let field = field(descriptor, key)?;
        let value = value(&field, text);
        // Under one name, however the caller spelled it.
        let name = field.name().to_owned();
        let is_first = given.insert(name.clone());
        if field.is_list() {
            let list = object
                .entry(name)
                .or_insert_with(|| Json::Array(Vec::new()));
            if let Json::Array(items) = list {
                items.push(value);
            }
        } else if is_first {
            object.insert(name, value);
        } else {
            let path = FieldPath::root().key(key.as_str());
            let twice = Violation::new(path, ViolationKind::Duplicate, "is given twice");
            return Err(vec![twice]);
        }
    }
    deserialize(descriptor, Json::Object(object))
}

/// Sets the fields that stand in the path. What else the message has is from
/// `elsewhere`, and may say the same, but nothing else.
pub(super) fn apply(
    message: &mut DynamicMessage,
    places: &[(String, String)],
    elsewhere: &str,
) -> Result<(), Vec<Violation>> {
    let given = from_texts(&message.descriptor(), places)?;
    let mut wrong = Vec::new();
    for (field, value) in given.fields() {
        let other = message.get_field(&field);
        if message.has_field(&field) && *other != *value {
            wrong.push(contradicted(&field, (value, &other), elsewhere));
        }
        message.set_field(&field, value.clone());
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn contradicted(
    field: &FieldDescriptor,
    (in_path, other): (&Value, &Value),
    elsewhere: &str,
) -> Violation {
    let description = format!(
        "is {} in the path and {} in the {elsewhere}; leave it out of the {elsewhere}, or say the same in both",
        shown(in_path),
        shown(other),
    );
    let path = FieldPath::root().key(field.name());
    Violation::new(path, ViolationKind::Conflict, description)
}

/// All that stands in paths is text.
fn shown(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    let beginning: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    let more = if beginning.len() < text.len() {
        "…"
    } else {
        ""
    };
    format!("{:?}", beginning + more)
}

fn field(descriptor: &MessageDescriptor, key: &str) -> Result<FieldDescriptor, Vec<Violation>> {
    if let Some(field) = field_of(descriptor, key).filter(is_plain) {
        return Ok(field);
    }
    let known: Vec<FieldDescriptor> = descriptor.fields().filter(is_plain).collect();
    let names = known.iter().map(FieldDescriptor::json_name);
    let hint = did_you_mean(key, names).map(|name| format!("; did you mean {name}?"));
    let description = format!("is no parameter of this call{}", hint.unwrap_or_default());
    Err(unknown(key, &description))
}

fn is_plain(field: &FieldDescriptor) -> bool {
    !field.is_map() && !matches!(field.kind(), Kind::Message(_))
}

/// What does not fit is left as it is, for the reading to find.
fn value(field: &FieldDescriptor, text: &str) -> Json {
    let as_is = || Json::String(text.to_owned());
    match field.kind() {
        Kind::Bool => match text {
            "true" | "1" => Json::Bool(true),
            "false" | "0" => Json::Bool(false),
            _ => as_is(),
        },
        Kind::Enum(_) => text.parse::<i32>().map_or_else(|_| as_is(), Json::from),
        Kind::Double
        | Kind::Float
        | Kind::Int32
        | Kind::Int64
        | Kind::Uint32
        | Kind::Uint64
        | Kind::Sint32
        | Kind::Sint64
        | Kind::Fixed32
        | Kind::Fixed64
        | Kind::Sfixed32
        | Kind::Sfixed64
        | Kind::String
        | Kind::Bytes
        | Kind::Message(_) => as_is(),
    }
}
