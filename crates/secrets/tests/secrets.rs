//! Stores and secrets over a real database and a real key file.

#![expect(clippy::unwrap_used, reason = "parts of tests fail by panicking")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use palisade_model::clock::{Clock, Ids, Timestamp};
use palisade_model::name::OrganizationId;
use palisade_model::profile::Revision;
use palisade_model::quota::Quota;
use palisade_model::reason::Reason;
use palisade_model::sandbox::AskedSecret;
use palisade_model::secret::{
    SecretAddress, SecretProvider, SecretSource, SecretStoreName, SecretValue, SecretVariable,
};
use palisade_model::tenant::Organization;
use palisade_model::violation::FieldPath;
use palisade_secrets::{
    ConfiguredStore, Failure, KeyFile, SecretSettings, Secrets, Source, Unresolved,
};
use palisade_store::{Organizations as _, PageRequest, PageSize, SqliteStore};
use tempfile::TempDir;
use uuid::Uuid;

#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_000_000)
    }
}

#[derive(Debug)]
struct Fresh;

impl Ids for Fresh {
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        secret[..16].copy_from_slice(Uuid::now_v7().as_bytes());
        secret[16..].copy_from_slice(Uuid::now_v7().as_bytes());
        secret
    }
}

struct Stage {
    directory: TempDir,
    store: SqliteStore,
}

impl Stage {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path().join("store.db"));
        let store = store.await.unwrap();
        for id in ["acme", "other"] {
            let organization = Organization {
                id: id.parse().unwrap(),
                quota: Quota::default(),
                revision: Revision::FIRST,
                created_at: Timestamp::EPOCH,
            };
            store.create_organization(organization).await.unwrap();
        }
        KeyFile::create(&directory.path().join("key"), Fresh.secret()).unwrap();
        Self { directory, store }
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("key")
    }

    fn secrets(&self) -> Secrets {
        self.secrets_with(Vec::new())
    }

    fn secrets_with(&self, configured: Vec<ConfiguredStore>) -> Secrets {
        let settings = SecretSettings {
            keys: Some(KeyFile::open(&self.key()).unwrap()),
            configured,
        };
        self.secrets_by(settings)
    }

    fn secrets_by(&self, settings: SecretSettings) -> Secrets {
        let store = Arc::new(self.store.clone());
        Secrets::new(store, Arc::new(Still), Arc::new(Fresh), settings)
    }
}

fn acme() -> OrganizationId {
    "acme".parse().unwrap()
}

fn team() -> SecretStoreName {
    "team".parse().unwrap()
}

fn address(path: &str, field: &str) -> SecretAddress {
    SecretAddress {
        path: path.parse().unwrap(),
        field: (!field.is_empty()).then(|| field.parse().unwrap()),
    }
}

fn value(text: &str) -> SecretValue {
    SecretValue::new(text.as_bytes().to_vec()).unwrap()
}

fn asked(index: usize, store: &str, path: &str, field: &str) -> AskedSecret {
    let place = FieldPath::from(["secret_stores"]).index(index);
    AskedSecret {
        variable: SecretVariable {
            env_var: format!("VAR_{index}"),
            source: SecretSource::Store {
                store: store.parse().unwrap(),
                address: address(path, field),
            },
        },
        at: place.key("secrets").index(0),
    }
}

async fn resolved(secrets: &Secrets, store: &str, path: &str, field: &str) -> Option<String> {
    let asked = [asked(0, store, path, field)];
    let found = secrets.resolve(&acme(), &asked).await.ok()?;
    let value = found.get("VAR_0").unwrap();
    Some(value.as_variable().unwrap().to_owned())
}

fn reason<T>(outcome: Result<T, Failure>) -> Reason {
    outcome.err().unwrap().refusal.reason
}

#[tokio::test]
async fn a_value_that_was_put_in_is_found_and_nothing_shows_it() {
    let stage = Stage::new().await;
    let secrets = stage.secrets();
    secrets.create_store(&acme(), team()).await.unwrap();
    let (organization, store) = (acme(), team());
    let put = secrets.put(
        &organization,
        &store,
        address("db", "password"),
        value("hunter2"),
    );
    put.await.unwrap();
    let found = resolved(&secrets, "team", "db", "password").await;
    assert_eq!(found.as_deref(), Some("hunter2"));
    let page = PageRequest::first(PageSize::MAX);
    let listed = secrets.list(&acme(), &team(), page).await.unwrap();
    assert_eq!(listed.items[0].address, address("db", "password"));
    assert!(!format!("{listed:?}{secrets:?}").contains("hunter2"));
    stage.store.close().await;
    for file in std::fs::read_dir(stage.directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
    }
}

