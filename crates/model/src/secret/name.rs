//! What secrets and the stores of them are called.
//!
//! Each name is valid by construction, plain ASCII, and a path has no part that
//! could lead out of a directory, so that it can be one of a file.

use std::fmt;
use std::str::FromStr;

/// Why a text is not the name that it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretNameError {
    /// Too short or too long.
    #[error("has {len} characters; {min} to {max} are allowed")]
    Length {
        /// How long it is.
        len: usize,
        /// How long it must be.
        min: usize,
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
    /// It begins with something else than it must.
    #[error("must start with {allowed}")]
    BadStart {
        /// What it may start with.
        allowed: &'static str,
    },
    /// A part of a path is empty, `.` or `..`.
    #[error("has a part that is empty, '.' or '..'")]
    BadPart,
}

struct Rule {
    min: usize,
    max: usize,
    allowed: &'static str,
    inner: fn(char) -> bool,
    start_allowed: &'static str,
    start: fn(char) -> bool,
    is_path: bool,
}

impl Rule {
    fn check(&self, text: &str) -> Result<(), SecretNameError> {
        let len = text.chars().count();
        let (min, max) = (self.min, self.max);
        if len < min || len > max {
            return Err(SecretNameError::Length { len, min, max });
        }
        if let Some(found) = text.chars().find(|&c| !(self.inner)(c)) {
            let allowed = self.allowed;
            return Err(SecretNameError::BadChar { found, allowed });
        }
        if !text.starts_with(self.start) {
            let allowed = self.start_allowed;
            return Err(SecretNameError::BadStart { allowed });
        }
        let is_part = |part: &str| !matches!(part, "" | "." | "..");
        if self.is_path && !text.split('/').all(is_part) {
            return Err(SecretNameError::BadPart);
        }
        Ok(())
    }
}

macro_rules! secret_name {
    ($(#[$doc:meta])* $name:ident, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
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

        impl FromStr for $name {
            type Err = SecretNameError;

            fn from_str(text: &str) -> Result<Self, SecretNameError> {
                const RULE: Rule = $rule;
                RULE.check(text)?;
                Ok(Self(text.to_owned()))
            }
        }
    };
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

secret_name! {
    /// The name of a secret store, unique within an organization.
    SecretStoreName,
    Rule {
        min: 3,
        max: 63,
        allowed: "a-z, 0-9 and '-'",
        inner: |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-',
        start_allowed: "a-z",
        start: |c: char| c.is_ascii_lowercase(),
        is_path: false,
    }
}

secret_name! {
    /// Which secret of a store, such as `HF_TOKEN` or `team/db-credentials`.
    SecretPath,
    Rule {
        min: 1,
        max: 256,
        allowed: "letters, digits, '.', '_', '-' and '/'",
        inner: |c| is_word(c) || c == '/',
        start_allowed: "a letter, a digit, '.', '_' or '-'",
        start: is_word,
        is_path: true,
    }
}

secret_name! {
    /// A field of a secret that has several, such as `password`.
    SecretField,
    Rule {
        min: 1,
        max: 128,
        allowed: "letters, digits, '.', '_' and '-'",
        inner: is_word,
        start_allowed: "a letter, a digit, '.', '_' or '-'",
        start: is_word,
        is_path: true,
    }
}

secret_name! {
    /// The name of a secret of a runner, as Kubernetes names Secrets.
    ClusterSecretName,
    Rule {
        min: 1,
        max: 253,
        allowed: "a-z, 0-9, '.' and '-'",
        inner: |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-'),
        start_allowed: "a-z or 0-9",
        start: |c: char| c.is_ascii_lowercase() || c.is_ascii_digit(),
        is_path: false,
    }
}

secret_name! {
    /// A key of a secret of a runner, as Kubernetes spells them.
    ClusterSecretKey,
    Rule {
        min: 1,
        max: 253,
        allowed: "letters, digits, '.', '_' and '-'",
        inner: is_word,
        start_allowed: "a letter, a digit, '.', '_' or '-'",
        start: is_word,
        is_path: true,
    }
}
