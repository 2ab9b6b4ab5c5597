//! Which namespace a sandbox lands in.
//!
//! The names themselves are made in [`crate::namespace`]; here is only what an
//! administrator can ask for.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::name::{DnsLabel, NameError};
use crate::namespace;

/// The namespace block of one layer. Absent fields inherit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceSpec {
    /// How sandboxes are grouped.
    pub strategy: Option<NamespaceStrategy>,
    /// What goes before generated names.
    pub prefix: Option<NamespacePrefix>,
    /// Whether a missing namespace is made.
    pub auto_create: Option<bool>,
    /// Labels of namespaces that are made.
    pub labels: BTreeMap<String, String>,
    /// Annotations of namespaces that are made.
    pub annotations: BTreeMap<String, String>,
}

/// One namespace for each of these.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NamespaceStrategy {
    /// Each user of an organization.
    PerUser,
    /// Each organization.
    PerOrg,
    /// Each profile.
    PerProfile,
    /// The whole cluster; this is the one.
    Static(StaticNamespace),
}

/// The kind of a strategy, without its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StrategyKind {
    /// Each user of an organization.
    PerUser,
    /// Each organization.
    PerOrg,
    /// Each profile.
    PerProfile,
    /// The whole cluster.
    Static,
}

/// The one namespace of the `static` strategy: a DNS-1123 label.
///
/// It cannot be a name that another strategy generates, or a sandbox could be
/// put among those of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StaticNamespace(DnsLabel);

/// Why a text cannot be the namespace of the `static` strategy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StaticNamespaceError {
    /// Not a DNS-1123 label.
    #[error(transparent)]
    NotALabel(#[from] NameError),
    /// The name of a namespace that another strategy could generate.
    #[error(
        "must not contain {mark:?}, which marks generated names; use the strategy that generates it"
    )]
    Mark {
        /// The part that it must not contain.
        mark: &'static str,
    },
    /// A namespace of Kubernetes itself.
    #[error("must not start with kube-, which Kubernetes keeps for itself")]
    System,
}

/// What goes before the generated names of namespaces, such as `sb-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamespacePrefix(String);

/// Why a text cannot go before the names of namespaces.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamespacePrefixError {
    /// Nothing was given.
    #[error("must not be empty; leave it out for names without a prefix")]
    Empty,
    /// So long that names would lose what tells them apart.
    #[error(
        "has {len} characters; at most {} are allowed, as names end at 63",
        NamespacePrefix::LEN_MAX
    )]
    TooLong {
        /// How long it is.
        len: usize,
    },
    /// A name that starts so is no DNS-1123 label.
    #[error("contains {found:?}; allowed are a-z, 0-9 and '-'")]
    BadChar {
        /// The first offending character.
        found: char,
    },
    /// A name that starts so is no DNS-1123 label.
    #[error("must start with a-z or 0-9")]
    BadStart,
    /// Names with this prefix could be mistaken for names without it.
    #[error("must not contain {mark:?}, which marks generated names")]
    Mark {
        /// The part that it must not contain.
        mark: &'static str,
    },
}

impl NamespaceStrategy {
    /// The kind of this strategy.
    pub fn kind(&self) -> StrategyKind {
        match self {
            Self::PerUser => StrategyKind::PerUser,
            Self::PerOrg => StrategyKind::PerOrg,
            Self::PerProfile => StrategyKind::PerProfile,
            Self::Static(_) => StrategyKind::Static,
        }
    }
}

impl StrategyKind {
    /// Every kind.
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

impl StaticNamespace {
    /// The name of the namespace.
    pub fn name(&self) -> &DnsLabel {
        &self.0
    }
}

impl FromStr for StaticNamespace {
    type Err = StaticNamespaceError;

    fn from_str(text: &str) -> Result<Self, StaticNamespaceError> {
        let name = DnsLabel::new(text)?;
        if let Some(mark) = namespace::mark_in(text) {
            return Err(StaticNamespaceError::Mark { mark });
        }
        if text.starts_with("kube-") {
            return Err(StaticNamespaceError::System);
        }
        Ok(Self(name))
    }
}

impl NamespacePrefix {
    /// The longest prefix; the rest of 63 is for what tells names apart.
    pub const LEN_MAX: usize = 24;

    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NamespacePrefix {
    type Err = NamespacePrefixError;

    fn from_str(text: &str) -> Result<Self, NamespacePrefixError> {
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let len = text.chars().count();
        if len == 0 {
            return Err(NamespacePrefixError::Empty);
        }
        if len > Self::LEN_MAX {
            return Err(NamespacePrefixError::TooLong { len });
        }
        if let Some(found) = text.chars().find(|&c| !word(c) && c != '-') {
            return Err(NamespacePrefixError::BadChar { found });
        }
        if !text.starts_with(word) {
            return Err(NamespacePrefixError::BadStart);
        }
        if let Some(mark) = namespace::mark_in(text) {
            return Err(NamespacePrefixError::Mark { mark });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for NamespacePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_broken_rule_of_a_prefix_has_its_own_error() {
        let error = |text: &str| text.parse::<NamespacePrefix>().unwrap_err();
        assert_eq!(error(""), NamespacePrefixError::Empty);
        assert_eq!(
            error(&"x".repeat(25)),
            NamespacePrefixError::TooLong { len: 25 }
        );
        assert_eq!(error("Sb-"), NamespacePrefixError::BadChar { found: 'S' });
        assert_eq!(error("-sb"), NamespacePrefixError::BadStart);
        assert!(matches!(
            error("x-user-ns-"),
            NamespacePrefixError::Mark { mark: "user-ns-" }
        ));
    }

    #[test]
    fn a_static_namespace_is_neither_generated_nor_of_the_system() {
        let parse = |text: &str| text.parse::<StaticNamespace>();
        assert_eq!(parse("shared").unwrap().name().as_str(), "shared");
        assert!(matches!(
            parse("sb-org-ns-acme"),
            Err(StaticNamespaceError::Mark { mark: "org-ns-" })
        ));
        assert_eq!(parse("kube-system"), Err(StaticNamespaceError::System));
        assert!(matches!(
            parse("Shared"),
            Err(StaticNamespaceError::NotALabel(_))
        ));
    }

    #[test]
    fn a_prefix_may_end_in_a_hyphen() {
        for good in ["sb-", "a", "1", &"x".repeat(24)] {
            assert!(good.parse::<NamespacePrefix>().is_ok(), "{good}");
        }
    }
}
