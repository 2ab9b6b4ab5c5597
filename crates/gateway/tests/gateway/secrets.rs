//! Secrets on their way through a gateway: checked, sent with the launch, and
//! found anew when that is sent again.

use std::sync::Arc;

use palisade_model::id::RunnerUid;
use palisade_model::secret::{SecretAddress, SecretStoreName, SecretValue};
use palisade_model::token::PresentedToken;
use palisade_secrets::{KeyFile, SecretSettings, Secrets};
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::SandboxStatus;
use palisade_wire::proto::v1beta2::secret_store_service_client::SecretStoreServiceClient;
use palisade_wire::v1beta2::KEY_ANNOTATION;
use tempfile::TempDir;
use tonic::Code;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::rig::{
    Bearer, Client, GatewayProcess, RunnerProcess, Stage, channel, config, reason, running, until,
};

const VALUE: &str = "hunter2";

/// A store `team` of acme with the secret `token`.
struct Vault {
    directory: TempDir,
    secrets: Secrets,
}

impl Vault {
    async fn new(stage: &Stage) -> Self {
        let directory = tempfile::tempdir().unwrap();
        KeyFile::create(&directory.path().join("key"), [7; 32]).unwrap();
        let settings = settings(&directory);
        let store = Arc::new(stage.store.clone());
        let secrets = Secrets::new(store, stage.clock.clone(), stage.ids.clone(), settings);
        let acme = "acme".parse().unwrap();
        secrets.create_store(&acme, team()).await.unwrap();
        let value = SecretValue::new(VALUE.as_bytes().to_vec()).unwrap();
        secrets.put(&acme, &team(), token(), value).await.unwrap();
        Self { directory, secrets }
    }

    fn config(&self) -> palisade_gateway::GatewayConfig {
        palisade_gateway::GatewayConfig {
            secrets: settings(&self.directory),
            ..config()
        }
    }
}

fn settings(directory: &TempDir) -> SecretSettings {
    SecretSettings {
        keys: Some(KeyFile::open(&directory.path().join("key")).unwrap()),
        configured: Vec::new(),
    }
}

fn team() -> SecretStoreName {
    "team".parse().unwrap()
}

fn token() -> SecretAddress {
    SecretAddress {
        path: "token".parse().unwrap(),
        field: None,
    }
}

fn asking(store: &str, path: &str) -> pb::StartSandboxRequest {
    pb::StartSandboxRequest {
        secret_stores: vec![pb::SecretStoreReference {
            store_name: store.to_owned(),
            secrets: vec![pb::SecretMapping {
                path: path.to_owned(),
                field: String::new(),
                env_var: "TOKEN".to_owned(),
            }],
        }],
        ..running("fake until-stopped")
    }
}

/// A gateway with the store, a runner over `world`, and a sandbox that asked for
/// the secret and runs.
struct Scene {
    stage: Stage,
    vault: Vault,
    join: PresentedToken,
    caller: PresentedToken,
    uid: RunnerUid,
}

impl Scene {
    async fn new() -> Self {
        let stage = Stage::new().await;
        let vault = Vault::new(&stage).await;
        let profile = stage.profile("ci").await;
        let record = stage.runner_record("local", profile.id).await;
        Self {
            join: stage.join_token("local").await,
            caller: stage.token("acme").await,
            uid: record.uid,
            stage,
            vault,
        }
    }

    /// A gateway, and a runner that knows of nothing: its machine is a new one.
    async fn begin(&self) -> (GatewayProcess, RunnerProcess, Client) {
        let gateway = self.stage.gateway(self.vault.config()).await;
        let runner = self.stage.runner(&self.join, &Arc::default());
        gateway.connected(self.uid).await;
        let client = gateway.client(&self.caller).await;
        (gateway, runner, client)
    }

