//! The stores of organizations and the secrets in them, as others ask for them.

use std::sync::Arc;

use palisade_model::clock::{Clock, Ids};
use palisade_model::id::SecretStoreId;
use palisade_model::name::OrganizationId;
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::secret::{
    SecretAddress, SecretProvider, SecretStore, SecretStoreName, SecretValue,
};
use palisade_store::secret::{
    CreateSecretStoreError, PutSecretError, Sealed, SealedPlace, SecretHead, SecretRecord,
    SecretStoreRecord,
};
use palisade_store::{GetError, Page, PageRequest, PageSize, Store};

use crate::configured::{ConfiguredStore, read_only};
use crate::failure::Failure;
use crate::keys::{KeyFile, KeyRing};
use crate::part::{self, Found};
use crate::seal::{self, Purpose};

/// The most stores of one organization that the server keeps itself.
pub const STORES_MAX: usize = 100;

/// The most secrets of one such store.
pub const SECRETS_OF_STORE_MAX: usize = 1000;

/// Where values are that stores have.
#[derive(Clone, Debug, Default)]
pub struct SecretSettings {
    /// What seals the values that the server keeps; without it none can be kept.
    pub keys: Option<KeyFile>,
    /// The stores that the operator configured.
    pub configured: Vec<ConfiguredStore>,
}

/// How often another id is drawn for a store whose id is taken.
const IDS_MAX: u32 = 4;

/// Secret stores and what is in them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Secrets {
    pub(crate) store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    keys: Option<KeyFile>,
    configured: Arc<[ConfiguredStore]>,
}

/// Where a store keeps its values.
enum Place<'a> {
    /// Here, sealed.
    Own(SecretStoreRecord),
    /// Where the operator says.
    Configured(&'a ConfiguredStore),
}

