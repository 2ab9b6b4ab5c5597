//! Namespaces that were made for sandboxes, and go again when they are empty.
//!
//! Deleted is only what this runner made, as the label of its instance and an
//! annotation say, that none of its sandboxes has been in for a while, and that
//! holds no pod, no Service and no Secret of anybody's but those that every
//! namespace gets. What else others put there goes along.
//!
//! One task, which ends when the backend closes. A record is never written into a
//! namespace while that is being deleted: see [`Shared::namespaces`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod, Secret, Service};
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::time;
use tracing::{debug, info};

use crate::api::{self, ApiError};
use crate::naming;
use crate::shared::Shared;

/// How often to look at most.
const LOOK_MIN: Duration = Duration::from_secs(1);
/// How often to look at least.
const LOOK_MAX: Duration = Duration::from_mins(1);
/// What every namespace gets.
const TOKEN: &str = "kubernetes.io/service-account-token";

/// Deletes namespaces in the background, if that is wanted.
pub(crate) fn start(shared: &Arc<Shared>) {
    if let Some(idle) = shared.settings.namespace_idle {
        let collector = Collector {
            shared: Arc::clone(shared),
            idle,
            unused: BTreeMap::new(),
        };
        shared.tasks.spawn(collector.run());
    }
}

#[derive(Debug)]
struct Collector {
    shared: Arc<Shared>,
    idle: Duration,
    /// Since when nothing has been in these.
    unused: BTreeMap<String, time::Instant>,
}

impl Collector {
    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        if !shared.wait_until_complete().await {
            return;
        }
        let pause = (self.idle / 2).clamp(LOOK_MIN, LOOK_MAX);
        let closing = &shared.closing;
        while let Some(outcome) = closing.run_until_cancelled(self.pass()).await {
            if let Err(error) = outcome {
                debug!(%error, "could not look for empty namespaces; trying again");
            }
            closing.run_until_cancelled(time::sleep(pause)).await;
        }
    }

    async fn pass(&mut self) -> Result<(), ApiError> {
        let api: Api<Namespace> = Api::all(self.shared.client.clone());
        let made = api::limited(api.list(&ListParams::default().labels(&self.selector()))).await?;
        let in_use = self.in_use();
        let is_idle = |namespace: &Namespace| {
            namespace.annotations().contains_key(naming::AUTO_CREATED)
                && namespace.metadata.deletion_timestamp.is_none()
                && !in_use.contains(&namespace.name_any())
        };
        let idle: Vec<Namespace> = made.items.into_iter().filter(is_idle).collect();
        let names: BTreeSet<String> = idle.iter().map(kube::ResourceExt::name_any).collect();
        self.unused.retain(|name, _| names.contains(name));
        let now = time::Instant::now();
        for namespace in idle {
            let since = *self.unused.entry(namespace.name_any()).or_insert(now);
            if now.duration_since(since) >= self.idle {
                self.collect(&api, &namespace).await?;
            }
        }
        Ok(())
    }

    fn selector(&self) -> String {
        let (manager, instance) = (naming::MANAGER, &self.shared.settings.instance);
        format!(
            "{}={manager},{}={instance}",
            naming::MANAGED_BY,
            naming::INSTANCE
        )
    }

    fn in_use(&self) -> BTreeSet<String> {
        let sandboxes = self.shared.sandboxes();
        let launches = sandboxes
            .values()
            .filter_map(|sandbox| sandbox.seen().launch);
        launches
            .map(|launch| launch.namespace.name.to_string())
            .collect()
    }

    async fn collect(&self, api: &Api<Namespace>, namespace: &Namespace) -> Result<(), ApiError> {
        let name = namespace.name_any();
        // Nobody writes a record meanwhile.
        let _alone = self.shared.namespaces.write().await;
        if self.in_use().contains(&name) || !self.is_empty(&name).await? {
            return Ok(());
        }
        let this_one = DeleteParams {
            preconditions: Some(Preconditions {
                uid: namespace.uid(),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        match api::limited(api.delete(&name, &this_one)).await {
            Ok(_) => info!(namespace = %name, "deleted a namespace that nothing was in any more"),
            Err(ApiError::NotFound(_)) => {}
            Err(error @ (ApiError::Refused(_) | ApiError::Unavailable(_))) => return Err(error),
        }
        Ok(())
    }

    async fn is_empty(&self, namespace: &str) -> Result<bool, ApiError> {
        let pods = self.list::<Pod>(namespace).await?;
        let services = self.list::<Service>(namespace).await?;
        let secrets = self.list::<Secret>(namespace).await?;
        let is_own = |secret: &Secret| secret.type_.as_deref() != Some(TOKEN);
        Ok(pods.is_empty() && services.is_empty() && !secrets.iter().any(is_own))
    }

    async fn list<K>(&self, namespace: &str) -> Result<Vec<K>, ApiError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.shared.client.clone(), namespace);
        let listed = api::limited(api.list(&ListParams::default())).await?;
        Ok(listed.items)
    }
}
