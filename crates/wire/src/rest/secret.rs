//! Secrets of a store, without their values on the way out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use palisade_model::document::{Fields, Node, Reader};
use palisade_model::refusal::Refusal;
use palisade_model::secret::{SecretAddress, SecretValue};
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A secret without its value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StoredSecret {
    /// Which secret of the store.
    pub path: String,
    /// The field, if the value is only that of a field.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// When there was first a value.
    pub created_at: String,
    /// When the value last changed.
    pub updated_at: String,
}

/// Part of the secrets of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ListSecretsAnswer {
    /// In the order of paths and fields.
    pub secrets: Vec<StoredSecret>,
    /// Where to go on; empty at the end.
    pub next_page_token: String,
}

/// A value that is put into a store; it is written nowhere from here.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "its schema is published; it is read as a document"
)]
pub struct PutSecretBody {
    /// Which secret of the store, such as `HF_TOKEN`.
    path: String,
    /// A field of the secret, if it has several.
    field: Option<String>,
    /// The value as text; either this or the next.
    value: Option<String>,
    /// The value as base64.
    value_base64: Option<String>,
}

impl std::fmt::Debug for PutSecretBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PutSecretBody")
    }
}

/// Reads what is to be put into a store.
pub fn read_secret(document: &Value) -> Result<(SecretAddress, SecretValue), Refusal> {
    let mut reader = Reader::default();
    let root = Node::root(document);
    let known = ["path", "field", "value", "valueBase64"];
    let read = reader.fields(&root, &known).and_then(|fields| {
        let address = read_address(&mut reader, &root, &fields);
        let value = read_value(&mut reader, &root, &fields);
        Some((address?, value?))
    });
    let violations = reader.finish();
    match read {
        Some(read) if violations.is_empty() => Ok(read),
        Some(_) | None => Err(Refusal::invalid(violations)),
    }
}

fn read_address(
    reader: &mut Reader,
    root: &Node<'_>,
    fields: &Fields<'_>,
) -> Option<SecretAddress> {
    let Some(path) = fields.get("path") else {
        let what = "is needed: it is the name of the secret";
        reader.refuse_at(root.path().key("path"), ViolationKind::Required, what);
        return None;
    };
    let path = reader.parsed(&path);
    let field = match fields.get("field") {
        Some(node) if node.value().as_str() != Some("") => Some(reader.parsed(&node)?),
        Some(_) | None => None,
    };
    Some(SecretAddress { path: path?, field })
}

fn read_value(reader: &mut Reader, root: &Node<'_>, fields: &Fields<'_>) -> Option<SecretValue> {
    let (node, bytes) = match (fields.get("value"), fields.get("valueBase64")) {
        (Some(node), None) => {
            let bytes = reader.text(&node)?.as_bytes().to_vec();
            (node, bytes)
        }
        (None, Some(node)) => {
            let decoded = STANDARD.decode(reader.text(&node)?);
            // What is wrong with it is not told in detail: it is a secret.
            let decoded = decoded.map_err(|_| "is not base64");
            let bytes = reader.accept(&node, decoded)?;
            (node, bytes)
        }
        (Some(_), Some(_)) | (None, None) => {
            let what = "must be given, either as text or as valueBase64";
            reader.refuse_at(root.path().key("value"), ViolationKind::Required, what);
            return None;
        }
    };
    reader.accept(&node, SecretValue::new(bytes))
}

/// Which secret is meant, by its path and its field.
pub fn secret_address(path: &str, field: &str) -> Result<SecretAddress, Refusal> {
    let wrong = |name: &str, error: palisade_model::secret::SecretNameError| {
        let path = FieldPath::from([name]);
        Refusal::invalid(vec![Violation::new(
            path,
            ViolationKind::Invalid,
            error.to_string(),
        )])
    };
    Ok(SecretAddress {
        path: path.parse().map_err(|error| wrong("path", error))?,
        field: match field {
            "" => None,
            field => Some(field.parse().map_err(|error| wrong("field", error))?),
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_text_or_base64() {
        let (address, value) = read_secret(&json!({ "path": "a/b", "value": "x\n" })).unwrap();
        assert_eq!(
            (address.to_string().as_str(), value.reveal()),
            ("a/b", &b"x\n"[..])
        );
        let document = json!({ "path": "a", "field": "f", "valueBase64": "AP8=" });
        let (address, value) = read_secret(&document).unwrap();
        assert_eq!(address.field_text(), "f");
        assert_eq!(value.reveal(), b"\0\xff");
    }

    #[test]
    fn what_is_wrong_is_named_and_no_value_is_told() {
        let long = "hunter2".repeat(10_000);
        for (document, field) in [
            (json!({ "value": "hunter2" }), "path"),
            (json!({ "path": "../x", "value": "hunter2" }), "path"),
            (
                json!({ "path": "a", "field": "/", "value": "hunter2" }),
                "field",
            ),
            (json!({ "path": "a" }), "value"),
            (
                json!({ "path": "a", "value": "hunter2", "valueBase64": "" }),
                "value",
            ),
            (
                json!({ "path": "a", "valueBase64": "hunter2!" }),
                "valueBase64",
            ),
            (json!({ "path": "a", "value": 7 }), "value"),
            (json!({ "path": "a", "value": long }), "value"),
            (json!({ "path": "a", "secret": "hunter2" }), "secret"),
        ] {
            let refusal = read_secret(&document).unwrap_err();
            assert_eq!(refusal.violations[0].path.to_string(), field);
            assert!(!format!("{refusal:?}").contains("hunter2"), "{refusal:?}");
        }
    }
}
