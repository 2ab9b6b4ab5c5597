//! Finding the API server: from inside of the cluster, or by a kubeconfig.

use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Why there is no way to the cluster.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is neither a kubeconfig nor a service account.
    #[error("this process runs in no cluster, and no kubeconfig names one")]
    NoCluster(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What it says makes no client.
    #[error("the cluster cannot be called as configured")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A way to the API server.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) client: Client,
    /// The namespace of the runner itself, or of the kubeconfig's context.
    namespace: String,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// The cluster of this context of a kubeconfig, or the one that this process
    /// runs in.
    pub async fn find(
        kubeconfig: Option<&Path>,
        context: Option<&str>,
    ) -> Result<Self, ConnectError> {
        let config = match kubeconfig {
            Some(path) => by_file(path, context).await?,
            None => Config::incluster().map_err(|error| ConnectError::NoCluster(error.into()))?,
        };
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config);
        Ok(Self {
            client: client.map_err(|error| ConnectError::Client(error.into()))?,
            namespace,
        })
    }

    /// The namespace that the runner keeps its own objects in.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
}

async fn by_file(path: &Path, context: Option<&str>) -> Result<Config, ConnectError> {
    let file = Kubeconfig::read_from(path);
    let file = file.map_err(|error| ConnectError::Kubeconfig(error.into()))?;
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(file, &options).await;
    config.map_err(|error| ConnectError::Kubeconfig(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kubeconfig_that_is_not_there_or_is_none_is_told() {
        let missing = Cluster::find(Some(Path::new("/no/such/kubeconfig")), None).await;
        assert!(matches!(missing, Err(ConnectError::Kubeconfig(_))));
        let odd = Cluster::find(Some(Path::new("/proc/self/cmdline")), None).await;
        assert!(matches!(odd, Err(ConnectError::Kubeconfig(_))));
    }

    #[tokio::test]
    async fn outside_of_a_cluster_a_kubeconfig_is_needed() {
        let found = Cluster::find(None, None).await;
        assert!(matches!(found, Err(ConnectError::NoCluster(_))));
    }
}
