//! Writing down an end, and freeing what a sandbox that ended still holds.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use kube::Api;
use kube::api::{Patch, PatchParams};
use palisade_backend::View;
use palisade_model::sandbox::Launch;
use serde_json::json;
use tracing::info;

use super::{Driver, Next};
use crate::api::{self, ApiError};
use crate::end;
use crate::manifest;
use crate::naming;
use crate::sandbox::Seen;

impl Driver {
    /// Writes an end into the record, where it has the last word.
    pub(super) async fn end(&mut self, view: View) -> Next {
        let seen = self.sandbox.seen();
        let (Some(launch), Some(text)) = (&seen.launch, end::encode(&view)) else {
            return Next::Wait;
        };
        let records: Api<Secret> = self.api(launch);
        let patch = json!({ "metadata": { "annotations": { end::END: text } } });
        let parameters = PatchParams {
            field_manager: Some(naming::MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let name = naming::object(launch.id);
        let patch = Patch::Merge(&patch);
        match api::patient(|| records.patch(&name, &parameters, &patch)).await {
            Ok(_) => {
                info!(sandbox.id = %launch.id, "the end of the sandbox is recorded");
                self.failures = 0;
                self.sandbox.see(|seen| seen.write_end(view));
                self.shared.hints.hint(launch.id);
                Next::Again
            }
            // The record went as well; the watch will show that.
            Err(ApiError::NotFound(_)) => Next::Wait,
            Err(error @ (ApiError::Refused(_) | ApiError::Unavailable(_))) => {
                self.try_later("could not record the end", &error)
            }
        }
    }

    /// A sandbox that ended keeps its logs, which are its pod's, and no more.
    pub(super) async fn free(&mut self, seen: &Seen) -> Next {
        if self.is_freed {
            return Next::Wait;
        }
        let Some(launch) = seen.launch.clone() else {
            return Next::Wait;
        };
        if let (true, Some(pod)) = (seen.has_end(), &seen.pod) {
            let now = self.shared.clock.now();
            let pod_is_over = matches!(
                crate::view::verdict(pod, crate::view::Around::default(), now),
                crate::view::Verdict::At(view) if view.is_over()
            );
            if !pod_is_over && let Err(error) = self.delete_pod(&launch, pod).await {
                return self.try_later("could not delete the pod", &error);
            }
        }
        match self.free_entries(&launch).await {
            Ok(()) => {
                self.failures = 0;
                self.is_freed = true;
                Next::Wait
            }
            Err(error) => self.try_later("could not free what the sandbox held", &error),
        }
    }

    /// Deletes what leads to the sandbox, and last what holds others back from it.
    pub(super) async fn free_entries(&self, launch: &Arc<Launch>) -> Result<(), ApiError> {
        let (id, settings) = (launch.id, &self.shared.settings);
        if manifest::ingress(launch, settings).is_some() {
            let ingresses: Api<Ingress> = self.api(launch);
            api::delete(&ingresses, &naming::object(id), None).await?;
        }
        if manifest::service(launch, settings).is_some() {
            let services: Api<Service> = self.api(launch);
            api::delete(&services, &naming::service(id), None).await?;
        }
        api::delete(&self.policies(launch), &naming::object(id), None).await
    }

    /// Ends whatever runs of a pod. What is on a node that cannot be asked is
    /// given up: the node, should it come back, ends it then.
    pub(super) async fn delete_pod(&self, launch: &Arc<Launch>, pod: &Pod) -> Result<(), ApiError> {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        let is_lost = node.is_some_and(|node| self.shared.facts().is_lost(&node));
        let grace = u32::from(!is_lost);
        let pods: Api<Pod> = self.api(launch);
        api::delete(&pods, &naming::object(launch.id), Some(grace)).await
    }

    pub(super) fn policies(&self, launch: &Launch) -> Api<NetworkPolicy> {
        self.api(launch)
    }

    /// The objects of a kind in the namespace of the sandbox.
    pub(super) fn api<K>(&self, launch: &Launch) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.shared.client.clone(), launch.namespace.name.as_str())
    }
}
