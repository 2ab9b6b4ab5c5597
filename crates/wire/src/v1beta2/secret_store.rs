//! Secret stores, from and onto the wire.
//!
//! The protocol knows one provider, which is a service of somebody else; the
//! numbers of ours lie far above, where it will not come.

use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::secret::{SecretProvider, SecretStore, SecretStoreName};
use palisade_model::violation::{FieldPath, Violation, ViolationKind};

use crate::proto::v1beta2 as pb;
use crate::proto::v1beta2::SecretStoreProviderType as Kind;
use crate::v1beta2::{timestamp, unknown_number};

/// The most stores of a page.
const PAGE_MAX: usize = 100;
/// The size of a page for clients that name none.
pub const SECRET_STORES_PAGE: usize = 50;

/// A store as the protocol carries it; no secret is in it.
pub fn secret_store(store: &SecretStore) -> pb::SecretStore {
    let SecretStore {
        id,
        organization,
        name,
        provider,
        created_at,
        updated_at,
    } = store;
    pb::SecretStore {
        id: id.to_string(),
        organization_id: organization.to_string(),
        name: name.to_string(),
        provider_type: kind(*provider).into(),
        provider_config: None,
        created_at: Some(timestamp(*created_at)),
        updated_at: Some(timestamp(*updated_at)),
    }
}

fn kind(provider: SecretProvider) -> Kind {
    match provider {
        SecretProvider::BuiltIn => Kind::BuiltIn,
        SecretProvider::Environment => Kind::Environment,
        SecretProvider::Directory => Kind::Directory,
    }
}

/// The name of a store that is to be made, if this server can be its provider.
pub fn new_secret_store(message: pb::CreateSecretStoreRequest) -> Result<SecretStoreName, Refusal> {
    let pb::CreateSecretStoreRequest {
        name,
        provider_type,
        provider_config,
    } = message;
    let mut violations = Vec::new();
    let name = named(&name).map_err(|violation| violations.push(violation));
    let kind = Kind::try_from(provider_type);
    let unknown = |_| {
        let what = unknown_number(provider_type, &[Kind::BuiltIn], Kind::as_str_name);
        Some(violation("provider_type", ViolationKind::Invalid, what))
    };
    violations.extend(kind.map_or_else(unknown, provider_violation));
    let is_wandb = kind == Ok(Kind::Wandb);
    if provider_config.is_some() && !is_wandb {
        let what = "goes with the provider type SECRET_STORE_PROVIDER_TYPE_WANDB only";
        violations.push(violation("wandb", ViolationKind::Conflict, what));
    }
    match name {
        Ok(_) if is_wandb && violations.is_empty() => Err(no_wandb()),
        Ok(name) if violations.is_empty() => Ok(name),
        Ok(_) | Err(()) => Err(Refusal::invalid(violations)),
    }
}

fn provider_violation(kind: Kind) -> Option<Violation> {
    let (problem, what) = match kind {
        Kind::BuiltIn | Kind::Wandb => return None,
        Kind::Unspecified => (
            ViolationKind::Required,
            "is needed; SECRET_STORE_PROVIDER_TYPE_BUILT_IN (1001) keeps the values in this server",
        ),
        Kind::Environment | Kind::Directory => (
            ViolationKind::Forbidden,
            "is for stores that whoever runs the server sets up with --secret-store; \
             use SECRET_STORE_PROVIDER_TYPE_BUILT_IN (1001)",
        ),
    };
    Some(violation("provider_type", problem, what))
}

/// That service gives values to its own jobs alone, so that a store of it could
/// never serve a sandbox.
fn no_wandb() -> Refusal {
    Refusal::new(
        Reason::NotImplemented,
        "this server cannot read team secrets of W&B; make a store of the provider type \
         SECRET_STORE_PROVIDER_TYPE_BUILT_IN (1001) and put the values into it",
    )
    .with("feature", "wandb")
}

/// The name of a store that a call is about.
pub fn secret_store_name(text: &str) -> Result<SecretStoreName, Refusal> {
    named(text).map_err(|violation| Refusal::invalid(vec![violation]))
}

fn named(text: &str) -> Result<SecretStoreName, Violation> {
    let parsed = text.parse();
    parsed.map_err(|error: palisade_model::secret::SecretNameError| {
        violation("name", ViolationKind::Invalid, error.to_string())
    })
}

/// How many stores a page is to have.
pub fn stores_page_size(wanted: i32) -> Result<usize, Refusal> {
    match usize::try_from(wanted) {
        Ok(0) => Ok(SECRET_STORES_PAGE),
        Ok(size) => Ok(size.min(PAGE_MAX)),
        Err(_) => {
            let what = format!("is {wanted}; it must be from 1 to {PAGE_MAX}, or 0 for the usual");
            let violation = violation("page_size", ViolationKind::Invalid, what);
            Err(Refusal::invalid(vec![violation]))
        }
    }
}

fn violation(field: &str, kind: ViolationKind, what: impl Into<String>) -> Violation {
    Violation::new(FieldPath::from([field]), kind, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(name: &str, kind: i32, has_config: bool) -> Result<SecretStoreName, Refusal> {
        let config =
            pb::create_secret_store_request::ProviderConfig::Wandb(pb::WandBStoreConfig::default());
        new_secret_store(pb::CreateSecretStoreRequest {
            name: name.to_owned(),
            provider_type: kind,
            provider_config: has_config.then_some(config),
        })
    }

    #[test]
    fn a_store_that_can_be_kept_here_is_made_by_its_name() {
        let name = ask("team", Kind::BuiltIn.into(), false);
        assert_eq!(name.unwrap().as_str(), "team");
    }

    #[test]
    fn a_provider_that_cannot_be_here_is_refused_by_name() {
        let refusal = ask("team", Kind::Wandb.into(), true).unwrap_err();
        assert_eq!(refusal.reason, Reason::NotImplemented);
        assert_eq!(refusal.metadata["feature"], "wandb");
    }

    #[test]
    fn every_field_that_is_wrong_is_told() {
        for (name, kind, has_config, fields) in [
            ("a", 0, false, vec!["name", "provider_type"]),
            ("team", 99, false, vec!["provider_type"]),
            (
                "team",
                Kind::Environment.into(),
                false,
                vec!["provider_type"],
            ),
            ("team", Kind::BuiltIn.into(), true, vec!["wandb"]),
            ("A", Kind::Wandb.into(), true, vec!["name"]),
        ] {
            let refusal = ask(name, kind, has_config).unwrap_err();
            let told: Vec<_> = refusal.violations.iter().collect();
            let told: Vec<_> = told.iter().map(|one| one.path.to_string()).collect();
            assert_eq!(told, fields, "{name} {kind}");
        }
    }

    #[test]
    fn pages_have_50_stores_and_at_most_100() {
        let sizes = [0, 1, 100, 101, i32::MAX].map(|size| stores_page_size(size).unwrap());
        assert_eq!(sizes, [50, 1, 100, 100, 100]);
        assert!(stores_page_size(-1).is_err());
    }
}
