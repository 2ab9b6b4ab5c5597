//! Numbers of enumerations that nobody knows, in every request that has one; a test of
//! the protocol says which these are.

use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::secret_store_service_client::SecretStoreServiceClient;
use tonic::{Code, Status};

use crate::rig::{Bearer, Stage, channel, reason, running};

/// What is refused, by which field, and what is told as allowed there.
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, field: &str, allowed: &[&str]) {
    let refusal = answer.unwrap_err();
    assert_eq!(
        refusal.code(),
        Code::InvalidArgument,
        "{field}: {refusal:?}"
    );
    assert_eq!(reason(&refusal), "CWSANDBOX_INVALID_REQUEST");
    let message = refusal.message();
    assert!(message.contains(field), "{field}: {message}");
    for one in allowed {
        assert!(message.contains(one), "{field}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_nobody_knows_is_refused_with_those_that_there_are() {
    let (stage, gateway, _runner, client) = Stage::usual().await;
    let sandbox = client.start(running("fake until-stopped")).await.unwrap();
    let sandbox_id = sandbox.sandbox_id;
    let (mut sandboxes, mut discovery) = (client.sandboxes.clone(), client.discovery.clone());
    let bearer = Bearer(gateway_token(&stage).await);
    let channel = channel(gateway.address).await.unwrap();
    let mut stores = SecretStoreServiceClient::with_interceptor(channel, bearer);
    // 8 is a hole among the states; the others lie beyond what there is.
    for number in [8, 77, -1, i32::MAX] {
        let list = pb::ListSandboxesRequest {
            status: number,
            ..Default::default()
        };
        let states = [
            "SANDBOX_STATUS_RUNNING (2)",
            "SANDBOX_STATUS_TERMINATING (9)",
        ];
        refused(sandboxes.list(list).await, "status", &states);
        let views = ["RUNNER_VIEW_BASIC (1)", "RUNNER_VIEW_FULL (2)"];
        let runners = pb::ListAvailableRunnersRequest {
            view: number,
            ..Default::default()
        };
        refused(
            discovery.list_available_runners(runners).await,
            "view",
            &views,
        );
        let runner = pb::GetAvailableRunnerRequest {
            runner_id: "local".to_owned(),
            view: number,
        };
        refused(discovery.get_available_runner(runner).await, "view", &views);
        let exec = pb::ExecSandboxRequest {
            sandbox_id: sandbox_id.clone(),
            command: vec!["true".to_owned()],
            output_handling: number,
            ..Default::default()
        };
        let policies = ["OUTPUT_POLICY_BUFFERED (1)", "OUTPUT_POLICY_DISCARD (3)"];
        refused(sandboxes.exec(exec).await, "output_handling", &policies);
        let store = pb::CreateSecretStoreRequest {
            name: "team".to_owned(),
            provider_type: number,
            provider_config: None,
        };
        let providers = ["SECRET_STORE_PROVIDER_TYPE_BUILT_IN (1001)"];
        refused(
            stores.create_secret_store(store).await,
            "provider_type",
            &providers,
        );
    }
    for number in [77, -1, i32::MAX] {
        let raw = pb::RawSandboxRequest {
            sandbox_id: sandbox_id.clone(),
            action_type: number,
            ..Default::default()
        };
        let actions = ["ACTION_TYPE_EXEC (1)", "ACTION_TYPE_RETRIEVE_FILE (3)"];
        refused(sandboxes.raw(raw).await, "action_type", &actions);
    }
}

async fn gateway_token(stage: &Stage) -> tonic::metadata::MetadataValue<tonic::metadata::Ascii> {
    let token = stage.admin_token("acme").await;
    format!("Bearer {}", token.reveal()).parse().unwrap()
}
