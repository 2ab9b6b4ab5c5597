//! Talking to a sandbox through the API server, or past it ([`crate::direct`]).
//!
//! Through the server, a command runs under a small shell script that is sent along ([`script`]), as
//! the protocol of the server has neither an end of input nor signals; the image
//! needs a POSIX shell and a few of the usual tools, and is told so if it has
//! none.

use std::num::NonZeroU16;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use palisade_backend::{Attach, AttachError, Exec, ExecSpec, LogQuery, Logs, Tunnel, Upload};
use palisade_model::id::SandboxId;

use crate::backend::KubeBackend;
use crate::direct;
use crate::naming;
use crate::shared::Shared;
use crate::view;

pub(crate) mod exec;
mod files;
mod frames;
mod logs;
mod outcome;
mod script;
pub(crate) mod signal;
mod terminal;
mod tunnel;

/// A pod that can be talked to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) pods: Api<Pod>,
    pub(crate) name: String,
    pub(crate) shared: Arc<Shared>,
}

impl Target {
    /// The pod of a sandbox in this namespace.
    pub(crate) fn new(shared: &Arc<Shared>, namespace: &str, id: SandboxId) -> Self {
        Self {
            pods: Api::namespaced(shared.client.clone(), namespace),
            name: naming::object(id),
            shared: Arc::clone(shared),
        }
    }
}

impl KubeBackend {
    /// The pod of a sandbox, whether it runs or not.
    fn target(&self, id: SandboxId) -> Result<(Target, Option<Arc<Pod>>), AttachError> {
        let sandbox = self.shared.sandbox(id).ok_or(AttachError::NotFound)?;
        let seen = sandbox.seen();
        let launch = seen.launch.ok_or(AttachError::NotFound)?;
        let target = Target::new(&self.shared, launch.namespace.name.as_str(), id);
        Ok((target, seen.pod))
    }

    /// The pod of a sandbox that runs.
    fn running(&self, id: SandboxId) -> Result<Target, AttachError> {
        let (target, pod) = self.target(id)?;
        if pod.is_some_and(|pod| view::is_running(&pod)) {
            Ok(target)
        } else {
            Err(AttachError::NotRunning)
        }
    }
}

#[async_trait]
impl Attach for KubeBackend {
    async fn exec(&self, id: SandboxId, spec: ExecSpec) -> Result<Exec, AttachError> {
        let target = self.running(id)?;
        if let Some(way) = direct::open(&self.shared, id, &target).await {
            return palisade_init_client::exec(way, spec, &self.shared.attached).await;
        }
        match spec.terminal {
            Some(size) => terminal::start(target, spec, size).await,
            None => exec::start(target, spec).await,
        }
    }

    async fn logs(&self, id: SandboxId, query: LogQuery) -> Result<Logs, AttachError> {
        let (target, pod) = self.target(id)?;
        logs::open(target, id, pod.as_deref(), query).await
    }

    async fn write_file(
        &self,
        id: SandboxId,
        path: &str,
        content: Upload,
    ) -> Result<(), AttachError> {
        let target = self.running(id)?;
        if let Some(way) = direct::open(&self.shared, id, &target).await {
            return palisade_init_client::write_file(way, path, content).await;
        }
        files::write(target, path, content.collect().await?).await
    }

    async fn read_file(
        &self,
        id: SandboxId,
        path: &str,
        bytes_max: u64,
    ) -> Result<Bytes, AttachError> {
        let target = self.running(id)?;
        if let Some(way) = direct::open(&self.shared, id, &target).await {
            return palisade_init_client::read_file(way, path, bytes_max).await;
        }
        files::read(target, path, bytes_max).await
    }

    async fn connect(&self, id: SandboxId, port: NonZeroU16) -> Result<Tunnel, AttachError> {
        let target = self.running(id)?;
        if let Some(way) = direct::open(&self.shared, id, &target).await {
            return palisade_init_client::connect(way, port, &self.shared.attached).await;
        }
        tunnel::connect(target, port).await
    }
}
