//! Whom a sandbox may reach, and who may reach it.
//!
//! These are the words of the administrator. What they mean for an address is
//! decided in [`crate::policy`].

use std::collections::BTreeMap;

use crate::cidr::Cidr;
use crate::label::{self, LabelError};
use crate::name::{ControllerName, LevelName, ModeName};
use crate::template::HostTemplate;

/// The network block of one layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkSpec {
    /// Outbound; absent means that nothing gets out.
    pub egress: Option<Egress>,
    /// Inbound levels, by the name that users pick.
    pub ingress: Ingress,
}

/// The inbound levels of a profile, by name.
pub type Ingress = BTreeMap<LevelName, Exposure>;

/// Named outbound modes and the one that applies when none is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Egress {
    default: ModeName,
    modes: BTreeMap<ModeName, EgressMode>,
}

/// Why modes and default do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// The default names no mode.
    #[error("names the mode {default:?}, which is not among the modes")]
    UnknownDefault {
        /// The name that was not found.
        default: String,
    },
}

impl Egress {
    /// Puts modes and default together; the default must be one of the modes.
    pub fn new(
        default: ModeName,
        modes: BTreeMap<ModeName, EgressMode>,
    ) -> Result<Self, EgressError> {
        if modes.contains_key(&default) {
            Ok(Self { default, modes })
        } else {
            Err(EgressError::UnknownDefault {
                default: default.to_string(),
            })
        }
    }

    /// The name of the mode that applies when none is asked for.
    pub fn default_name(&self) -> &ModeName {
        &self.default
    }

    /// The mode with this name.
    pub fn mode(&self, name: &ModeName) -> Option<&EgressMode> {
        self.modes.get(name)
    }

    /// All modes, by name.
    pub fn modes(&self) -> &BTreeMap<ModeName, EgressMode> {
        &self.modes
    }
}

/// What a sandbox may open connections to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EgressMode {
    /// Nothing.
    None,
    /// Public addresses.
    Internet,
    /// Sandboxes of the same user.
    User,
    /// Sandboxes of the same organization.
    Org,
    /// Sandboxes of the same profile, within the organization.
    Profile,
    /// Addresses inside these ranges.
    Allowlist(Vec<Cidr>),
}

/// The kind of an egress mode, without its ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EgressType {
    /// Nothing.
    None,
    /// Public addresses.
    Internet,
    /// Sandboxes of the same user.
    User,
    /// Sandboxes of the same organization.
    Org,
    /// Sandboxes of the same profile.
    Profile,
    /// Listed ranges.
    Allowlist,
}

impl EgressType {
    /// Every type.
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Internet,
        Self::User,
        Self::Org,
        Self::Profile,
        Self::Allowlist,
    ];

    /// The type as profiles spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Internet => "internet",
            Self::User => "user",
            Self::Org => "org",
            Self::Profile => "profile",
            Self::Allowlist => "allowlist",
        }
    }
}

impl EgressMode {
    /// The mode of a kind that needs nothing but its name.
    pub fn plain(kind: EgressType) -> Option<Self> {
        match kind {
            EgressType::None => Some(Self::None),
            EgressType::Internet => Some(Self::Internet),
            EgressType::User => Some(Self::User),
            EgressType::Org => Some(Self::Org),
            EgressType::Profile => Some(Self::Profile),
            EgressType::Allowlist => None,
        }
    }

    /// The kind of this mode.
    pub fn kind(&self) -> EgressType {
        match self {
            Self::None => EgressType::None,
            Self::Internet => EgressType::Internet,
            Self::User => EgressType::User,
            Self::Org => EgressType::Org,
            Self::Profile => EgressType::Profile,
            Self::Allowlist(_) => EgressType::Allowlist,
        }
    }
}

/// One level at which a sandbox can expose ports.
#[derive(Clone, Debug, PartialEq)]
pub struct Exposure {
    /// Who may come in.
    pub scope: Scope,
    /// Whether the sandbox is ready only once it has an external address.
    pub expects_external_address: bool,
    /// The service in front of the sandbox.
    pub service: ServiceSpec,
    /// The HTTP entry point beside the service.
    pub route: Option<IngressRoute>,
}

/// Who may come in through a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Sandboxes of the same user.
    User,
    /// Sandboxes of the same profile.
    Profile,
    /// Anything inside the organization.
    Org,
    /// Anybody.
    Any,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::User, Self::Profile, Self::Org, Self::Any];

    /// The scope as profiles spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Profile => "profile",
            Self::Org => "org",
            Self::Any => "any",
        }
    }
}

/// The service that a level makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceSpec {
    /// How the service is reached.
    pub service_type: ServiceType,
    /// Pins the address pool.
    pub selector_annotation: Option<Annotation>,
    /// Lets a DNS controller make a record.
    pub dns_annotation: Option<Annotation>,
}

/// How a service is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceType {
    /// From inside the cluster; what a service is when nobody says, as it
    /// exposes the least.
    #[default]
    ClusterIp,
    /// Through a port of any node.
    NodePort,
    /// Through an address of its own.
    LoadBalancer,
}

impl ServiceType {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::ClusterIp, Self::NodePort, Self::LoadBalancer];

    /// The type as Kubernetes spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// An annotation of a service: a key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    key: String,
    value: String,
}

/// Why a key and a value are no annotation of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnnotationError {
    /// The key breaks the rules of Kubernetes.
    #[error(transparent)]
    BadKey(#[from] LabelError),
    /// The key is one that only the system sets.
    #[error(
        "is reserved: only the system sets keys under {}",
        label::RESERVED_PREFIX
    )]
    Reserved,
    /// The value is longer than any pool or host name.
    #[error("has {len} bytes; at most {} are allowed", Annotation::VALUE_LEN_MAX)]
    ValueTooLong {
        /// How long it is.
        len: usize,
    },
}

impl Annotation {
    /// The longest value, in bytes.
    pub const VALUE_LEN_MAX: usize = 4096;

    /// Checks key and value.
    pub fn new(key: String, value: String) -> Result<Self, AnnotationError> {
        label::check_annotation_key(&key)?;
        if label::is_reserved(&key) {
            return Err(AnnotationError::Reserved);
        }
        if value.len() > Self::VALUE_LEN_MAX {
            return Err(AnnotationError::ValueTooLong { len: value.len() });
        }
        Ok(Self { key, value })
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value.
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// An HTTP entry point with a host name of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressRoute {
    /// The controller that programs the route.
    pub controller_name: ControllerName,
    /// How the host name is made.
    pub template: HostTemplate,
}
