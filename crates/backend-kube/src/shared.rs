//! What all sandboxes of one backend share.
//!
//! Dropping it leaves everything in the cluster as it is: sandboxes go on, and
//! the next run finds them by their labels.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Client;
use palisade_model::cidr::Cidr;
use palisade_model::clock::Clock;
use palisade_model::id::SandboxId;
use palisade_model::sandbox::Launch;
use tokio::sync::{RwLock, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cache;
use crate::enforcement::Finding;
use crate::facts::Facts;
use crate::hints::Hints;
use crate::naming;
use crate::sandbox::Sandbox;
use crate::secrets::Handed;
use crate::settings::Settings;
use crate::usage::UsageBook;

/// What all sandboxes of one backend share.
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: TaskTracker,
    /// What moves commands and logs; each ends with whoever asked for it.
    pub(crate) attached: TaskTracker,
    pub(crate) closing: CancellationToken,
    pub(crate) hints: Hints,
    /// Values of secrets of sandboxes without a record.
    pub(crate) handed: Handed,
    /// How many of the watches have listed everything.
    pub(crate) complete: watch::Sender<usize>,
    /// Whether the cluster was seen to enforce network policies.
    pub(crate) enforced: watch::Sender<Finding>,
    /// What sandboxes use, as the cluster last said.
    pub(crate) usage: UsageBook,
    /// Public ranges of the nodes; see [`Facts::public_ranges`].
    pub(crate) nodes: watch::Sender<Arc<[Cidr]>>,
    /// Counts the nodes that came.
    pub(crate) new_nodes: watch::Sender<u64>,
    /// Read while a record is written, written while a namespace is deleted: what
    /// was just recorded must not go with a namespace that looked empty. Each holds
    /// it for a few calls of the server, and these have a limit.
    pub(crate) namespaces: RwLock<()>,
    sandboxes: Mutex<BTreeMap<SandboxId, Arc<Sandbox>>>,
    facts: Mutex<Facts>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("sandboxes", &self.sandboxes().len())
            .field("complete", &*self.complete.borrow())
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(client: Client, settings: Settings, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            client,
            settings,
            clock,
            tasks: TaskTracker::new(),
            attached: TaskTracker::new(),
            closing: CancellationToken::new(),
            hints: Hints::default(),
            handed: Handed::default(),
            complete: watch::Sender::new(0),
            enforced: watch::Sender::new(Finding::Unknown),
            usage: UsageBook::default(),
            nodes: watch::Sender::new(Arc::from([])),
            new_nodes: watch::Sender::new(0),
            namespaces: RwLock::new(()),
            sandboxes: Mutex::default(),
            facts: Mutex::default(),
        })
    }

    pub(crate) fn sandboxes(&self) -> MutexGuard<'_, BTreeMap<SandboxId, Arc<Sandbox>>> {
        let sandboxes = self.sandboxes.lock();
        sandboxes.unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn sandbox(&self, id: SandboxId) -> Option<Arc<Sandbox>> {
        self.sandboxes().get(&id).cloned()
    }

    /// The sandbox, which may as yet be nothing but an object without a record.
    pub(crate) fn find_or_make(&self, id: SandboxId) -> Arc<Sandbox> {
        let mut sandboxes = self.sandboxes();
        let sandbox = sandboxes.entry(id);
        Arc::clone(sandbox.or_insert_with(|| Arc::new(Sandbox::new(id, None))))
    }

    /// The sandbox, wished for with this launch if it does not exist.
    pub(crate) fn find_or_wish(&self, launch: &Launch) -> Arc<Sandbox> {
        let sandbox = self.find_or_make(launch.id);
        sandbox.see(|seen| {
            let launch = || Arc::new(launch.clone());
            seen.launch.get_or_insert_with(launch);
        });
        sandbox
    }

    /// Forgets a sandbox of which nothing is left.
    pub(crate) fn forget(&self, sandbox: &Arc<Sandbox>) {
        let mut sandboxes = self.sandboxes();
        let is_it = |known: &Arc<Sandbox>| Arc::ptr_eq(known, sandbox);
        if sandboxes.get(&sandbox.id()).is_some_and(is_it) {
            sandboxes.remove(&sandbox.id());
        }
        drop(sandboxes);
        self.hints.hint(sandbox.id());
    }

    /// Forgets a sandbox that nobody wished for and that never had a record.
    pub(crate) fn forget_if_unknown(&self, sandbox: &Arc<Sandbox>) {
        let seen = sandbox.seen();
        if seen.launch.is_none() && seen.pod.is_none() {
            self.forget(sandbox);
        }
    }

    /// The labels of everything that belongs to a sandbox of this runner.
    pub(crate) fn selector(&self) -> String {
        let (manager, instance) = (naming::MANAGER, &self.settings.instance);
        let (managed_by, of) = (naming::MANAGED_BY, naming::INSTANCE);
        format!(
            "{managed_by}={manager},{of}={instance},{}",
            naming::SANDBOX_ID
        )
    }

    /// Waits until every watch has listed what there is; `false` if the backend
    /// closes before.
    pub(crate) async fn wait_until_complete(&self) -> bool {
        let mut complete = self.complete.subscribe();
        tokio::select! {
            biased;
            () = self.closing.cancelled() => false,
            listed = complete.wait_for(|count| *count >= cache::WATCHES) => listed.is_ok(),
        }
    }
}
