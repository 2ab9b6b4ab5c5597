//! Secret stores and their secrets, for the organization that has them.

use async_trait::async_trait;
use palisade_model::clock::Timestamp;
use palisade_model::id::SecretStoreId;
use palisade_model::name::OrganizationId;
use palisade_model::secret::{SecretAddress, SecretStoreName};
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, query, query_scalar};

use super::row::{Columns as _, limit, page, parsed};
use super::secret_seal::{self, sealed};
use super::transaction::Write;
use super::{SqliteStore, fault, organization};
use crate::error::{Fault, GetError};
use crate::page::{Page, PageRequest};
use crate::secret::{
    CreateSecretStoreError, PutSecretError, Sealed, SealedPlace, SealedSecret, SecretHead,
    SecretRecord, SecretStoreRecord, SecretStores,
};

const COUNT_STORES: &str = "SELECT count(*) FROM secret_stores WHERE organization = $1";
const WITH_ID: &str = "SELECT 1 FROM secret_stores WHERE id = $1";
const INSERT_STORE: &str = "INSERT INTO secret_stores (id, organization, name, created_at,
        updated_at)
    VALUES ($1, $2, $3, $4, $5)";
const GET_STORE: &str = "SELECT * FROM secret_stores WHERE organization = $1 AND name = $2";
const LIST_STORES: &str = "SELECT * FROM secret_stores WHERE organization = $1 AND name > $2
    ORDER BY name LIMIT $3";
const EMPTY_STORE: &str = "DELETE FROM secrets WHERE store IN
    (SELECT id FROM secret_stores WHERE organization = $1 AND name = $2)";
const DELETE_STORE: &str = "DELETE FROM secret_stores WHERE organization = $1 AND name = $2";
/// Also tells whether there is such a store.
const TOUCH: &str = "UPDATE secret_stores SET updated_at = $3 WHERE organization = $1 AND id = $2";
const COUNT_OTHERS: &str = "SELECT count(*) FROM secrets
    WHERE store = $1 AND NOT (path = $2 AND field = $3)";
const PUT: &str = "INSERT INTO secrets (store, path, field, key_id, sealed, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (store, path, field) DO UPDATE
    SET key_id = excluded.key_id, sealed = excluded.sealed, updated_at = excluded.updated_at";
const GET: &str = "SELECT secrets.* FROM secrets
    JOIN secret_stores ON secret_stores.id = secrets.store
    WHERE secret_stores.organization = $1 AND store = $2 AND path = $3 AND field = $4";
const LIST: &str = "SELECT secrets.* FROM secrets
    JOIN secret_stores ON secret_stores.id = secrets.store
    WHERE secret_stores.organization = $1 AND store = $2 AND (path, field) > ($3, $4)
    ORDER BY path, field LIMIT $5";
const DELETE: &str = "DELETE FROM secrets WHERE store = $1 AND path = $2 AND field = $3";

#[async_trait]
impl SecretStores for SqliteStore {
    async fn create_secret_store(
        &self,
        store: SecretStoreRecord,
        most: usize,
    ) -> Result<(), CreateSecretStoreError> {
        let mut write = self.write().await?;
        may_create(&mut write, &store, most).await?;
        let SecretStoreRecord {
            id,
            organization,
            name,
            created_at,
            updated_at,
        } = store;
        let insert = query(INSERT_STORE)
            .bind(id.to_string())
            .bind(organization.as_str())
            .bind(name.as_str())
            .bind(created_at.as_micros())
            .bind(updated_at.as_micros());
        insert.execute(write.connection()).await.map_err(fault)?;
        Ok(write.commit().await?)
    }

    async fn get_secret_store(
        &self,
        organization: &OrganizationId,
        name: &SecretStoreName,
    ) -> Result<SecretStoreRecord, GetError> {
        let found = query(GET_STORE)
            .bind(organization.as_str())
            .bind(name.as_str());
        let row = found.fetch_optional(&self.readers).await.map_err(fault)?;
        Ok(store(&row.ok_or(GetError::NotFound)?)?)
    }

