//! Secrets: where they come from, what they are called, and values that cannot
//! slip out.
//!
//! A request and a launch only name secrets; a value is a [`SecretValue`], which
//! shows nothing of itself and is wiped when it is dropped. There is no way from
//! here to write one into a document.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

mod name;
mod store;
#[cfg(test)]
mod tests;

pub use name::{
    ClusterSecretKey, ClusterSecretName, SecretField, SecretNameError, SecretPath, SecretStoreName,
};

pub use store::{SecretProvider, SecretStore};

/// The most variables of one sandbox that come out of secret stores.
pub const STORE_SECRETS_MAX: usize = 256;

/// The most variables of one sandbox that come out of secrets of its runner.
pub const CLUSTER_SECRETS_MAX: usize = 100;

/// The most bytes of one secret.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;

/// A variable of a sandbox whose value is a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretVariable {
    /// The name of the variable.
    pub env_var: String,
    /// Where its value comes from.
    pub source: SecretSource,
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// From a secret store of the organization; the gateway finds the value.
    Store {
        /// The store.
        store: SecretStoreName,
        /// The secret in it.
        address: SecretAddress,
    },
    /// From the runner's own secrets; the gateway never sees the value.
    Runner {
        /// The secret.
        name: ClusterSecretName,
        /// The part of it.
        key: ClusterSecretKey,
    },
}

impl SecretVariable {
    /// Whether the gateway has to find the value.
    pub fn is_of_store(&self) -> bool {
        match self.source {
            SecretSource::Store { .. } => true,
            SecretSource::Runner { .. } => false,
        }
    }
}

/// One secret of a store: its path there, and a field if it has several.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretAddress {
    /// The path.
    pub path: SecretPath,
    /// The field; `None` is the secret itself.
    pub field: Option<SecretField>,
}

impl SecretAddress {
    /// The field as the wire and the store write it: empty for none.
    pub fn field_text(&self) -> &str {
        self.field.as_ref().map_or("", SecretField::as_str)
    }
}

impl fmt::Display for SecretAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            None => write!(f, "{}", self.path),
            Some(field) => write!(f, "{} field {field}", self.path),
        }
    }
}

/// The value of a secret. It is shown nowhere, and wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Zeroizing<Vec<u8>>);

/// A value is longer than a secret may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has {bytes} bytes; a secret has at most {SECRET_BYTES_MAX}")]
pub struct SecretTooLong {
    /// How long it is.
    pub bytes: usize,
}

impl SecretValue {
    /// Takes bytes as a secret.
    pub fn new(bytes: Vec<u8>) -> Result<Self, SecretTooLong> {
        let bytes = Zeroizing::new(bytes);
        if bytes.len() > SECRET_BYTES_MAX {
            return Err(SecretTooLong { bytes: bytes.len() });
        }
        Ok(Self(bytes))
    }

    /// The bytes, for whoever hands them on to where they are to be.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }

    /// The value as a variable can hold it: text without a NUL character.
    pub fn as_variable(&self) -> Option<&str> {
        let text = std::str::from_utf8(&self.0).ok()?;
        (!text.contains('\0')).then_some(text)
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue")
    }
}

/// Values of variables by their names, on their way to a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretValues(BTreeMap<String, SecretValue>);

impl SecretValues {
    /// Adds the value of a variable.
    pub fn insert(&mut self, env_var: impl Into<String>, value: SecretValue) {
        self.0.insert(env_var.into(), value);
    }

    /// The value of a variable.
    pub fn get(&self, env_var: &str) -> Option<&SecretValue> {
        self.0.get(env_var)
    }

    /// Every variable with its value, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SecretValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a value for every one of these variables that is from a
    /// store.
    pub fn serve(&self, variables: &[SecretVariable]) -> bool {
        let mut needed = variables.iter().filter(|variable| variable.is_of_store());
        needed.all(|variable| self.0.contains_key(&variable.env_var))
    }
}
