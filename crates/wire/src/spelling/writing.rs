//! From the canonical spelling to that of JSON on the wire.

use serde_json::{Map, Value};

use super::Shape;

/// The value as JSON on the wire spells it.
///
/// What the shape does not know is kept as it is.
pub fn to_wire(value: &Value, shape: &Shape) -> Value {
    match (shape, value) {
        (Shape::Object(fields), Value::Object(map)) => {
            let mut wire = Map::new();
            for (key, value) in map {
                let Some(field) = fields.iter().find(|field| field.name == key) else {
                    wire.insert(key.clone(), value.clone());
                    continue;
                };
                let spelled = to_wire(value, &field.shape);
                let spelled = if field.is_text_on_wire && !value.is_null() {
                    Value::String(spelled.to_string())
                } else {
                    spelled
                };
                wire.insert(field.wire.to_owned(), spelled);
            }
            Value::Object(wire)
        }
        (Shape::Map(below), Value::Object(map)) => map
            .iter()
            .map(|(key, value)| (key.clone(), to_wire(value, below)))
            .collect(),
        (Shape::List(below), Value::Array(items)) => {
            items.iter().map(|item| to_wire(item, below)).collect()
        }
        (Shape::Word(words), Value::String(text)) => words
            .iter()
            .find(|(name, _)| name == text)
            .map_or_else(|| value.clone(), |(_, wire)| Value::from(*wire)),
        (
            Shape::Leaf
            | Shape::Quantity
            | Shape::Word(_)
            | Shape::Open
            | Shape::Map(_)
            | Shape::List(_)
            | Shape::Object(_),
            _,
        ) => value.clone(),
    }
}
