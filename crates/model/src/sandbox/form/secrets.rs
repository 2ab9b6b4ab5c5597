//! The secrets of a launch as a document: names, and never a value.

use serde_json::{Value, json};

use crate::document::{Node, Reader};
use crate::secret::{SecretAddress, SecretSource, SecretVariable};
use crate::violation::ViolationKind;

pub(super) fn encode(secrets: &[SecretVariable]) -> Value {
    secrets.iter().map(encode_one).collect()
}

fn encode_one(secret: &SecretVariable) -> Value {
    let SecretVariable { env_var, source } = secret;
    match source {
        SecretSource::Store { store, address } => json!({
            "env_var": env_var,
            "store": store.as_str(),
            "path": address.path.as_str(),
            "field": address.field_text(),
        }),
        SecretSource::Runner { name, key } => json!({
            "env_var": env_var,
            "secret_name": name.as_str(),
            "secret_key": key.as_str(),
        }),
    }
}

pub(super) fn read(reader: &mut Reader, node: &Node<'_>) -> Option<SecretVariable> {
    let known = [
        "env_var",
        "store",
        "path",
        "field",
        "secret_name",
        "secret_key",
    ];
    let fields = reader.fields(node, &known)?;
    let env_var = reader.text(&fields.get("env_var")?)?.to_owned();
    let source = match (fields.get("store"), fields.get("secret_name")) {
        (Some(store), None) => {
            let field = fields.get("field")?;
            SecretSource::Store {
                store: reader.parsed(&store)?,
                address: SecretAddress {
                    path: reader.parsed(&fields.get("path")?)?,
                    field: match reader.text(&field)? {
                        "" => None,
                        _ => Some(reader.parsed(&field)?),
                    },
                },
            }
        }
        (None, Some(name)) => SecretSource::Runner {
            name: reader.parsed(&name)?,
            key: reader.parsed(&fields.get("secret_key")?)?,
        },
        (None, None) | (Some(_), Some(_)) => {
            let what = "must come from either a store or the runner";
            reader.refuse(node, ViolationKind::Conflict, what);
            return None;
        }
    };
    Some(SecretVariable { env_var, source })
}
