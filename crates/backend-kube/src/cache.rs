//! The watches: what the cluster shows of every sandbox, kept current.
//!
//! One task per kind of object. Each begins with a list and goes on with
//! changes; a watch that breaks is taken up again, with a pause that grows.
//! Nothing is asked for periodically.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{Node, Pod, Secret, Service};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch_kind};
use kube::{Api, Resource, ResourceExt as _};
use palisade_model::id::SandboxId;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tracing::{error, warn};

use crate::naming;
use crate::shared::Shared;

mod sights;

/// A kind of object that sandboxes have.
pub(crate) trait Sight:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    /// Takes it in, or takes note that it is gone.
    fn put(shared: &Arc<Shared>, id: SandboxId, object: Option<Self>);
}

/// A kind of object that says what the cluster can do.
pub(crate) trait Fact:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    /// Takes it in, or takes note that it is gone.
    fn put(shared: &Shared, name: &str, object: Option<Self>);
}

/// The number of watches that have to be complete before anything is decided.
pub(crate) const WATCHES: usize = 8;

/// Starts the watches.
pub(crate) fn start(shared: &Arc<Shared>) {
    watch_sandboxes::<Secret>(shared);
    watch_sandboxes::<Pod>(shared);
    watch_sandboxes::<Service>(shared);
    watch_sandboxes::<Ingress>(shared);
    watch_facts::<Node>(shared);
    watch_facts::<RuntimeClass>(shared);
    watch_facts::<StorageClass>(shared);
    watch_facts::<IngressClass>(shared);
}

fn watch_sandboxes<K: Sight>(shared: &Arc<Shared>) {
    let selector = shared.selector();
    let config = watcher::Config::default().labels(&selector);
    let shared_here = Arc::clone(shared);
    let mut listed = BTreeSet::new();
    let mut known = BTreeSet::new();
    let take = move |event: Event<K>| match event {
        Event::Init => listed.clear(),
        Event::InitApply(object) | Event::Apply(object) => {
            let Some(id) = sandbox_id(&object) else {
                return;
            };
            listed.insert(id);
            known.insert(id);
            K::put(&shared_here, id, Some(object));
        }
        Event::Delete(object) => {
            if let Some(id) = sandbox_id(&object) {
                listed.remove(&id);
                known.remove(&id);
                K::put(&shared_here, id, None);
            }
        }
        Event::InitDone => {
            for id in known.difference(&listed) {
                K::put(&shared_here, *id, None);
            }
            known.retain(|id| listed.contains(id));
        }
    };
    run(shared, config, take);
}

fn watch_facts<K: Fact>(shared: &Arc<Shared>) {
    let shared_here = Arc::clone(shared);
    let mut listed = BTreeSet::new();
    let mut known = BTreeSet::new();
    let take = move |event: Event<K>| match event {
        Event::Init => listed.clear(),
        Event::InitApply(object) | Event::Apply(object) => {
            let name = object.name_any();
            listed.insert(name.clone());
            known.insert(name.clone());
            K::put(&shared_here, &name, Some(object));
        }
        Event::Delete(object) => {
            let name = object.name_any();
            listed.remove(&name);
            known.remove(&name);
            K::put(&shared_here, &name, None);
        }
        Event::InitDone => {
            for name in known.difference(&listed) {
                K::put(&shared_here, name, None);
            }
            known.retain(|name| listed.contains(name));
        }
    };
    run(shared, watcher::Config::default(), take);
}

/// Watches one kind until the backend closes.
fn run<K>(
    shared: &Arc<Shared>,
    config: watcher::Config,
    mut take: impl FnMut(Event<K>) + Send + 'static,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let api: Api<K> = Api::all(shared.client.clone());
    let closing = shared.closing.clone();
    let complete = shared.complete.clone();
    shared.tasks.spawn(async move {
        let kind = K::kind(&());
        // Told once: a watch that breaks lists everything again.
        let mut untold = Some(complete);
        let mut events = watch_kind(api, config).default_backoff().boxed();
        loop {
            // Dropping the wait for an event loses none: it stays in the stream.
            let event = tokio::select! {
                biased;
                () = closing.cancelled() => return,
                event = events.next() => event,
            };
            match event {
                Some(Ok(event)) => {
                    let ends_list = matches!(event, Event::InitDone);
                    take(event);
                    tell_complete(ends_list, &mut untold);
                }
                Some(Err(error)) => warn!(%kind, %error, "a watch broke; it is taken up again"),
                None => {
                    error!(%kind, "a watch ended");
                    return;
                }
            }
        }
    });
}

fn tell_complete(ends_list: bool, untold: &mut Option<watch::Sender<usize>>) {
    if ends_list && let Some(complete) = untold.take() {
        complete.send_modify(|count| *count += 1);
    }
}

fn sandbox_id<K: Resource>(object: &K) -> Option<SandboxId> {
    object.labels().get(naming::SANDBOX_ID)?.parse().ok()
}
