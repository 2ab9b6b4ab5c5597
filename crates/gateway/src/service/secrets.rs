//! Secret stores, which this server does not have.

use async_trait::async_trait;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::secret_store_service_server::SecretStoreService;
use tonic::{Request, Response, Status};

use super::absent::not_implemented;
use crate::context::Context;

/// Says by name that there are none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoSecretStores;

fn none<I, O>(request: &Request<I>) -> Result<Response<O>, Status> {
    let context = Context::of(request)?;
    context.tell(Err(not_implemented("secret_stores", "secret stores")))
}

#[async_trait]
impl SecretStoreService for NoSecretStores {
    async fn create_secret_store(
        &self,
        request: Request<pb::CreateSecretStoreRequest>,
    ) -> Result<Response<pb::CreateSecretStoreResponse>, Status> {
        none(&request)
    }

    async fn get_secret_store(
        &self,
        request: Request<pb::GetSecretStoreRequest>,
    ) -> Result<Response<pb::GetSecretStoreResponse>, Status> {
        none(&request)
    }

    async fn list_secret_stores(
        &self,
        request: Request<pb::ListSecretStoresRequest>,
    ) -> Result<Response<pb::ListSecretStoresResponse>, Status> {
        none(&request)
    }

    async fn delete_secret_store(
        &self,
        request: Request<pb::DeleteSecretStoreRequest>,
    ) -> Result<Response<pb::DeleteSecretStoreResponse>, Status> {
        none(&request)
    }
}