impl Secrets {
    /// Stores over `store`. Of a name that is configured and in the store, the
    /// configured one counts.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        settings: SecretSettings,
    ) -> Self {
        let SecretSettings { keys, configured } = settings;
        Self {
            store,
            clock,
            ids,
            keys,
            configured: configured.into(),
        }
    }

    /// Makes a store that the server keeps itself.
    pub async fn create_store(
        &self,
        organization: &OrganizationId,
        name: SecretStoreName,
    ) -> Result<SecretStore, Failure> {
        // What could never be read again is not begun.
        self.ring().await?;
        if self.configured(organization, &name).is_some() {
            return Err(name_taken(&name));
        }
        let now = self.clock.now();
        for _ in 0..IDS_MAX {
            let record = SecretStoreRecord {
                id: SecretStoreId::new(self.ids.uuid()),
                organization: organization.clone(),
                name: name.clone(),
                created_at: now,
                updated_at: now,
            };
            let created = self.store.create_secret_store(record.clone(), STORES_MAX);
            match created.await {
                Ok(()) => return Ok(store_of(record)),
                Err(CreateSecretStoreError::IdTaken) => {}
                Err(CreateSecretStoreError::NameTaken) => return Err(name_taken(&name)),
                Err(CreateSecretStoreError::TooMany) => return Err(too_many_stores()),
                Err(CreateSecretStoreError::NoOrganization) => {
                    let message = "the organization of the token does not exist any more";
                    return Err(Failure::new(Reason::ResourceNotFound, message));
                }
                Err(CreateSecretStoreError::Fault(fault)) => return Err(fault.into()),
            }
        }
        let message = "no id was free for the secret store; try again";
        Err(Failure::new(Reason::BackendUnavailable, message))
    }

    /// Returns one store.
    pub async fn get_store(
        &self,
        organization: &OrganizationId,
        name: &SecretStoreName,
    ) -> Result<SecretStore, Failure> {
        let place = self.place(organization, name).await?;
        match place.ok_or_else(|| not_found(name))? {
            Place::Own(record) => Ok(store_of(record)),
            Place::Configured(configured) => Ok(configured.store()),
        }
    }

    /// Returns a part of the stores, in the order of their names.
    pub async fn list_stores(
        &self,
        organization: &OrganizationId,
        request: PageRequest<SecretStoreName>,
    ) -> Result<Page<SecretStore, SecretStoreName>, Failure> {
        let PageRequest { after, size } = request.clone();
        let kept = self.store.list_secret_stores(organization, request).await?;
        let is_last = kept.next.is_none();
        let mut stores: Vec<_> = kept.items.into_iter().map(store_of).collect();
        let configured = self.configured.iter();
        let configured = configured
            .filter(|store| store.organization == *organization)
            .filter(|store| after.as_ref().is_none_or(|after| store.name > *after));
        for store in configured {
            stores.retain(|kept| kept.name != store.name);
            stores.push(store.store());
        }
        stores.sort_by(|left, right| left.name.cmp(&right.name));
        let is_more = stores.len() > size.get() || !is_last;
        stores.truncate(size.get());
        let next = stores.last().filter(|_| is_more);
        Ok(Page {
            next: next.map(|store| store.name.clone()),
            items: stores,
        })
    }

    /// Takes a store away with everything in it. Sandboxes that run keep what
    /// they were given; one that is still to start ends and says why.
    pub async fn delete_store(
        &self,
        organization: &OrganizationId,
        name: &SecretStoreName,
    ) -> Result<(), Failure> {
        if self.configured(organization, name).is_some() {
            return Err(read_only(name));
        }
        let deleted = self.store.delete_secret_store(organization, name).await;
        deleted.map_err(|error| match error {
            GetError::NotFound => not_found(name),
            GetError::Fault(fault) => fault.into(),
        })
    }

    /// Puts a value into a store.
    pub async fn put(
        &self,
        organization: &OrganizationId,
        name: &SecretStoreName,
        address: SecretAddress,
        value: SecretValue,
    ) -> Result<SecretHead, Failure> {
        let store = self.own(organization, name).await?;
        let ring = self.ring().await?;
        let place = SealedPlace {
            store: store.id,
            address: address.clone(),
        };
        let sealed = self.seal(&ring, organization, &place, &value)?;
        let now = self.clock.now();
        let record = SecretRecord {
            address: address.clone(),
            sealed,
            created_at: now,
            updated_at: now,
        };
        let put = self
            .store
            .put_secret(organization, store.id, record, SECRETS_OF_STORE_MAX);
        put.await.map_err(|error| match error {
            PutSecretError::NoStore => not_found(name),
            PutSecretError::TooMany => too_many_secrets(name),
            PutSecretError::Fault(fault) => fault.into(),
        })?;
        let kept = self.store.get_secret(organization, store.id, &address);
        let created_at = kept.await.map_or(now, |kept| kept.created_at);
        Ok(SecretHead {
            address,
            created_at,
            updated_at: now,
        })
    }

    /// Returns what there is in a store, without any value.
    pub async fn list(
        &self,
        organization: &OrganizationId,
        name: &SecretStoreName,
        page: PageRequest<SecretAddress>,
    ) -> Result<Page<SecretHead, SecretAddress>, Failure> {
        let store = self.own(organization, name).await?;
        let listed = self.store.list_secrets(organization, store.id, page);
        Ok(listed.await?)
    }

    /// Takes one secret away for good.
    pub async fn delete(
        &self,
        organization: &OrganizationId,
        name: &SecretStoreName,
        address: &SecretAddress,
    ) -> Result<(), Failure> {
        let store = self.own(organization, name).await?;
        let now = self.clock.now();
        let deleted = self
            .store
            .delete_secret(organization, store.id, address, now);
        deleted.await.map_err(|error| match error {
            GetError::NotFound => {
                let message = format!("the secret store {name} has no secret {address}");
                Failure::new(Reason::ResourceNotFound, message)
            }
            GetError::Fault(fault) => fault.into(),
        })
    }

    /// Looks for a secret; `None` if there is no such store.
    pub(crate) async fn find(
        &self,
        organization: &OrganizationId,
        name: &SecretStoreName,
        address: &SecretAddress,
    ) -> Result<Option<Found>, Failure> {
        match self.place(organization, name).await? {
            None => Ok(None),
            Some(Place::Configured(configured)) => {
                let (configured, address) = (configured.clone(), address.clone());
                blocking(move || configured.find(&address)).await.map(Some)
            }
            Some(Place::Own(store)) => {
                let found = self.find_own(organization, store.id, address).await?;
                Ok(Some(found))
            }
        }
    }

    /// A field that is not kept by itself is looked for in the secret.
    async fn find_own(
        &self,
        organization: &OrganizationId,
        store: SecretStoreId,
        address: &SecretAddress,
    ) -> Result<Found, Failure> {
        let found = self.open(organization, store, address).await?;
        let (None, Some(field)) = (&found, &address.field) else {
            return Ok(found.into());
        };
        let whole = SecretAddress {
            path: address.path.clone(),
            field: None,
        };
        let whole = self.open(organization, store, &whole).await?;
        Ok(whole.map_or(Found::Nothing, |value| part::field(&value, field)))
    }

    async fn open(
        &self,
        organization: &OrganizationId,
        store: SecretStoreId,
        address: &SecretAddress,
    ) -> Result<Option<SecretValue>, Failure> {
        let kept = self.store.get_secret(organization, store, address).await;
        let kept = match kept {
            Ok(kept) => kept,
            Err(GetError::NotFound) => return Ok(None),
            Err(GetError::Fault(fault)) => return Err(fault.into()),
        };
        let ring = self.ring().await?;
        let place = SealedPlace {
            store,
            address: address.clone(),
        };
        let purpose = Purpose {
            organization,
            place: &place,
        };
        let opened = seal::open(&ring, purpose, &kept.sealed);
        opened.map(Some).map_err(|error| {
            let message = format!(
                "the value of the secret {address} cannot be read any more; put it in again, or \
                 have the key file of the server restored"
            );
            Failure::not_provisioned(message, error)
        })
    }

    pub(crate) fn seal(
        &self,
        ring: &KeyRing,
        organization: &OrganizationId,
        place: &SealedPlace,
        value: &SecretValue,
    ) -> Result<Sealed, Failure> {
        let purpose = Purpose {
            organization,
            place,
        };
        let key = ring.first().ok_or_else(no_keys)?;
        let sealed = seal::seal(key, purpose, value, self.ids.secret());
        sealed.map_err(|error| Failure {
            cause: Some(Arc::new(error)),
            ..Refusal::internal().into()
        })
    }

    pub(crate) fn key_file(&self) -> Result<&KeyFile, Failure> {
        self.keys.as_ref().ok_or_else(no_keys)
    }

    pub(crate) async fn ring(&self) -> Result<KeyRing, Failure> {
        let file = self.key_file()?.clone();
        blocking(move || file.read().map_err(unusable_keys)).await
    }

    /// When an organization sees no store of that name, there is none.
    async fn place(
        &self,
        organization: &OrganizationId,
        name: &SecretStoreName,
    ) -> Result<Option<Place<'_>>, Failure> {
        if let Some(configured) = self.configured(organization, name) {
            return Ok(Some(Place::Configured(configured)));
        }
        match self.store.get_secret_store(organization, name).await {
            Ok(record) => Ok(Some(Place::Own(record))),
            Err(GetError::NotFound) => Ok(None),
            Err(GetError::Fault(fault)) => Err(fault.into()),
        }
    }

    async fn own(
        &self,
        organization: &OrganizationId,
        name: &SecretStoreName,
    ) -> Result<SecretStoreRecord, Failure> {
        match self.place(organization, name).await? {
            Some(Place::Own(record)) => Ok(record),
            Some(Place::Configured(_)) => Err(read_only(name)),
            None => Err(not_found(name)),
        }
    }

    fn configured(
        &self,
        organization: &OrganizationId,
        name: &SecretStoreName,
    ) -> Option<&ConfiguredStore> {
        let mut stores = self.configured.iter();
        stores.find(|store| store.organization == *organization && store.name == *name)
    }

    /// The names of stores that there are, as many as a sentence can hold.
    pub(crate) async fn some_names(
        &self,
        organization: &OrganizationId,
    ) -> Result<Vec<String>, Failure> {
        let page = PageRequest::first(PageSize::clamped(8));
        let stores = self.list_stores(organization, page).await?;
        Ok(stores
            .items
            .iter()
            .map(|one| one.name.to_string())
            .collect())
    }
}

