//! Fields from the texts of a path and of a query.
//!
//! A text becomes what its field is: a number, a truth, the name of a value. A
//! list is a key that is given several times. Messages cannot be given so.

use std::collections::BTreeSet;

use palisade_model::violation::{FieldPath, Violation, ViolationKind, did_you_mean};
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _,
};
use serde_json::{Map, Value};

use super::{deserialize, unknown};

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
                .or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(items) = list {
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
    deserialize(descriptor, Value::Object(object))
}

/// Sets the fields that stand in the path.
pub(super) fn apply(
    message: &mut DynamicMessage,
    places: &[(String, String)],
) -> Result<(), Vec<Violation>> {
    let given = from_texts(&message.descriptor(), places)?;
    for (field, value) in given.fields() {
        message.set_field(&field, value.clone());
    }
    Ok(())
}

fn field(descriptor: &MessageDescriptor, key: &str) -> Result<FieldDescriptor, Vec<Violation>> {
    let found = descriptor
        .get_field_by_json_name(key)
        .or_else(|| descriptor.get_field_by_name(key));
    if let Some(field) = found.filter(is_plain) {
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
fn value(field: &FieldDescriptor, text: &str) -> Value {
    let as_is = || Value::String(text.to_owned());
    match field.kind() {
        Kind::Bool => match text {
            "true" | "1" => Value::Bool(true),
            "false" | "0" => Value::Bool(false),
            _ => as_is(),
        },
        Kind::Enum(_) => text.parse::<i32>().map_or_else(|_| as_is(), Value::from),
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
