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

/// How many objects a list gives at once: what they take is given back only when
/// the next ones come.
const PAGE: u32 = 100;

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
    let config = config.page_size(PAGE);
    let shared_here = Arc::clone(shared);
    let put = move |id: &SandboxId, object| K::put(&shared_here, *id, object);
    run(shared, config, told(sandbox_id::<K>, put));
}

fn watch_facts<K: Fact>(shared: &Arc<Shared>) {
    let shared_here = Arc::clone(shared);
    let put = move |name: &String, object| K::put(&shared_here, name, object);
    let name = |object: &K| Some(object.name_any());
    run(shared, watcher::Config::default(), told(name, put));
}

/// Tells `put` what is there and what is gone, by key. A list says what is gone
/// by leaving it out; objects without a key are none of ours.
fn told<K, N: Ord + Clone>(
    key: impl Fn(&K) -> Option<N>,
    put: impl Fn(&N, Option<K>),
) -> impl FnMut(Event<K>) {
    let mut listed = BTreeSet::new();
    let mut known = BTreeSet::new();
    move |event| match event {
        Event::Init => listed.clear(),
        Event::InitApply(object) | Event::Apply(object) => {
            let Some(key) = key(&object) else {
                return;
            };
            listed.insert(key.clone());
            known.insert(key.clone());
            put(&key, Some(object));
        }
        Event::Delete(object) => {
            if let Some(key) = key(&object) {
                listed.remove(&key);
                known.remove(&key);
                put(&key, None);
            }
        }
        Event::InitDone => {
            for key in known.difference(&listed) {
                put(key, None);
            }
            known.retain(|key| listed.contains(key));
        }
    }
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// What is told of these events; an object is its own key, and 0 has none.
    fn told_of(events: Vec<Event<u8>>) -> Vec<(u8, bool)> {
        let told_so_far = RefCell::new(Vec::new());
        let key = |object: &u8| (*object != 0).then_some(*object);
        let put = |key: &u8, object: Option<u8>| {
            told_so_far.borrow_mut().push((*key, object.is_some()));
        };
        let mut take = told(key, put);
        events.into_iter().for_each(&mut take);
        drop(take);
        told_so_far.into_inner()
    }

    #[test]
    fn what_a_new_list_leaves_out_is_gone() {
        let first = vec![Event::Init, Event::InitApply(1), Event::InitDone];
        let meanwhile = vec![Event::Apply(2), Event::Delete(1), Event::Apply(3)];
        let again = vec![Event::Init, Event::InitApply(3), Event::InitDone];
        let events = [first, meanwhile, again].concat();
        let expected = [
            (1, true),
            (2, true),
            (1, false),
            (3, true),
            (3, true),
            (2, false),
        ];
        assert_eq!(told_of(events), expected);
    }

    #[test]
    fn objects_without_a_key_are_left_alone() {
        assert_eq!(told_of(vec![Event::Apply(0), Event::Delete(0)]), []);
    }
}