    /// A sandbox with a secret that has not begun, of which the gateway and the machine of
    /// its runner are gone.
    async fn begun(&self) -> String {
        let (gateway, runner, client) = self.begin().await;
        runner.world.hold_starts(true);
        let started = client.start(asking("team", "token")).await.unwrap();
        until("it is there", async || !runner.world.ids().is_empty()).await;
        runner.end();
        gateway.kill();
        started.sandbox_id
    }
}

async fn environment(client: &Client, id: &str) -> String {
    let exec = pb::ExecSandboxRequest {
        sandbox_id: id.to_owned(),
        command: vec!["env".to_owned()],
        ..Default::default()
    };
    let done = client.sandboxes.clone().exec(exec).await.unwrap();
    let result = done.into_inner().result.unwrap();
    String::from_utf8_lossy(&result.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_gets_its_secrets_and_no_record_holds_them() {
    let scene = Scene::new().await;
    let (_gateway, _runner, client) = scene.begin().await;
    let id = client
        .start(asking("team", "token"))
        .await
        .unwrap()
        .sandbox_id;
    client.runs(&id).await;
    let environment = environment(&client, &id).await;
    assert!(environment.contains("TOKEN=hunter2"), "{environment}");
    let shown = format!("{:?}", client.get(&id).await.unwrap());
    assert!(!shown.contains(VALUE), "{shown}");
    assert!(!scene.stage.holds(VALUE), "the database holds the value");
    assert!(scene.stage.holds("TOKEN"), "the record names the variable");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_refused_before_anything_is_recorded() {
    let scene = Scene::new().await;
    let (_gateway, _runner, client) = scene.begin().await;
    for (store, path, words) in [
        ("absent", "token", "there are team"),
        ("team", "absent", "no secret absent"),
    ] {
        let refused = client.start(asking(store, path)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(words), "{refused:?}");
    }
    let mut twice = asking("team", "token");
    twice.environment_variables = [("TOKEN".to_owned(), "x".to_owned())].into();
    let refused = client.start(twice).await.unwrap_err();
    assert_eq!(reason(&refused), "CWSANDBOX_INVALID_REQUEST");
    let place = "secret_stores[0].secrets[0].env_var";
    assert!(refused.message().contains(place), "{refused:?}");
    let listed = client.list(pb::ListSandboxesRequest::default()).await;
    assert!(listed.unwrap().sandboxes.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_repeated_needs_its_secrets_no_more() {
    let scene = Scene::new().await;
    let (_gateway, _runner, client) = scene.begin().await;
    let asking = || pb::StartSandboxRequest {
        pod_annotations: [(KEY_ANNOTATION.to_owned(), "k".to_owned())].into(),
        ..asking("team", "token")
    };
    let first = client.start(asking()).await.unwrap().sandbox_id;
    client.runs(&first).await;
    let acme = "acme".parse().unwrap();
    let deleted = scene.vault.secrets.delete_store(&acme, &team()).await;
    deleted.unwrap();
    let again = client.start(asking()).await.unwrap().sandbox_id;
    assert_eq!(again, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_that_is_sent_again_brings_the_values_of_then() {
    let scene = Scene::new().await;
    let id = scene.begun().await;
    let changed = SecretValue::new(b"changed".to_vec()).unwrap();
    let secrets = &scene.vault.secrets;
    let acme = "acme".parse().unwrap();
    secrets.put(&acme, &team(), token(), changed).await.unwrap();
    let (_gateway, runner, client) = scene.begin().await;
    until("it is there again", async || !runner.world.ids().is_empty()).await;
    client.runs(&id).await;
    let environment = environment(&client, &id).await;
    assert!(environment.contains("TOKEN=changed"), "{environment}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_gone_before_the_launch_fails_the_sandbox_and_says_so() {
    let scene = Scene::new().await;
    let id = scene.begun().await;
    let acme = "acme".parse().unwrap();
    let store = team();
    let deleted = scene.vault.secrets.delete_store(&acme, &store);
    deleted.await.unwrap();
    let (_gateway, runner, client) = scene.begin().await;
    let over = client.is_over(&id).await;
    assert_eq!(over.sandbox_status(), SandboxStatus::Failed);
    let said = &over.status_reason;
    assert!(
        said.contains("its secrets are not there any more"),
        "{said}"
    );
    assert!(runner.world.ids().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_are_kept_by_administrators_and_seen_by_all_of_the_organization() {
    let scene = Scene::new().await;
    let (gateway, _runner, _client) = scene.begin().await;
    let admin = stores(&gateway, &scene.stage.admin_token("acme").await).await;
    let user = stores(&gateway, &scene.caller).await;
    let built_in = pb::SecretStoreProviderType::BuiltIn;
    let new = |name: &str| pb::CreateSecretStoreRequest {
        name: name.to_owned(),
        provider_type: built_in.into(),
        provider_config: None,
    };
    let made = admin
        .clone()
        .create_secret_store(new("ci-1"))
        .await
        .unwrap();
    let made = made.into_inner().secret_store.unwrap();
    assert_eq!(
        (made.organization_id.as_str(), made.provider_type()),
        ("acme", built_in)
    );
    let again = admin
        .clone()
        .create_secret_store(new("ci-1"))
        .await
        .unwrap_err();
    assert_eq!(reason(&again), "CWSANDBOX_SECRET_STORE_NAME_TAKEN");
    let get = |name: &str| pb::GetSecretStoreRequest {
        name: name.to_owned(),
    };
    let seen = user.clone().get_secret_store(get("ci-1")).await.unwrap();
    assert_eq!(seen.into_inner().secret_store, Some(made));
    let denied = user
        .clone()
        .create_secret_store(new("mine"))
        .await
        .unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    let delete = |name: &str| pb::DeleteSecretStoreRequest {
        name: name.to_owned(),
    };
    let denied = user
        .clone()
        .delete_secret_store(delete("ci-1"))
        .await
        .unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    assert_eq!(names(&user, 1).await, ["ci-1", "team"]);
    admin
        .clone()
        .delete_secret_store(delete("ci-1"))
        .await
        .unwrap();
    let gone = user
        .clone()
        .get_secret_store(get("ci-1"))
        .await
        .unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    scene.stage.organization("other").await;
    let stranger = stores(&gateway, &scene.stage.admin_token("other").await).await;
    let hidden = stranger
        .clone()
        .get_secret_store(get("team"))
        .await
        .unwrap_err();
    assert_eq!(hidden.code(), Code::NotFound);
    let hidden = stranger
        .clone()
        .delete_secret_store(delete("team"))
        .await
        .unwrap_err();
    assert_eq!(hidden.code(), Code::NotFound);
}

/// The names of all stores, so many at a time.
async fn names(client: &Stores, page_size: i32) -> Vec<String> {
    let mut page = pb::ListSecretStoresRequest {
        page_size,
        page_token: String::new(),
    };
    let mut names = Vec::new();
    loop {
        let listed = client
            .clone()
            .list_secret_stores(page.clone())
            .await
            .unwrap();
        let listed = listed.into_inner();
        names.extend(listed.secret_stores.into_iter().map(|one| one.name));
        page.page_token = listed.next_page_token;
        if page.page_token.is_empty() {
            break;
        }
    }
    names
}

type Stores = SecretStoreServiceClient<InterceptedService<Channel, Bearer>>;

async fn stores(gateway: &GatewayProcess, token: &PresentedToken) -> Stores {
    let bearer = Bearer(format!("Bearer {}", token.reveal()).parse().unwrap());
    let channel = channel(gateway.address).await.unwrap();
    SecretStoreServiceClient::with_interceptor(channel, bearer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_of_somebody_else_is_refused() {
    let scene = Scene::new().await;
    let (gateway, _runner, _client) = scene.begin().await;
    let stores = stores(&gateway, &scene.caller).await;
    for (page_size, page_token) in [(0, "p1-!"), (0, "k1-team"), (-1, "")] {
        let page = pb::ListSecretStoresRequest {
            page_size,
            page_token: page_token.to_owned(),
        };
        let refused = stores.clone().list_secret_stores(page).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
}
