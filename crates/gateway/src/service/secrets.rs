//! Secret stores of the caller's organization.
//!
//! Everybody of the organization may see which there are; administrators make
//! and delete them. Values are put in and listed elsewhere: the protocol has no
//! calls for that.

use async_trait::async_trait;
use palisade_model::tenant::{Principal, Role};
use palisade_secrets::Secrets;
use palisade_store::{PageRequest, PageSize};
use palisade_wire::page_token::Listing;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::secret_store_service_server::SecretStoreService;
use palisade_wire::v1beta2::{new_secret_store, secret_store, secret_store_name, stores_page_size};
use tonic::{Request, Response, Status};

use crate::context::Context;
use crate::error::ApiResult;
use crate::page;

type Answer<T> = Result<Response<T>, Status>;

/// Serves secret stores. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct SecretStores {
    secrets: Secrets,
}

impl SecretStores {
    pub(crate) fn new(secrets: Secrets) -> Self {
        Self { secrets }
    }

    async fn create(
        &self,
        caller: &Principal,
        request: pb::CreateSecretStoreRequest,
    ) -> ApiResult<pb::CreateSecretStoreResponse> {
        caller.must_be(Role::SandboxAdmin)?;
        let name = new_secret_store(request)?;
        let store = self
            .secrets
            .create_store(&caller.organization, name)
            .await?;
        Ok(pb::CreateSecretStoreResponse {
            secret_store: Some(secret_store(&store)),
        })
    }

    async fn get(
        &self,
        caller: &Principal,
        request: pb::GetSecretStoreRequest,
    ) -> ApiResult<pb::GetSecretStoreResponse> {
        let name = secret_store_name(&request.name)?;
        let store = self.secrets.get_store(&caller.organization, &name).await?;
        Ok(pb::GetSecretStoreResponse {
            secret_store: Some(secret_store(&store)),
        })
    }

    async fn list(
        &self,
        caller: &Principal,
        request: pb::ListSecretStoresRequest,
    ) -> ApiResult<pb::ListSecretStoresResponse> {
        let pb::ListSecretStoresRequest {
            page_size,
            page_token,
        } = request;
        let listing = Listing::new("secret-stores", &caller.organization);
        let page = PageRequest {
            size: PageSize::clamped(stores_page_size(page_size)?),
            after: page::after(&listing, &page_token)?,
        };
        let listed = self.secrets.list_stores(&caller.organization, page).await?;
        Ok(pb::ListSecretStoresResponse {
            secret_stores: listed.items.iter().map(secret_store).collect(),
            next_page_token: listing.token(listed.next),
        })
    }

    async fn delete(
        &self,
        caller: &Principal,
        request: pb::DeleteSecretStoreRequest,
    ) -> ApiResult<pb::DeleteSecretStoreResponse> {
        caller.must_be(Role::SandboxAdmin)?;
        let name = secret_store_name(&request.name)?;
        self.secrets
            .delete_store(&caller.organization, &name)
            .await?;
        Ok(pb::DeleteSecretStoreResponse {})
    }
}

#[async_trait]
impl SecretStoreService for SecretStores {
    async fn create_secret_store(
        &self,
        request: Request<pb::CreateSecretStoreRequest>,
    ) -> Answer<pb::CreateSecretStoreResponse> {
        let context = Context::of(&request)?;
        context.tell(self.create(&context.caller, request.into_inner()).await)
    }

    async fn get_secret_store(
        &self,
        request: Request<pb::GetSecretStoreRequest>,
    ) -> Answer<pb::GetSecretStoreResponse> {
        let context = Context::of(&request)?;
        context.tell(self.get(&context.caller, request.into_inner()).await)
    }

    async fn list_secret_stores(
        &self,
        request: Request<pb::ListSecretStoresRequest>,
    ) -> Answer<pb::ListSecretStoresResponse> {
        let context = Context::of(&request)?;
        context.tell(self.list(&context.caller, request.into_inner()).await)
    }

    async fn delete_secret_store(
        &self,
        request: Request<pb::DeleteSecretStoreRequest>,
    ) -> Answer<pb::DeleteSecretStoreResponse> {
        let context = Context::of(&request)?;
        context.tell(self.delete(&context.caller, request.into_inner()).await)
    }
}
