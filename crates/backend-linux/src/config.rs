//! What the backend of one runner is built from.
//!
//! Everything that an operator decides, already parsed. Nothing here is checked
//! against the machine; that is what opening the backend does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use palisade_backend::SnapshotSource;
use palisade_image::Images;
use palisade_model::clock::Clock;
use palisade_model::name::RuntimeClass;
use palisade_model::runner::Resources;

use crate::network;

/// Everything that an operator decides about sandboxes on this host.
#[derive(Clone, Debug)]
pub struct LinuxConfig {
    /// Where sandboxes are kept. Must be on a file system that can be the lower
    /// and the upper part of an overlay and can be mapped to other owners, as
    /// ext4 and xfs can; and on the same one after a restart.
    pub state: PathBuf,
    /// The network of the sandboxes. Its instance also tells apart everything
    /// else that several runners have on one host, and its directory holds what
    /// is to be gone after a reboot.
    pub network: network::Config,
    /// The images, from its store or from registries.
    pub images: Images,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// The OCI runtimes by the class that profiles name.
    pub handlers: BTreeMap<RuntimeClass, Handler>,
    /// The class of sandboxes that name none; one of the handlers.
    pub default_class: RuntimeClass,
    /// What is kept back for the host itself.
    pub reserve: Resources,
    /// The most sandboxes at once.
    pub sandboxes_max: u32,
    /// The most processes and threads of one sandbox.
    pub pids_max: u32,
    /// How many sandboxes are started at the same time; others wait.
    pub starts_max: NonZeroUsize,
    /// The first of the host's user ids that sandboxes are mapped to. Each has
    /// 65536 of its own, and no other user of the host may have any of them.
    pub first_uid: u32,
    /// Where the HTTP entry point listens; without it and the next there is none.
    pub http_listen: Option<SocketAddr>,
    /// Where it listens with TLS.
    pub https: Option<Https>,
    /// How long a sandbox that expects an external address waits for one.
    pub address_wait: Duration,
    /// The file that tells under which names sandboxes are to be found, if any.
    pub dns_records: Option<PathBuf>,
    /// Where the content of restored file systems comes from. Without it sandboxes
    /// have no file systems of their own.
    pub snapshots: Option<Arc<dyn SnapshotSource>>,
    /// A directory with secrets of this runner for its sandboxes, as
    /// `NAME/KEY`; without it there are none.
    pub own_secrets: Option<PathBuf>,
    /// Labels that a node selector can match.
    pub node_labels: BTreeMap<String, String>,
    /// The classes of machines that this one belongs to.
    pub instance_types: BTreeSet<String>,
}

/// An entry point with TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Https {
    /// Where it listens.
    pub listen: SocketAddr,
    /// A chain of certificates in PEM; looked at again from time to time.
    pub certificate: PathBuf,
    /// The key of the certificate, in PEM.
    pub key: PathBuf,
}

/// An OCI runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handler {
    /// Which one it is.
    pub kind: HandlerKind,
    /// The program.
    pub path: PathBuf,
    /// Arguments in front of the command, as `--debug`.
    pub arguments: Vec<String>,
}

/// The OCI runtimes whose ways are known.
///
/// Others are not offered: a sandbox is served through descriptors that its
/// first process inherits, which a runtime with a kernel of its own cannot pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandlerKind {
    /// crun.
    Crun,
    /// runc.
    Runc,
}

impl HandlerKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Crun, Self::Runc];

    /// The kind as people spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crun => "crun",
            Self::Runc => "runc",
        }
    }
}

impl LinuxConfig {
    /// How many user ids each sandbox has.
    pub const UIDS_EACH: u32 = 65_536;

    /// The usual settings: crun and runc, as far as they are installed, and a
    /// tenth of the machine kept back.
    pub fn new(
        state: PathBuf,
        network: network::Config,
        images: Images,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let class = |kind: HandlerKind| RuntimeClass::new(kind.as_str()).ok();
        let handlers = HandlerKind::ALL.into_iter().filter_map(|kind| {
            let path = installed(kind.as_str())?;
            let arguments = Vec::new();
            let handler = Handler {
                kind,
                path,
                arguments,
            };
            Some((class(kind)?, handler))
        });
        let handlers: BTreeMap<_, _> = handlers.collect();
        let first = handlers.keys().next().cloned();
        Self {
            state,
            network,
            images,
            clock,
            default_class: first.unwrap_or_else(crun),
            handlers,
            reserve: Resources {
                cpu_millis: 0,
                memory_bytes: 512 << 20,
                gpus: 0,
            },
            sandboxes_max: 1024,
            pids_max: 2048,
            starts_max: const { NonZeroUsize::new(8).unwrap() },
            first_uid: 1 << 30,
            http_listen: None,
            https: None,
            address_wait: Duration::from_mins(2),
            dns_records: None,
            snapshots: None,
            own_secrets: None,
            node_labels: BTreeMap::new(),
            instance_types: BTreeSet::new(),
        }
    }
}

fn crun() -> RuntimeClass {
    RuntimeClass::new(HandlerKind::Crun.as_str()).expect("the name of a runtime is a class")
}

/// Where a program is, among the places where hosts have them.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    let places = ["/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin"];
    let mut paths = places.iter().map(|place| PathBuf::from(place).join(name));
    paths.find(|path| path.is_file())
}