/// Does something that blocks for as long as a small file takes to read.
pub(crate) async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(act).await;
    done.unwrap_or_else(|error| {
        Err(Failure {
            cause: Some(Arc::new(error)),
            ..Refusal::internal().into()
        })
    })
}

fn store_of(record: SecretStoreRecord) -> SecretStore {
    let SecretStoreRecord {
        id,
        organization,
        name,
        created_at,
        updated_at,
    } = record;
    SecretStore {
        id,
        organization,
        name,
        provider: SecretProvider::BuiltIn,
        created_at,
        updated_at,
    }
}

fn no_keys() -> Failure {
    let message = "this server keeps no secrets: it has no key file; whoever runs it starts it \
        with --secrets-key-file";
    Failure::new(Reason::SecretStoreNotProvisioned, message)
}

pub(crate) fn unusable_keys(error: crate::KeyError) -> Failure {
    let message = "the server cannot use its key file; its log says why, to whoever runs it";
    Failure::not_provisioned(message, error)
}

fn not_found(name: &SecretStoreName) -> Failure {
    let message = format!("there is no secret store {name} in the organization");
    let failure = Failure::new(Reason::ResourceNotFound, message);
    Failure {
        refusal: failure.refusal.with("secret_store", name.as_str()),
        ..failure
    }
}

fn name_taken(name: &SecretStoreName) -> Failure {
    let message = format!("there is a secret store {name} in the organization already");
    Failure::new(Reason::SecretStoreNameTaken, message)
}

fn too_many_stores() -> Failure {
    let message = format!(
        "the organization has {STORES_MAX} secret stores, which is as many as there may be; \
         delete one that nobody needs"
    );
    Failure::new(Reason::QuotaExceeded, message)
}

fn too_many_secrets(name: &SecretStoreName) -> Failure {
    let message = format!(
        "the secret store {name} has {SECRETS_OF_STORE_MAX} secrets, which is as many as there \
         may be; delete one that nobody needs, or use another store"
    );
    Failure::new(Reason::QuotaExceeded, message)
}
