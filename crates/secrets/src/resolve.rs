//! From the secrets that a sandbox asks for to their values.
//!
//! Done when a start is admitted, to refuse what is not there, and once more for
//! every launch that is sent: in between, nobody keeps the values.

use palisade_model::name::OrganizationId;
use palisade_model::refusal::Refusal;
use palisade_model::sandbox::AskedSecret;
use palisade_model::secret::{
    SecretAddress, SecretSource, SecretStoreName, SecretValue, SecretValues, SecretVariable,
};
use palisade_model::violation::{FieldPath, Step, Violation, ViolationKind};

use crate::failure::Failure;
use crate::part::Found;
use crate::secrets::Secrets;

/// The most bytes that all secrets of one sandbox have together.
const BYTES_MAX: usize = 512 * 1024;

/// Why secrets have no values.
#[derive(Clone, Debug)]
pub enum Unresolved {
    /// The request names what is not there, or cannot be a variable.
    Missing(Vec<Violation>),
    /// They cannot be read.
    Failed(Failure),
}

impl From<Failure> for Unresolved {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Unresolved {
    /// What the caller is told, and the log.
    pub fn failure(self) -> Failure {
        match self {
            Self::Missing(violations) => Refusal::invalid(violations).into(),
            Self::Failed(failure) => failure,
        }
    }
}

impl Secrets {
    /// The values of all variables that are from stores; what is wrong with any
    /// is told with its place in the request.
    pub async fn resolve(
        &self,
        organization: &OrganizationId,
        secrets: &[AskedSecret],
    ) -> Result<SecretValues, Unresolved> {
        let mut values = SecretValues::default();
        let mut violations: Vec<Violation> = Vec::new();
        let mut bytes = 0;
        for AskedSecret { variable, at } in secrets {
            let SecretSource::Store { store, address } = &variable.source else {
                continue;
            };
            let found = match self.find(organization, store, address).await? {
                Some(Found::Value(value)) => usable(value, at),
                Some(Found::Unusable(kind)) => Err(unusable(kind, store, address, at)),
                Some(Found::Nothing) => Err(no_secret(store, address, at)),
                None => Err(self.no_store(organization, store, at).await?),
            };
            match found {
                Ok(value) => {
                    bytes += value.reveal().len();
                    values.insert(variable.env_var.clone(), value);
                }
                // A store that is not there is told of once.
                Err(violation) if violations.contains(&violation) => {}
                Err(violation) => violations.push(violation),
            }
        }
        if bytes > BYTES_MAX {
            let what =
                format!("hold {bytes} bytes; the secrets of a sandbox have at most {BYTES_MAX}");
            let path = FieldPath::from(["secret_stores"]);
            violations.push(Violation::new(path, ViolationKind::TooMany, what));
        }
        if violations.is_empty() {
            Ok(values)
        } else {
            Err(Unresolved::Missing(violations))
        }
    }

    /// The values for a sandbox that was admitted.
    pub async fn resolve_again(
        &self,
        organization: &OrganizationId,
        secrets: &[SecretVariable],
    ) -> Result<SecretValues, Unresolved> {
        let place = FieldPath::from(["secrets"]);
        let secrets = secrets.iter().enumerate();
        let asked = secrets.map(|(index, variable)| AskedSecret {
            variable: variable.clone(),
            at: place.index(index),
        });
        let asked: Vec<_> = asked.collect();
        self.resolve(organization, &asked).await
    }

    async fn no_store(
        &self,
        organization: &OrganizationId,
        name: &SecretStoreName,
        at: &FieldPath,
    ) -> Result<Violation, Failure> {
        let names = self.some_names(organization).await?;
        let there = if names.is_empty() {
            "there are none".to_owned()
        } else {
            format!("there are {}", names.join(", "))
        };
        let what =
            format!("is {name}, and there is no such secret store in the organization; {there}");
        let path = store_path(at).key("store_name");
        Ok(Violation::new(path, ViolationKind::Invalid, what))
    }
}

/// The place of the store that a mapping belongs to.
fn store_path(at: &FieldPath) -> FieldPath {
    let steps = at.steps().iter().take(2);
    steps.cloned().collect::<Vec<Step>>().into_iter().collect()
}

fn no_secret(store: &SecretStoreName, address: &SecretAddress, at: &FieldPath) -> Violation {
    let (field, what) = match &address.field {
        None => (
            "path",
            format!(
                "the secret store {store} has no secret {address} without a field; \
                 where it has fields, say which"
            ),
        ),
        Some(_) => (
            "field",
            format!("the secret store {store} has no {address}"),
        ),
    };
    Violation::new(
        at.key(field),
        ViolationKind::Invalid,
        format!("is not there: {what}"),
    )
}

fn unusable(
    kind: &str,
    store: &SecretStoreName,
    address: &SecretAddress,
    at: &FieldPath,
) -> Violation {
    let what = format!(
        "is {kind} in the secret store {store}: {address} holds no text, number or truth value, \
         so that no variable can hold it"
    );
    Violation::new(at.key("field"), ViolationKind::Invalid, what)
}

fn usable(value: SecretValue, at: &FieldPath) -> Result<SecretValue, Violation> {
    if value.as_variable().is_some() {
        return Ok(value);
    }
    let what =
        "is a secret that no variable can hold: it is not UTF-8 text, or has a NUL character";
    Err(Violation::new(at.key("path"), ViolationKind::Invalid, what))
}
