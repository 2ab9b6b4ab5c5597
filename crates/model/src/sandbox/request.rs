//! What a user asks for when starting a sandbox.
//!
//! The request can pick among what profiles offer, by name, and set the fields
//! listed here; there is no way to write down anything that widens a profile.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::SnapshotId;
use crate::image::ImageReference;
use crate::name::{LevelName, ModeName, Tag};
use crate::quantity::Quantity;
use crate::secret::SecretVariable;
use crate::snapshot::MountPath;
use crate::violation::FieldPath;

mod check;

pub use check::{
    MOUNT_PATH_MAX, MOUNTED_BYTES_MAX, PROCESS_BYTES_MAX, PROCESS_WORDS_MAX, SELECTORS_MAX,
};

/// A request for a sandbox, as parsed at the edge.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StartRequest {
    /// The main process; empty means the image's own.
    pub command: Vec<String>,
    /// The image; `None` lets the profile decide.
    pub image: Option<ImageReference>,
    /// The environment.
    pub environment: Environment,
    /// Variables whose values are secrets.
    pub secrets: Vec<AskedSecret>,
    /// What should be set aside.
    pub requests: ResourceAmounts,
    /// What may at most be used.
    pub limits: ResourceAmounts,
    /// Ports that the sandbox listens on.
    pub ports: Vec<Port>,
    /// Choices about the network.
    pub network: Network,
    /// Files to be in place before the main process starts.
    pub mounted_files: Vec<MountedFile>,
    /// The file system that it has to itself, if any.
    pub file_system: Option<FileSystemWish>,
    /// Free tags.
    pub tags: Vec<Tag>,
    /// Annotations of the pod.
    pub annotations: Annotations,
    /// Which profiles and runners are acceptable.
    pub selectors: Selectors,
    /// How long the sandbox may live.
    pub max_lifetime: Option<Duration>,
    /// By what a repeated request is known to be the same one.
    pub key: Option<StartKey>,
}

/// The key of a request, and what it is the key of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartKey {
    /// As the caller chose it.
    pub key: String,
    /// Of all that is asked for.
    pub digest: [u8; 32],
}

/// Environment variables by name.
pub type Environment = BTreeMap<String, String>;

/// Pod annotations by key.
pub type Annotations = BTreeMap<String, String>;

/// A secret that is asked for, and where the request says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedSecret {
    /// What is asked for.
    pub variable: SecretVariable,
    /// The place of the mapping in the request.
    pub at: FieldPath,
}

/// Amounts of each resource; absent ones come from the profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourceAmounts {
    /// CPU.
    pub cpu: Option<Quantity>,
    /// Memory.
    pub memory: Option<Quantity>,
    /// GPUs.
    pub gpu: Option<GpuRequest>,
}

/// A number of GPUs of some kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuRequest {
    /// How many; at least one.
    pub count: u32,
    /// Which ones will do.
    pub kind: GpuKind,
}

/// Which GPUs will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GpuKind {
    /// Any.
    Any,
    /// Those of this type.
    Type(String),
    /// Those with at least this much memory, in GB.
    MemoryGb(u32),
}

/// A port that the sandbox listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The number, 1 to 65535.
    pub number: u16,
    /// A name for it; may be empty.
    pub name: String,
    /// The protocol on it.
    pub protocol: Protocol,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// The protocol as Kubernetes spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

/// Choices about the network, by the names that the profile gave them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The ingress level; `None` exposes nothing.
    pub ingress_mode: Option<LevelName>,
    /// The ports to expose there; each is one of the request's ports.
    pub exposed_ports: Vec<u16>,
    /// The egress mode; `None` takes the profile's default.
    pub egress_mode: Option<ModeName>,
}

/// A file to be in place before the main process starts; read-only there.
#[derive(Clone, PartialEq, Eq)]
pub struct MountedFile {
    /// The absolute path, without `..`.
    pub path: String,
    /// The content.
    pub content: Vec<u8>,
}

impl MountedFile {
    /// How many bytes files hold together.
    pub fn total_bytes(files: &[Self]) -> usize {
        files.iter().map(|file| file.content.len()).sum()
    }
}

impl std::fmt::Debug for MountedFile {
    /// Leaves the content out: it may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MountedFile")
            .field("path", &self.path)
            .field("bytes", &self.content.len())
            .finish_non_exhaustive()
    }
}

/// A file system that a sandbox should have to itself.
#[derive(Clone, Debug, PartialEq)]
pub struct FileSystemWish {
    /// Where it should be.
    pub mount_path: MountPath,
    /// How large it should be; `None` takes what the server or the snapshot has.
    pub size: Option<Quantity>,
    /// What should be in it.
    pub snapshot: Option<SnapshotId>,
}

/// Which profiles and runners are acceptable. Empty lists accept any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selectors {
    /// Ids or names of profiles.
    pub profiles: Vec<String>,
    /// Names of runners.
    pub runners: Vec<String>,
}

impl Selectors {
    /// Whether the caller named a profile.
    pub fn names_profile(&self) -> bool {
        !self.profiles.is_empty()
    }
}