    async fn list_secret_stores(
        &self,
        organization: &OrganizationId,
        request: PageRequest<SecretStoreName>,
    ) -> Result<Page<SecretStoreRecord, SecretStoreName>, Fault> {
        let PageRequest { after, size } = request;
        let rows = query(LIST_STORES)
            .bind(organization.as_str())
            .bind(after.map(|name| name.to_string()).unwrap_or_default())
            .bind(limit(size));
        let rows = rows.fetch_all(&self.readers).await.map_err(fault)?;
        page(&rows, size, store, |store| store.name.clone())
    }

    async fn delete_secret_store(
        &self,
        organization: &OrganizationId,
        name: &SecretStoreName,
    ) -> Result<(), GetError> {
        let mut write = self.write().await?;
        let mut deleted = 0;
        for statement in [EMPTY_STORE, DELETE_STORE] {
            let delete = query(statement)
                .bind(organization.as_str())
                .bind(name.as_str());
            let done = delete.execute(write.connection()).await.map_err(fault)?;
            deleted = done.rows_affected();
        }
        if deleted == 0 {
            return Err(GetError::NotFound);
        }
        Ok(write.commit().await?)
    }

    async fn put_secret(
        &self,
        organization: &OrganizationId,
        store: SecretStoreId,
        secret: SecretRecord,
        most: usize,
    ) -> Result<(), PutSecretError> {
        let SecretRecord {
            address,
            sealed: Sealed { key, bytes },
            created_at,
            updated_at,
        } = secret;
        let mut write = self.write().await?;
        let connection = write.connection();
        if !touch(connection, organization, store, updated_at).await? {
            return Err(PutSecretError::NoStore);
        }
        let others = query_scalar::<_, i64>(COUNT_OTHERS)
            .bind(store.to_string())
            .bind(address.path.as_str())
            .bind(address.field_text().to_owned());
        let others = others.fetch_one(&mut *connection).await.map_err(fault)?;
        if usize::try_from(others).is_ok_and(|others| others >= most) {
            return Err(PutSecretError::TooMany);
        }
        let put = query(PUT)
            .bind(store.to_string())
            .bind(address.path.as_str())
            .bind(address.field_text().to_owned())
            .bind(key)
            .bind(bytes)
            .bind(created_at.as_micros())
            .bind(updated_at.as_micros());
        put.execute(connection).await.map_err(fault)?;
        Ok(write.commit().await?)
    }

    async fn get_secret(
        &self,
        organization: &OrganizationId,
        store: SecretStoreId,
        address: &SecretAddress,
    ) -> Result<SecretRecord, GetError> {
        let found = query(GET)
            .bind(organization.as_str())
            .bind(store.to_string())
            .bind(address.path.as_str())
            .bind(address.field_text().to_owned());
        let row = found.fetch_optional(&self.readers).await.map_err(fault)?;
        let row = row.ok_or(GetError::NotFound)?;
        let SecretHead {
            address,
            created_at,
            updated_at,
        } = head(&row)?;
        Ok(SecretRecord {
            address,
            sealed: sealed(&row)?,
            created_at,
            updated_at,
        })
    }

    async fn list_secrets(
        &self,
        organization: &OrganizationId,
        store: SecretStoreId,
        request: PageRequest<SecretAddress>,
    ) -> Result<Page<SecretHead, SecretAddress>, Fault> {
        let PageRequest { after, size } = request;
        let (path, field) = texts(after.as_ref());
        let rows = query(LIST)
            .bind(organization.as_str())
            .bind(store.to_string())
            .bind(path)
            .bind(field)
            .bind(limit(size));
        let rows = rows.fetch_all(&self.readers).await.map_err(fault)?;
        page(&rows, size, head, |head| head.address.clone())
    }

