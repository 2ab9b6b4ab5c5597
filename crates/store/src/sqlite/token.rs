//! Tokens.

use async_trait::async_trait;
use palisade_model::clock::Timestamp;
use palisade_model::id::TokenId;
use palisade_model::name::OrganizationId;
use palisade_model::tenant::Role;
use palisade_model::token::{Grant, SecretHash, TokenRecord};
use sqlx::sqlite::SqliteRow;

use super::row::{limit, page};
use super::{Columns as _, SqliteStore, fault, organization};
use crate::change::Subject;
use crate::error::{Fault, GetError};
use crate::form::Unreadable;
use crate::page::{Page, PageRequest};
use crate::token::{CreateTokenError, Tokens};

const EXISTS: &str = "SELECT 1 FROM tokens WHERE id = $1";
const INSERT: &str = "INSERT INTO tokens (id, organization, hash, kind, user_id, role, cluster,
        description, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const FIND: &str = "SELECT * FROM tokens WHERE id = $1";
const LIST: &str = "SELECT * FROM tokens WHERE organization = $1 AND id > $2
    ORDER BY id LIMIT $3";
const REVOKE: &str = "DELETE FROM tokens WHERE organization = $1 AND id = $2";

const CALLER: &str = "caller";
const RUNNER: &str = "runner";

#[async_trait]
impl Tokens for SqliteStore {
    async fn create_token(&self, token: TokenRecord) -> Result<(), CreateTokenError> {
        let TokenRecord {
            id,
            hash,
            grant,
            description,
            created_at,
            expires_at,
        } = token;
        let (organization, kind, user, role, cluster) = match &grant {
            Grant::Caller {
                organization,
                user,
                role,
            } => (
                organization,
                CALLER,
                Some(user.as_str()),
                Some(role.as_str()),
                None,
            ),
            Grant::Runner {
                organization,
                cluster,
            } => (organization, RUNNER, None, None, Some(cluster.as_str())),
        };
        let mut write = self.write().await?;
        if !organization::exists(write.connection(), organization).await? {
            return Err(CreateTokenError::NoOrganization);
        }
        let holder = sqlx::query(EXISTS).bind(id.to_string());
        let holder = holder.fetch_optional(write.connection()).await;
        if holder.map_err(fault)?.is_some() {
            return Err(CreateTokenError::IdTaken);
        }
        sqlx::query(INSERT)
            .bind(id.to_string())
            .bind(organization.as_str())
            .bind(hash.as_bytes().as_slice())
            .bind(kind)
            .bind(user)
            .bind(role)
            .bind(cluster)
            .bind(description)
            .bind(created_at.as_micros())
            .bind(expires_at.map(Timestamp::as_micros))
            .execute(write.connection())
            .await
            .map_err(fault)?;
        write.changed(organization, Subject::Token(id));
        Ok(write.commit().await?)
    }

    async fn find_token(&self, id: TokenId) -> Result<TokenRecord, GetError> {
        let query = sqlx::query(FIND).bind(id.to_string());
        let row = query.fetch_optional(&self.readers).await.map_err(fault)?;
        Ok(token(&row.ok_or(GetError::NotFound)?)?)
    }

    async fn list_tokens(
        &self,
        organization: &OrganizationId,
        request: PageRequest<TokenId>,
    ) -> Result<Page<TokenRecord, TokenId>, Fault> {
        let PageRequest { after, size } = request;
        let rows = sqlx::query(LIST)
            .bind(organization.as_str())
            .bind(after.map(|id| id.to_string()).unwrap_or_default())
            .bind(limit(size))
            .fetch_all(&self.readers)
            .await
            .map_err(fault)?;
        page(&rows, size, token, |token| token.id)
    }

    async fn revoke_token(
        &self,
        organization: &OrganizationId,
        id: TokenId,
    ) -> Result<(), GetError> {
        let mut write = self.write().await?;
        let done = sqlx::query(REVOKE)
            .bind(organization.as_str())
            .bind(id.to_string())
            .execute(write.connection())
            .await
            .map_err(fault)?;
        if done.rows_affected() == 0 {
            return Err(GetError::NotFound);
        }
        write.changed(organization, Subject::Token(id));
        Ok(write.commit().await?)
    }
}

fn token(row: &SqliteRow) -> Result<TokenRecord, Fault> {
    let hash = <[u8; 32]>::try_from(row.bytes("hash")?);
    let hash = hash.map_err(|_| Unreadable::new("column", "hash"))?;
    Ok(TokenRecord {
        id: row.parsed("id")?,
        hash: SecretHash::from_bytes(hash),
        grant: grant(row)?,
        description: row.text("description")?,
        created_at: row.instant("created_at")?,
        expires_at: row.optional_instant("expires_at")?,
    })
}

fn grant(row: &SqliteRow) -> Result<Grant, Fault> {
    let organization = row.parsed("organization")?;
    match row.text("kind")?.as_str() {
        CALLER => Ok(Grant::Caller {
            organization,
            user: row.parsed("user_id")?,
            role: role(&row.text("role")?)?,
        }),
        RUNNER => Ok(Grant::Runner {
            organization,
            cluster: row.parsed("cluster")?,
        }),
        _ => Err(Unreadable::new("column", "kind").into()),
    }
}

fn role(text: &str) -> Result<Role, Fault> {
    let role = Role::ALL.into_iter().find(|role| role.as_str() == text);
    role.ok_or_else(|| Unreadable::new("column", "role").into())
}
