//! Which namespace a sandbox lands in.
//!
//! The names themselves are made in [`crate::namespace`]; here is only what an
//! administrator can ask for.

use std::collections::BTreeMap;

use crate::name::DnsLabel;

/// The namespace block of one layer. Absent fields inherit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceSpec {
    /// How sandboxes are grouped; per user when no layer says.
    pub strategy: Option<NamespaceStrategy>,
    /// What goes before generated names.
    pub prefix: Option<String>,
    /// The one namespace of the `static` strategy.
    pub static_namespace: Option<DnsLabel>,
    /// Whether a missing namespace is made; yes when no layer says.
    pub auto_create: Option<bool>,
    /// Labels of namespaces that are made.
    pub labels: BTreeMap<String, String>,
    /// Annotations of namespaces that are made.
    pub annotations: BTreeMap<String, String>,
}

/// One namespace for each of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NamespaceStrategy {
    /// Each user of an organization.
    PerUser,
    /// Each organization.
    PerOrg,
    /// Each profile.
    PerProfile,
    /// The whole cluster.
    Static,
}

impl NamespaceStrategy {
    /// Every strategy.
    pub const ALL: [Self; 4] = [Self::PerUser, Self::PerOrg, Self::PerProfile, Self::Static];

    /// The strategy as profiles spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PerUser => "per-user",
            Self::PerOrg => "per-org",
            Self::PerProfile => "per-profile",
            Self::Static => "static",
        }
    }
}
