//! Values of secrets until they are in the record of their sandbox.
//!
//! Those that the gateway found wait in memory; Secrets of the cluster are read
//! from the one namespace that the operator gave for that. From the record on,
//! the cluster keeps both as it keeps all Secrets, and hands them to the pod.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use palisade_model::id::SandboxId;
use palisade_model::sandbox::Launch;
use palisade_model::secret::{
    ClusterSecretKey, ClusterSecretName, SecretSource, SecretValue, SecretValues,
};

use crate::api::{self, ApiError};
use crate::sandbox::NotRecorded;
use crate::shared::Shared;

/// Values of sandboxes that have no record yet.
#[derive(Debug, Default)]
pub(crate) struct Handed(Mutex<BTreeMap<SandboxId, SecretValues>>);

impl Handed {
    /// Keeps values until the record is written.
    pub(crate) fn put(&self, id: SandboxId, values: SecretValues) {
        self.lock().insert(id, values);
    }

    /// Drops what is needed no more.
    pub(crate) fn forget(&self, id: SandboxId) {
        self.lock().remove(&id);
    }

    fn get(&self, id: SandboxId) -> SecretValues {
        self.lock().get(&id).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SandboxId, SecretValues>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The values of all secrets of a launch.
pub(crate) async fn gather(shared: &Shared, launch: &Launch) -> Result<SecretValues, NotRecorded> {
    let mut values = shared.handed.get(launch.id);
    if !values.serve(&launch.secrets) {
        let why = "the values of its secrets are not there";
        return Err(NotRecorded::Failed(why.to_owned()));
    }
    for secret in &launch.secrets {
        if let SecretSource::Runner { name, key } = &secret.source {
            values.insert(secret.env_var.clone(), own(shared, name, key).await?);
        }
    }
    Ok(values)
}

async fn own(
    shared: &Shared,
    name: &ClusterSecretName,
    key: &ClusterSecretKey,
) -> Result<SecretValue, NotRecorded> {
    let refused = |what: String| NotRecorded::Refused(what);
    let namespace = shared.settings.secrets_namespace.as_deref();
    let Some(namespace) = namespace else {
        return Err(refused("this runner has no secrets of its own".to_owned()));
    };
    let secrets: Api<Secret> = Api::namespaced(shared.client.clone(), namespace);
    let found = match api::patient(|| secrets.get_opt(name.as_str())).await {
        Ok(found) => found,
        Err(ApiError::Refused(_) | ApiError::NotFound(_)) => {
            let what = format!("this runner may not read the Secret {name} of its cluster");
            return Err(refused(what));
        }
        Err(error @ ApiError::Unavailable(_)) => {
            return Err(NotRecorded::Failed(error.to_string()));
        }
    };
    let data = found.and_then(|secret| secret.data).unwrap_or_default();
    let Some(bytes) = data.get(key.as_str()) else {
        let what = format!("this runner has no secret {name} with the key {key}");
        return Err(refused(what));
    };
    let value = SecretValue::new(bytes.0.clone()).ok();
    let value = value.filter(|value| value.as_variable().is_some());
    value.ok_or_else(|| {
        refused(format!(
            "the key {key} of the secret {name} of this runner is too long for a variable, is no \
             text, or has a NUL character"
        ))
    })
}