    async fn delete_secret(
        &self,
        organization: &OrganizationId,
        store: SecretStoreId,
        address: &SecretAddress,
        now: Timestamp,
    ) -> Result<(), GetError> {
        let mut write = self.write().await?;
        let connection = write.connection();
        if !touch(connection, organization, store, now).await? {
            return Err(GetError::NotFound);
        }
        let delete = query(DELETE)
            .bind(store.to_string())
            .bind(address.path.as_str())
            .bind(address.field_text().to_owned());
        let done = delete.execute(connection).await.map_err(fault)?;
        if done.rows_affected() == 0 {
            return Err(GetError::NotFound);
        }
        Ok(write.commit().await?)
    }

    async fn list_sealed(
        &self,
        page: PageRequest<SealedPlace>,
    ) -> Result<Page<SealedSecret, SealedPlace>, Fault> {
        secret_seal::list(&self.readers, page).await
    }

    async fn reseal_secret(
        &self,
        place: &SealedPlace,
        before: &Sealed,
        after: Sealed,
    ) -> Result<bool, Fault> {
        let mut write = self.write().await?;
        let is_replaced = secret_seal::replace(write.connection(), place, before, after).await?;
        write.commit().await?;
        Ok(is_replaced)
    }
}

async fn may_create(
    write: &mut Write,
    store: &SecretStoreRecord,
    most: usize,
) -> Result<(), CreateSecretStoreError> {
    let connection = write.connection();
    if !organization::exists(connection, &store.organization).await? {
        return Err(CreateSecretStoreError::NoOrganization);
    }
    let named = query(GET_STORE)
        .bind(store.organization.as_str())
        .bind(store.name.as_str());
    let named = named.fetch_optional(&mut *connection).await;
    if named.map_err(fault)?.is_some() {
        return Err(CreateSecretStoreError::NameTaken);
    }
    let holder = query(WITH_ID).bind(store.id.to_string());
    let holder = holder.fetch_optional(&mut *connection).await;
    if holder.map_err(fault)?.is_some() {
        return Err(CreateSecretStoreError::IdTaken);
    }
    let count = query_scalar::<_, i64>(COUNT_STORES).bind(store.organization.as_str());
    let count = count.fetch_one(connection).await.map_err(fault)?;
    if usize::try_from(count).is_ok_and(|count| count >= most) {
        return Err(CreateSecretStoreError::TooMany);
    }
    Ok(())
}

/// Notes a change of a store; `false` if there is no such store.
async fn touch(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    store: SecretStoreId,
    now: Timestamp,
) -> Result<bool, Fault> {
    let touch = query(TOUCH)
        .bind(organization.as_str())
        .bind(store.to_string())
        .bind(now.as_micros());
    let done = touch.execute(connection).await.map_err(fault)?;
    Ok(done.rows_affected() > 0)
}

/// Path and field of a place in a list; before the first one for none.
pub(super) fn texts(after: Option<&SecretAddress>) -> (String, String) {
    after.map_or_else(Default::default, |address| {
        let field = address.field_text().to_owned();
        (address.path.to_string(), field)
    })
}

pub(super) fn address(row: &SqliteRow) -> Result<SecretAddress, Fault> {
    let field = row.text("field")?;
    Ok(SecretAddress {
        path: row.parsed("path")?,
        field: match field.as_str() {
            "" => None,
            field => Some(parsed("field", field)?),
        },
    })
}

fn store(row: &SqliteRow) -> Result<SecretStoreRecord, Fault> {
    Ok(SecretStoreRecord {
        id: row.parsed("id")?,
        organization: row.parsed("organization")?,
        name: row.parsed("name")?,
        created_at: row.instant("created_at")?,
        updated_at: row.instant("updated_at")?,
    })
}

fn head(row: &SqliteRow) -> Result<SecretHead, Fault> {
    Ok(SecretHead {
        address: address(row)?,
        created_at: row.instant("created_at")?,
        updated_at: row.instant("updated_at")?,
    })
}
