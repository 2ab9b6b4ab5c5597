//! How secrets and their stores look to people and to programs.

use std::collections::BTreeMap;

use palisade_client::SecretStore;
use palisade_wire::rest::StoredSecret;
use serde_json::json;

use super::{json as answer_of, minute, or_dash, printable};
use crate::listing::Item;
use crate::out::Column;

/// What a table of secrets shows.
pub(crate) const SECRETS: [Column; 4] = [
    Column::name("NAME", 9),
    Column::whole("FIELD", 7),
    Column::whole("UPDATED", 8),
    Column::whole("CREATED", 5),
];

/// What a table of stores shows.
pub(crate) const STORES: [Column; 4] = [
    Column::name("STORE", 9),
    Column::whole("PROVIDER", 8),
    Column::whole("UPDATED", 7),
    Column::whole("CREATED", 5),
];

/// A secret without its value.
pub(crate) fn secret(told: &StoredSecret) -> Item {
    let answer = answer_of(told);
    Item {
        name: told.path.clone(),
        document: answer.clone(),
        answer,
        labels: BTreeMap::from([("field".to_owned(), told.field.clone())]),
        cells: vec![
            printable(&told.path),
            or_dash(&printable(&told.field)),
            minute(&told.updated_at),
            minute(&told.created_at),
        ],
    }
}

/// A store.
pub(crate) fn store(told: &SecretStore) -> Item {
    let SecretStore {
        id,
        name,
        provider_type,
        created_at,
        updated_at,
    } = told;
    let provider = provider_type.trim_start_matches("SECRET_STORE_PROVIDER_TYPE_");
    let provider = provider.to_lowercase().replace('_', "-");
    let answer = json!({
        "id": id,
        "name": name,
        "providerType": provider_type,
        "createdAt": created_at,
        "updatedAt": updated_at,
    });
    Item {
        name: name.clone(),
        document: answer.clone(),
        answer,
        labels: BTreeMap::from([("provider".to_owned(), provider.clone())]),
        cells: vec![
            printable(name),
            printable(&provider),
            minute(updated_at),
            minute(created_at),
        ],
    }
}
