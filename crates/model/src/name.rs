//! Names that people choose, each valid by construction.
//!
//! Every type has one fallible constructor whose error says which rule was
//! broken. Uniqueness is not a property of a name and is checked by the store.

use std::fmt;
use std::str::FromStr;

/// Why a text is not the name that it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("must not be empty")]
    Empty,
    /// Longer than the name may be.
    #[error("has {len} characters; at most {max} are allowed")]
    TooLong {
        /// How long it is.
        len: usize,
        /// How long it may be.
        max: usize,
    },
    /// A character that the name may not hold.
    #[error("contains {found:?}; allowed are {allowed}")]
    BadChar {
        /// The first offending character.
        found: char,
        /// What may be used instead.
        allowed: &'static str,
    },
    /// The first or last character is of the wrong kind.
    #[error("must start and end with {allowed}")]
    BadEdge {
        /// What it may start and end with.
        allowed: &'static str,
    },
}

/// The rule that one kind of name follows.
struct Rule {
    max: usize,
    allowed: &'static str,
    inner: fn(char) -> bool,
    edge_allowed: &'static str,
    edge: fn(char) -> bool,
}

impl Rule {
    fn check(&self, text: &str) -> Result<(), NameError> {
        let len = text.chars().count();
        if len == 0 {
            return Err(NameError::Empty);
        }
        if len > self.max {
            return Err(NameError::TooLong { len, max: self.max });
        }
        if let Some(found) = text.chars().find(|&c| !(self.inner)(c)) {
            return Err(NameError::BadChar {
                found,
                allowed: self.allowed,
            });
        }
        let edges = [text.chars().next(), text.chars().next_back()];
        if edges.into_iter().flatten().any(|c| !(self.edge)(c)) {
            return Err(NameError::BadEdge {
                allowed: self.edge_allowed,
            });
        }
        Ok(())
    }
}

fn lower_alphanumeric(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The longest that such a name may be, in characters.
            pub const LEN_MAX: usize = $rule.max;

            /// Checks the text against the rule of this name.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                const RULE: Rule = $rule;
                let text = text.into();
                RULE.check(&text)?;
                Ok(Self(text))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
    };
}

/// What DNS-1123 allows in a label.
const LABEL: Rule = Rule {
    max: 63,
    allowed: "a-z, 0-9 and '-'",
    inner: |c| lower_alphanumeric(c) || c == '-',
    edge_allowed: "a-z or 0-9",
    edge: lower_alphanumeric,
};

/// Free text on one line: anything printable, no blank at either end.
const LINE: Rule = Rule {
    max: 63,
    allowed: "printable characters on one line",
    inner: |c| !c.is_control() && !is_invisible(c),
    edge_allowed: "a printable character that is not a space",
    edge: |c| !c.is_whitespace(),
};

/// Identifiers of people and machines as other systems spell them.
const IDENTIFIER: Rule = Rule {
    max: 128,
    allowed: "letters, digits and . _ - @ + :",
    inner: |c| c.is_ascii_alphanumeric() || "._-@+:".contains(c),
    edge_allowed: "a letter or a digit",
    edge: |c| c.is_ascii_alphanumeric(),
};

/// Whether a character can make two names look alike without being seen.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

name! {
    /// A DNS-1123 label: the name of a namespace, for one.
    DnsLabel, LABEL
}
name! {
    /// The display name of a profile, unique within its organization.
    DisplayName, LINE
}
name! {
    /// The name under which a runner offers a profile.
    ///
    /// Follows the rule of [`DisplayName`], from which it falls back.
    ProfileName, LINE
}
name! {
    /// The name of an egress mode of a profile.
    ModeName, LABEL
}
name! {
    /// The name of an ingress level of a profile.
    LevelName, LABEL
}
name! {
    /// An organization. It becomes part of namespace names.
    OrganizationId, IDENTIFIER
}
name! {
    /// A user, unique within the organization.
    UserId, IDENTIFIER
}
name! {
    /// The id that an operator gave a runner, unique within the organization.
    RunnerId, LABEL
}
name! {
    /// A scheduling affinity group of runners.
    RunnerGroupId, LABEL
}
name! {
    /// The name of a cluster, unique within the organization.
    ClusterName, IDENTIFIER
}
name! {
    /// Where a runner stands, for people; compared without regard to case.
    Zone, IDENTIFIER
}
name! {
    /// The Kubernetes name of a runtime class, or of a handler of the Linux backend.
    RuntimeClass, Rule { max: 253, allowed: "a-z, 0-9, '-' and '.'", inner: |c| lower_alphanumeric(c) || c == '-' || c == '.', ..LABEL }
}
name! {
    /// The Kubernetes name of an ingress controller's class.
    ControllerName, Rule { max: 253, allowed: "a-z, 0-9, '-' and '.'", inner: |c| lower_alphanumeric(c) || c == '-' || c == '.', ..LABEL }
}
name! {
    /// A class of machines, such as `h100`.
    InstanceType, IDENTIFIER
}
name! {
    /// A free tag on a profile or a sandbox.
    Tag, Rule { max: 128, ..LINE }
}

impl From<DisplayName> for ProfileName {
    fn from(name: DisplayName) -> Self {
        Self(name.0)
    }
}

#[cfg(test)]
mod tests;
