//! Sealed values of all organizations, for whoever changes the key.

use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, SqlitePool, query};

use super::fault;
use super::row::{Columns as _, limit, page};
use super::secret::{address, texts};
use crate::error::Fault;
use crate::page::{Page, PageRequest};
use crate::secret::{Sealed, SealedPlace, SealedSecret};

const LIST: &str = "SELECT secrets.*, secret_stores.organization FROM secrets
    JOIN secret_stores ON secret_stores.id = secrets.store
    WHERE (store, path, field) > ($1, $2, $3)
    ORDER BY store, path, field LIMIT $4";
const REPLACE: &str = "UPDATE secrets SET key_id = $6, sealed = $7
    WHERE store = $1 AND path = $2 AND field = $3 AND key_id = $4 AND sealed = $5";

pub(super) async fn list(
    readers: &SqlitePool,
    request: PageRequest<SealedPlace>,
) -> Result<Page<SealedSecret, SealedPlace>, Fault> {
    let PageRequest { after, size } = request;
    let store = after.as_ref().map(|place| place.store.to_string());
    let (path, field) = texts(after.as_ref().map(|place| &place.address));
    let rows = query(LIST)
        .bind(store.unwrap_or_default())
        .bind(path)
        .bind(field)
        .bind(limit(size));
    let rows = rows.fetch_all(readers).await.map_err(fault)?;
    page(&rows, size, secret, |secret| secret.place.clone())
}

pub(super) async fn replace(
    connection: &mut SqliteConnection,
    place: &SealedPlace,
    before: &Sealed,
    after: Sealed,
) -> Result<bool, Fault> {
    let replace = query(REPLACE)
        .bind(place.store.to_string())
        .bind(place.address.path.as_str().to_owned())
        .bind(place.address.field_text().to_owned())
        .bind(before.key.clone())
        .bind(before.bytes.clone())
        .bind(after.key)
        .bind(after.bytes);
    let done = replace.execute(connection).await.map_err(fault)?;
    Ok(done.rows_affected() > 0)
}

pub(super) fn sealed(row: &SqliteRow) -> Result<Sealed, Fault> {
    Ok(Sealed {
        key: row.text("key_id")?,
        bytes: row.bytes("sealed")?,
    })
}

fn secret(row: &SqliteRow) -> Result<SealedSecret, Fault> {
    Ok(SealedSecret {
        organization: row.parsed("organization")?,
        place: SealedPlace {
            store: row.parsed("store")?,
            address: address(row)?,
        },
        sealed: sealed(row)?,
    })
}
