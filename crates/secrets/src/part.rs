//! A field of a secret whose value is a JSON object, as in
//! `{"user": "ada", "password": "…"}`.

use palisade_model::secret::{SecretField, SecretValue};
use serde_json::Value;

/// What a look for a secret came upon.
#[derive(Debug)]
pub(crate) enum Found {
    /// Its value.
    Value(SecretValue),
    /// A field that holds something of this kind, which no variable can hold.
    Unusable(&'static str),
    /// Nothing.
    Nothing,
}

impl From<Option<SecretValue>> for Found {
    fn from(value: Option<SecretValue>) -> Self {
        value.map_or(Self::Nothing, Self::Value)
    }
}

/// The field, if the value is an object that has it; of use if it is a text, a
/// number or a truth value.
pub(crate) fn field(value: &SecretValue, field: &SecretField) -> Found {
    // The parsed copies are not wiped; they live as long as this call.
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(value.reveal()) else {
        return Found::Nothing;
    };
    let text = match fields.remove(field.as_str()) {
        None => return Found::Nothing,
        Some(Value::String(text)) => text,
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(truth)) => truth.to_string(),
        Some(Value::Null) => return Found::Unusable("null"),
        Some(Value::Array(_)) => return Found::Unusable("an array"),
        Some(Value::Object(_)) => return Found::Unusable("an object"),
    };
    // What is in a secret is no longer than the secret.
    SecretValue::new(text.into_bytes()).ok().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_an_object_is_a_text_a_number_or_a_truth_value() {
        let document = br#"{"user": "ada", "port": 5432, "tls": true, "more": {}, "none": null,
            "all": [1]}"#;
        let value = SecretValue::new(document.to_vec()).unwrap();
        let get = |name: &str| match field(&value, &name.parse().unwrap()) {
            Found::Value(value) => value.as_variable().unwrap().to_owned(),
            Found::Unusable(kind) => format!("({kind})"),
            Found::Nothing => String::new(),
        };
        for (name, held) in [
            ("user", "ada"),
            ("port", "5432"),
            ("tls", "true"),
            ("more", "(an object)"),
            ("none", "(null)"),
            ("all", "(an array)"),
            ("other", ""),
        ] {
            assert_eq!(get(name), held, "{name}");
        }
        for text in ["plain", "[1]", "\"user\"", ""] {
            let value = SecretValue::new(text.into()).unwrap();
            let found = field(&value, &"user".parse().unwrap());
            assert!(matches!(found, Found::Nothing), "{text}");
        }
    }
}