#[tokio::test]
async fn a_field_is_found_by_itself_or_in_the_secret() {
    let stage = Stage::new().await;
    let secrets = stage.secrets();
    secrets.create_store(&acme(), team()).await.unwrap();
    let whole = value(r#"{"user": "ada", "password": "inside"}"#);
    secrets
        .put(&acme(), &team(), address("db", ""), whole)
        .await
        .unwrap();
    assert_eq!(
        resolved(&secrets, "team", "db", "user").await.as_deref(),
        Some("ada")
    );
    let password = address("db", "password");
    secrets
        .put(&acme(), &team(), password.clone(), value("own"))
        .await
        .unwrap();
    let found = resolved(&secrets, "team", "db", "password").await;
    assert_eq!(found.as_deref(), Some("own"));
    secrets.delete(&acme(), &team(), &password).await.unwrap();
    let found = resolved(&secrets, "team", "db", "password").await;
    assert_eq!(found.as_deref(), Some("inside"));
    assert_eq!(resolved(&secrets, "team", "db", "port").await, None);
}

#[tokio::test]
async fn everything_that_is_not_there_is_told_with_its_place_and_what_there_is() {
    let stage = Stage::new().await;
    let secrets = stage.secrets();
    for name in ["team", "ci-1"] {
        secrets
            .create_store(&acme(), name.parse().unwrap())
            .await
            .unwrap();
    }
    let binary = SecretValue::new(b"\xff".to_vec()).unwrap();
    secrets
        .put(&acme(), &team(), address("binary", ""), binary)
        .await
        .unwrap();
    let asked = [
        asked(0, "absent", "a", ""),
        asked(1, "team", "a", ""),
        asked(2, "team", "a", "b"),
        asked(3, "team", "binary", ""),
    ];
    let Err(Unresolved::Missing(violations)) = secrets.resolve(&acme(), &asked).await else {
        unreachable!("none of them is there");
    };
    let paths: Vec<_> = violations.iter().map(|one| one.path.to_string()).collect();
    let expected = [
        "secret_stores[0].store_name",
        "secret_stores[1].secrets[0].path",
        "secret_stores[2].secrets[0].field",
        "secret_stores[3].secrets[0].path",
    ];
    assert_eq!(paths, expected);
    assert!(violations[0].description.contains("there are ci-1, team"));
}

#[tokio::test]
async fn a_field_that_no_variable_can_hold_is_told_from_one_that_is_not_there() {
    let stage = Stage::new().await;
    let secrets = stage.secrets();
    secrets.create_store(&acme(), team()).await.unwrap();
    let whole = value(r#"{"o": {"a": 1}, "n": null}"#);
    secrets
        .put(&acme(), &team(), address("db", ""), whole)
        .await
        .unwrap();
    let fields = ["o", "n", "x"];
    let asked = [0, 1, 2].map(|index| asked(index, "team", "db", fields[index]));
    let Err(Unresolved::Missing(violations)) = secrets.resolve(&acme(), &asked).await else {
        unreachable!("none of them is a value");
    };
    let begins = ["is an object", "is null", "is not there"];
    for (index, begin) in begins.into_iter().enumerate() {
        let field = format!("secret_stores[{index}].secrets[0].field");
        assert_eq!(violations[index].path.to_string(), field);
        let told = &violations[index].description;
        assert!(told.starts_with(begin), "{told}");
    }
}

#[tokio::test]
async fn another_organization_sees_and_gets_nothing() {
    let stage = Stage::new().await;
    let secrets = stage.secrets();
    let other: OrganizationId = "other".parse().unwrap();
    secrets.create_store(&acme(), team()).await.unwrap();
    secrets
        .put(&acme(), &team(), address("a", ""), value("theirs"))
        .await
        .unwrap();
    let found = secrets.resolve(&other, &[asked(0, "team", "a", "")]).await;
    let Err(Unresolved::Missing(violations)) = found else {
        unreachable!("it belongs to acme");
    };
    assert!(
        violations[0].description.contains("there are none"),
        "{violations:?}"
    );
    let none = Reason::ResourceNotFound;
    assert_eq!(reason(secrets.get_store(&other, &team()).await), none);
    assert_eq!(reason(secrets.delete_store(&other, &team()).await), none);
    let put = secrets
        .put(&other, &team(), address("a", ""), value("x"))
        .await;
    assert_eq!(reason(put), none);
    assert!(resolved(&secrets, "team", "a", "").await.is_some());
}

#[tokio::test]
async fn a_new_key_seals_everything_and_the_old_one_is_forgotten_a_turn_later() {
    let stage = Stage::new().await;
    let (server, tool) = (stage.secrets(), stage.secrets());
    server.create_store(&acme(), team()).await.unwrap();
    for path in ["a", "b"] {
        server
            .put(&acme(), &team(), address(path, ""), value(path))
            .await
            .unwrap();
    }
    let rotated = tool.rotate().await.unwrap();
    assert_eq!(
        (rotated.resealed, rotated.unreadable, rotated.keys),
        (2, 0, 2)
    );
    // The server, which runs on, uses the file as it is now.
    assert_eq!(
        resolved(&server, "team", "a", "").await.as_deref(),
        Some("a")
    );
    server
        .put(&acme(), &team(), address("c", ""), value("c"))
        .await
        .unwrap();
    let rotated = tool.rotate().await.unwrap();
    assert_eq!((rotated.resealed, rotated.keys), (3, 2));
    for path in ["a", "b", "c"] {
        assert_eq!(
            resolved(&server, "team", path, "").await.as_deref(),
            Some(path)
        );
    }
}

#[tokio::test]
async fn without_its_key_nothing_is_read_and_the_refusal_says_so() {
    let stage = Stage::new().await;
    let secrets = stage.secrets();
    secrets.create_store(&acme(), team()).await.unwrap();
    secrets
        .put(&acme(), &team(), address("a", ""), value("hunter2"))
        .await
        .unwrap();
    let not_provisioned = Reason::SecretStoreNotProvisioned;
    std::fs::remove_file(stage.key()).unwrap();
    KeyFile::create(&stage.key(), [7; 32]).unwrap();
    let asked = [asked(0, "team", "a", "")];
    let Err(Unresolved::Failed(failure)) = secrets.resolve(&acme(), &asked).await else {
        unreachable!("the key is another one");
    };
    assert_eq!(failure.refusal.reason, not_provisioned);
    assert!(!failure.may_retry());
    let keyless = stage.secrets_by(SecretSettings::default());
    let made = keyless.create_store(&acme(), "more".parse().unwrap()).await;
    assert_eq!(reason(made), not_provisioned);
    let rotated = stage.secrets().rotate().await.unwrap();
    assert_eq!((rotated.resealed, rotated.unreadable), (0, 1));
}

#[tokio::test]
async fn configured_stores_stand_beside_the_others_and_are_read_only() {
    let stage = Stage::new().await;
    let configured = |organization: &str, name: &str, pairs: &[(&str, &str)]| ConfiguredStore {
        organization: organization.parse().unwrap(),
        name: name.parse().unwrap(),
        source: Source::Environment(
            pairs
                .iter()
                .map(|(name, text)| ((*name).to_owned(), value(text)))
                .collect::<BTreeMap<_, _>>(),
        ),
        since: Timestamp::EPOCH,
    };
    let own = stage.secrets();
    for name in ["aaa", "ccc", "team"] {
        own.create_store(&acme(), name.parse().unwrap())
            .await
            .unwrap();
    }
    own.put(&acme(), &team(), address("TOKEN", ""), value("kept"))
        .await
        .unwrap();
    let secrets = stage.secrets_with(vec![
        configured("acme", "bbb", &[("TOKEN", "configured")]),
        configured("acme", "team", &[("TOKEN", "hides the kept one")]),
        configured("other", "zzz", &[]),
    ]);
    let mut names = Vec::new();
    let mut page = PageRequest::first(PageSize::clamped(1));
    loop {
        let listed = secrets.list_stores(&acme(), page).await.unwrap();
        names.extend(
            listed
                .items
                .iter()
                .map(|one| (one.name.to_string(), one.provider)),
        );
        let Some(next) = listed.next else { break };
        page = PageRequest {
            after: Some(next),
            size: PageSize::clamped(1),
        };
    }
    let (built_in, environment) = (SecretProvider::BuiltIn, SecretProvider::Environment);
    let expected = [
        ("aaa", built_in),
        ("bbb", environment),
        ("ccc", built_in),
        ("team", environment),
    ];
    let expected = expected.map(|(name, provider)| (name.to_owned(), provider));
    assert_eq!(names, expected);
    assert_eq!(
        resolved(&secrets, "bbb", "TOKEN", "").await.as_deref(),
        Some("configured")
    );
    let found = resolved(&secrets, "team", "TOKEN", "").await;
    assert_eq!(found.as_deref(), Some("hides the kept one"));
    let denied = Reason::PermissionDenied;
    assert_eq!(reason(secrets.delete_store(&acme(), &team()).await), denied);
    let put = secrets
        .put(&acme(), &team(), address("a", ""), value("x"))
        .await;
    assert_eq!(reason(put), denied);
    let made = secrets.create_store(&acme(), "bbb".parse().unwrap()).await;
    assert_eq!(reason(made), Reason::SecretStoreNameTaken);
}

#[tokio::test]
async fn too_much_for_one_sandbox_is_refused() {
    let stage = Stage::new().await;
    let secrets = stage.secrets();
    secrets.create_store(&acme(), team()).await.unwrap();
    let large = value(&"x".repeat(60_000));
    secrets
        .put(&acme(), &team(), address("large", ""), large)
        .await
        .unwrap();
    let few: Vec<_> = (0..8)
        .map(|index| asked(index, "team", "large", ""))
        .collect();
    assert!(secrets.resolve(&acme(), &few).await.is_ok());
    let many: Vec<_> = (0..9)
        .map(|index| asked(index, "team", "large", ""))
        .collect();
    assert!(secrets.resolve(&acme(), &many).await.is_err());
}
