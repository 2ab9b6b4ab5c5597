//! A field of a secret whose value is a JSON object, as in
//! `{"user": "ada", "password": "…"}`.

use palisade_model::secret::{SecretField, SecretValue};
use serde_json::Value;

/// The field, if the value is an object that has it and it is a text, a number
/// or a truth value.
pub(crate) fn field(value: &SecretValue, field: &SecretField) -> Option<SecretValue> {
    // The parsed copies are not wiped; they live as long as this call.
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(value.reveal()) else {
        return None;
    };
    let text = match fields.remove(field.as_str())? {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    SecretValue::new(text.into_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_an_object_is_a_text_a_number_or_a_truth_value() {
        let document = br#"{"user": "ada", "port": 5432, "tls": true, "more": {}, "none": null}"#;
        let value = SecretValue::new(document.to_vec()).unwrap();
        let get = |name: &str| {
            let found = field(&value, &name.parse().unwrap());
            found.map(|value| value.as_variable().unwrap().to_owned())
        };
        assert_eq!(get("user").as_deref(), Some("ada"));
        assert_eq!(get("port").as_deref(), Some("5432"));
        assert_eq!(get("tls").as_deref(), Some("true"));
        for absent in ["more", "none", "other"] {
            assert_eq!(get(absent), None, "{absent}");
        }
        for text in ["plain", "[1]", "\"user\"", ""] {
            let value = SecretValue::new(text.into()).unwrap();
            assert!(field(&value, &"user".parse().unwrap()).is_none(), "{text}");
        }
    }
}
