//! What an operator says about registries.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// When a registry is asked for an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PullPolicy {
    /// If its name is not in the store.
    #[default]
    IfAbsent,
    /// Each time, so that a name that moved on is noticed. What the store has
    /// already is not fetched again, and a digest cannot move on.
    Always,
    /// Never: what is not in the store is refused.
    Never,
}

/// Which registries this machine may pull from, and with what patience.
///
/// A registry is written as in a reference: `host` or `host:port`, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registries {
    /// When a registry is asked.
    pub policy: PullPolicy,
    /// A file of credentials as `docker login` writes it. It is read for each
    /// pull; programs that it names are never run.
    pub credentials: Option<PathBuf>,
    /// Registries that are spoken to without TLS. Those on a loopback address
    /// always are.
    pub insecure: BTreeSet<String>,
    /// The only registries that may be asked; `None` means any that is not in
    /// the link-local network of this machine.
    pub allowed: Option<BTreeSet<String>>,
    /// Layers of one image that are fetched at the same time.
    pub layers_at_once: NonZeroUsize,
    /// Tries of one request; progress of a mebibyte makes them anew.
    pub attempts_max: u32,
    /// The wait before the second try; it doubles with each further one.
    pub backoff: Duration,
    /// How long a connection may take.
    pub connect_time: Duration,
    /// How long a document, a token or the beginning of a layer may take.
    pub answer_time: Duration,
    /// How long a layer may come to a stop.
    pub idle_time: Duration,
    /// How long an image may take in all, waiting for others included.
    pub pull_time: Duration,
}

impl Default for Registries {
    fn default() -> Self {
        Self {
            policy: PullPolicy::default(),
            credentials: None,
            insecure: BTreeSet::new(),
            allowed: None,
            layers_at_once: NonZeroUsize::MIN.saturating_add(2),
            attempts_max: 4,
            backoff: Duration::from_millis(500),
            connect_time: Duration::from_secs(10),
            answer_time: Duration::from_secs(30),
            idle_time: Duration::from_secs(30),
            pull_time: Duration::from_mins(30),
        }
    }
}
