//! The secrets that a request asks for.
//!
//! Only names are read here. Whether there are such stores and secrets is found
//! out by the gateway, and by the runner for its own.

use palisade_model::sandbox::AskedSecret;
use palisade_model::secret::{SecretAddress, SecretSource, SecretVariable};
use palisade_model::violation::{FieldPath, ViolationKind};

use super::Reader;
use crate::proto::v1beta2 as pb;

/// Every secret of a request, those of stores first; what is wrong is noted and
/// left out.
pub(super) fn read(
    reader: &mut Reader,
    stores: Vec<pb::SecretStoreReference>,
    of_runner: Vec<pb::RunnerClusterSecretReference>,
) -> Vec<AskedSecret> {
    let stores = reader.list("secret_stores", stores, |reader, path, store| {
        Some(of_store(reader, path, store))
    });
    let of_runner = reader.list("runner_cluster_secrets", of_runner, runner_secret);
    stores.into_iter().flatten().chain(of_runner).collect()
}

fn of_store(
    reader: &mut Reader,
    path: &FieldPath,
    message: pb::SecretStoreReference,
) -> Vec<AskedSecret> {
    let pb::SecretStoreReference {
        store_name,
        secrets,
    } = message;
    let store = reader.parse(path.key("store_name"), &store_name);
    let place = path.key("secrets");
    if secrets.is_empty() {
        let what = "must name a secret; leave out a store that nothing is taken from";
        reader.wrong(place.clone(), ViolationKind::Required, what);
    }
    reader.items(&place, secrets, |reader, at, mapping| {
        let pb::SecretMapping {
            path,
            field,
            env_var,
        } = mapping;
        let address = SecretAddress {
            path: reader.parse(at.key("path"), &path)?,
            field: match field.as_str() {
                "" => None,
                field => Some(reader.parse(at.key("field"), field)?),
            },
        };
        let store = store.clone()?;
        let source = SecretSource::Store { store, address };
        Some(asked(at, env_var, source))
    })
}

fn runner_secret(
    reader: &mut Reader,
    path: &FieldPath,
    message: pb::RunnerClusterSecretReference,
) -> Option<AskedSecret> {
    let pb::RunnerClusterSecretReference { env_var, source } = message;
    let Some(pb::runner_cluster_secret_reference::Source::Kubernetes(source)) = source else {
        let what = "is needed: it says which secret of the runner is meant";
        reader.wrong(path.key("kubernetes"), ViolationKind::Required, what);
        return None;
    };
    let pb::KubernetesSecretSource {
        secret_name,
        secret_key,
    } = source;
    let place = path.key("kubernetes");
    let name = reader.parse(place.key("secret_name"), &secret_name);
    let key = reader.parse(place.key("secret_key"), &secret_key);
    let source = SecretSource::Runner {
        name: name?,
        key: key?,
    };
    Some(asked(path, env_var, source))
}

fn asked(at: &FieldPath, env_var: String, source: SecretSource) -> AskedSecret {
    AskedSecret {
        variable: SecretVariable { env_var, source },
        at: at.clone(),
    }
}

#[cfg(test)]
mod tests {
    use palisade_model::refusal::Refusal;

    use super::*;
    use crate::v1beta2::start_request;

    fn mapping(path: &str, field: &str, env_var: &str) -> pb::SecretMapping {
        pb::SecretMapping {
            path: path.to_owned(),
            field: field.to_owned(),
            env_var: env_var.to_owned(),
        }
    }

    fn store(name: &str, secrets: Vec<pb::SecretMapping>) -> pb::SecretStoreReference {
        pb::SecretStoreReference {
            store_name: name.to_owned(),
            secrets,
        }
    }

    fn of_runner(name: &str, key: &str, env_var: &str) -> pb::RunnerClusterSecretReference {
        let source = pb::KubernetesSecretSource {
            secret_name: name.to_owned(),
            secret_key: key.to_owned(),
        };
        pb::RunnerClusterSecretReference {
            env_var: env_var.to_owned(),
            source: Some(pb::runner_cluster_secret_reference::Source::Kubernetes(
                source,
            )),
        }
    }

    fn paths(refusal: &Refusal) -> Vec<String> {
        let violations = refusal.violations.iter();
        violations.map(|one| one.path.to_string()).collect()
    }

    #[test]
    fn secrets_are_read_with_their_places() {
        let request = start_request(pb::StartSandboxRequest {
            secret_stores: vec![
                store("team", vec![mapping("HF_TOKEN", "", "HF_TOKEN")]),
                store("other", vec![mapping("a/db", "password", "DB_PASS")]),
            ],
            runner_cluster_secrets: vec![of_runner("db", "user", "DB_USER")],
            ..Default::default()
        });
        let secrets = request.unwrap().secrets;
        let places: Vec<_> = secrets.iter().map(|one| one.at.to_string()).collect();
        let expected = [
            "secret_stores[0].secrets[0]",
            "secret_stores[1].secrets[0]",
            "runner_cluster_secrets[0]",
        ];
        assert_eq!(places, expected);
        let SecretSource::Store { store, address } = &secrets[1].variable.source else {
            unreachable!("it is of a store");
        };
        assert_eq!(store.as_str(), "other");
        assert_eq!(address.to_string(), "a/db field password");
        assert_eq!(address.field_text(), "password");
        assert_eq!(secrets[2].variable.env_var, "DB_USER");
    }

    #[test]
    fn every_wrong_part_of_a_secret_is_named() {
        let refusal = start_request(pb::StartSandboxRequest {
            secret_stores: vec![
                store("x", vec![mapping("", "", "A")]),
                store("team", Vec::new()),
                store(
                    "team",
                    vec![mapping("../etc", "", "A"), mapping("a", "/", "B")],
                ),
            ],
            runner_cluster_secrets: vec![
                of_runner("../x", "", "C"),
                pb::RunnerClusterSecretReference::default(),
            ],
            ..Default::default()
        })
        .unwrap_err();
        let expected = [
            "secret_stores[0].store_name",
            "secret_stores[0].secrets[0].path",
            "secret_stores[1].secrets",
            "secret_stores[2].secrets[0].path",
            "secret_stores[2].secrets[1].field",
            "runner_cluster_secrets[0].kubernetes.secret_name",
            "runner_cluster_secrets[0].kubernetes.secret_key",
            "runner_cluster_secrets[1].kubernetes",
        ];
        assert_eq!(paths(&refusal), expected);
    }
}
