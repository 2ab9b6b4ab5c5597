//! What each kind of object tells.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod, Secret, Service};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::storage::v1::StorageClass;
use palisade_backend::View;
use palisade_model::id::SandboxId;
use tracing::error;

use super::{Fact, Sight};
use crate::manifest::read_record;
use crate::sandbox::record_of;
use crate::shared::Shared;
use crate::{driver, facts, slim};

impl Sight for Secret {
    fn put(shared: &Arc<Shared>, id: SandboxId, object: Option<Self>) {
        match object {
            Some(secret) => put_record(shared, id, &secret),
            None => lose_record(shared, id),
        }
        shared.hints.hint(id);
    }
}

fn put_record(shared: &Arc<Shared>, id: SandboxId, secret: &Secret) {
    let Some(record) = record_of(secret) else {
        return;
    };
    let sandbox = shared.find_or_make(id);
    if sandbox.seen().launch.is_none() {
        let data = secret.data.as_ref();
        let value = |key: &str| Some(data?.get(key)?.0.as_slice());
        match read_record(&record.owner.name, value) {
            Ok(launch) => sandbox.see(|seen| seen.launch = Some(Arc::new(launch))),
            Err(error) => {
                error!(sandbox.id = %id, %error, "a sandbox of the cluster cannot be taken over");
                return;
            }
        }
    }
    sandbox.see(|seen| seen.record = Some(record));
    driver::adopt(shared, &sandbox);
}

/// A record that goes although nobody removes the sandbox takes all of it along.
fn lose_record(shared: &Arc<Shared>, id: SandboxId) {
    let Some(sandbox) = shared.sandbox(id) else {
        return;
    };
    let now = shared.clock.now();
    sandbox.see(|seen| {
        seen.record = None;
        if seen.is_leaving {
            return;
        }
        let view = seen.view(now);
        let lost = || View::Failed {
            at: now,
            reason: "its objects were deleted from the cluster, or its namespace was".to_owned(),
        };
        seen.lost = Some(if view.is_over() { view } else { lost() });
    });
}

impl Sight for Pod {
    fn put(shared: &Arc<Shared>, id: SandboxId, object: Option<Self>) {
        let sandbox = match &object {
            Some(_) => Some(shared.find_or_make(id)),
            None => shared.sandbox(id),
        };
        if let Some(sandbox) = sandbox {
            sandbox.see(|seen| {
                seen.had_pod |= object.is_some();
                seen.pod = object.map(slim::pod);
            });
            shared.forget_if_unknown(&sandbox);
        }
        shared.hints.hint(id);
    }
}

impl Sight for Service {
    fn put(shared: &Arc<Shared>, id: SandboxId, object: Option<Self>) {
        if let Some(sandbox) = shared.sandbox(id) {
            sandbox.see(|seen| seen.service = object.map(slim::service));
            shared.hints.hint(id);
        } else if object.is_some() {
            let sandbox = shared.find_or_make(id);
            sandbox.see(|seen| seen.service = object.map(slim::service));
        }
    }
}

impl Sight for Ingress {
    fn put(shared: &Arc<Shared>, id: SandboxId, object: Option<Self>) {
        if let Some(sandbox) = shared.sandbox(id) {
            sandbox.see(|seen| seen.ingress = object.map(slim::ingress));
            shared.hints.hint(id);
        } else if object.is_some() {
            let sandbox = shared.find_or_make(id);
            sandbox.see(|seen| seen.ingress = object.map(slim::ingress));
        }
    }
}

impl Fact for Node {
    fn put(shared: &Shared, name: &str, object: Option<Self>) {
        let settings = &shared.settings;
        let node = object.map(|node| facts::Node::read(&node, settings));
        let mut facts = shared.facts();
        let is_new = facts.put_node(name, node);
        let ranges = facts.public_ranges();
        drop(facts);
        shared.nodes.send_if_modified(|known| {
            let is_other = **known != *ranges;
            if is_other {
                *known = ranges.into();
            }
            is_other
        });
        if is_new {
            shared.new_nodes.send_modify(|count| *count += 1);
        }
    }
}

impl Fact for RuntimeClass {
    fn put(shared: &Shared, name: &str, object: Option<Self>) {
        shared.facts().put_runtime_class(name, object.is_some());
    }
}

impl Fact for StorageClass {
    fn put(shared: &Shared, name: &str, object: Option<Self>) {
        shared.facts().put_storage_class(name, object.is_some());
    }
}

impl Fact for IngressClass {
    fn put(shared: &Shared, name: &str, object: Option<Self>) {
        shared.facts().put_ingress_class(name, object.is_some());
    }
}
