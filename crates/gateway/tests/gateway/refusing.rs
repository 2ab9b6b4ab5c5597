use std::sync::Arc;

use palisade_store::Tokens as _;
use palisade_wire::proto::v1beta2 as pb;
use tonic::Code;

use crate::rig::{Bearer, Stage, channel, config, fact, parsed, reason, running};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_valid_token_nothing_is_answered() {
    let (stage, gateway, _runner, _client) = Stage::usual().await;
    let unknown = palisade_model::token::PresentedToken::new(
        palisade_model::id::TokenId::new(uuid::Uuid::from_u128(5)),
        [1; 32],
    );
    let join = stage.join_token("local").await;
    let said = [
        "Basic abc".to_owned(),
        "Bearer".to_owned(),
        "Bearer nonsense".to_owned(),
        format!("Bearer {}", unknown.reveal()),
        format!("Bearer {}", join.reveal()),
    ];
    for said in said {
        let client = gateway.client_saying(&said).await;
        let refusal = client.get("x").await.unwrap_err();
        assert_eq!(refusal.code(), Code::Unauthenticated);
        assert_eq!(reason(&refusal), "CWSANDBOX_UNAUTHENTICATED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_refused_though_it_was_remembered() {
    let (stage, gateway, _runner, _client) = Stage::usual().await;
    let token = stage.token("acme").await;
    let client = gateway.client(&token).await;
    client
        .list(pb::ListSandboxesRequest::default())
        .await
        .unwrap();
    let organization = parsed("acme");
    let revoked = stage.store.revoke_token(&organization, token.id());
    revoked.await.unwrap();
    crate::rig::until("the token is refused", async || {
        let listed = client.list(pb::ListSandboxesRequest::default()).await;
        listed.is_err_and(|refusal| refusal.code() == Code::Unauthenticated)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_none_names_no_sandbox() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    for id in ["x", "not-a-uuid", "0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d"] {
        let refusal = client.get(id).await.unwrap_err();
        assert_eq!(refusal.code(), Code::NotFound);
        assert_eq!(reason(&refusal), "CWSANDBOX_SANDBOX_NOT_FOUND");
        assert_eq!(fact(&refusal, "sandbox_id").as_deref(), Some(id));
    }
    let refusal = client.get("").await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_profile_that_cannot_serve_is_a_mismatch() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let request = pb::StartSandboxRequest {
        profile_names: vec!["ci".to_owned()],
        network: Some(pb::NetworkOptions {
            egress_mode: "everything".to_owned(),
            ..Default::default()
        }),
        ..running("fake until-stopped")
    };
    let refusal = client.start(request).await.unwrap_err();
    assert_eq!(refusal.code(), Code::FailedPrecondition);
    assert_eq!(reason(&refusal), "CWSANDBOX_PROFILE_MISMATCH");
    assert_eq!(fact(&refusal, "candidates").as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_runner_can_carry_out_is_refused_before_it_is_placed() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let tiny = pb::ResourceRequest {
        memory: "1Ki".to_owned(),
        ..Default::default()
    };
    let small = pb::StartSandboxRequest {
        resources: Some(tiny),
        ..running("fake until-stopped")
    };
    let ports = |protocol: &str, count: i32| pb::StartSandboxRequest {
        ports: (1..=count)
            .map(|container_port| pb::Port {
                container_port,
                name: String::new(),
                protocol: protocol.to_owned(),
            })
            .collect(),
        network: Some(pb::NetworkOptions {
            ingress_mode: "internal".to_owned(),
            ..Default::default()
        }),
        ..running("fake until-stopped")
    };
    let cases = [
        (small, "memory_smallest", "at least 1Mi of memory"),
        (ports("SCTP", 1), "port_protocol", "expose nothing"),
        (
            ports("UDP", 129),
            "exposed_ports",
            "128 ports, from 1 to 128",
        ),
    ];
    for (request, constraint, remedy) in cases {
        let refusal = client.start(request).await.unwrap_err();
        assert_eq!(refusal.code(), Code::FailedPrecondition, "{constraint}");
        assert_eq!(reason(&refusal), "CWSANDBOX_NO_SUITABLE_RUNNER");
        let violations = fact(&refusal, "violations").unwrap();
        assert!(violations.contains(constraint), "{violations}");
        assert!(refusal.message().ends_with(remedy), "{}", refusal.message());
        assert!(fact(&refusal, "closest").is_some(), "{constraint}");
    }
    assert!(client.start(ports("UDP", 128)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn features_that_are_absent_are_refused_by_name() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let with_bucket = pb::StartSandboxRequest {
        s3_mount: Some(pb::S3Mount::default()),
        ..running("fake until-stopped")
    };
    let refusal = client.start(with_bucket).await.unwrap_err();
    assert_eq!(refusal.code(), Code::Unimplemented);
    assert_eq!(reason(&refusal), "CWSANDBOX_NOT_IMPLEMENTED");
    assert_eq!(fact(&refusal, "feature").as_deref(), Some("s3_mount"));
    let mut sandboxes = client.sandboxes.clone();
    let snapshots =
        sandboxes.list_file_system_snapshots(pb::ListFileSystemSnapshotsRequest::default());
    let refusal = snapshots.await.unwrap_err();
    assert_eq!(refusal.code(), Code::FailedPrecondition);
    assert_eq!(reason(&refusal), "CWSANDBOX_FSS_NOT_SUPPORTED");
    let refusal = sandboxes
        .get_object_storage_wif_config(pb::GetObjectStorageWifConfigRequest::default())
        .await;
    assert_eq!(reason(&refusal.unwrap_err()), "CWSANDBOX_NOT_IMPLEMENTED");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_calls_at_once_are_told_to_come_back() {
    use tonic_types::StatusExt as _;
    let stage = Stage::new().await;
    let gateway = stage
        .gateway(palisade_gateway::GatewayConfig {
            calls_max: 0,
            ..config()
        })
        .await;
    let client = gateway.client(&stage.token("acme").await).await;
    let refusal = client.get("x").await.unwrap_err();
    assert_eq!(refusal.code(), Code::ResourceExhausted);
    assert_eq!(reason(&refusal), "CWSANDBOX_OVERLOADED");
    let details = refusal.get_error_details();
    assert!(details.retry_info().unwrap().retry_delay.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_runner_that_is_there_a_launch_is_worth_another_try() {
    let (stage, record, join) = Stage::awaiting_runner().await;
    let gateway = stage.gateway(config()).await;
    let client = gateway.client(&stage.token("acme").await).await;
    let refusal = client.start(running("fake until-stopped")).await;
    assert_eq!(refusal.unwrap_err().code(), Code::Unavailable);
    let _runner = stage.runner(&join, &Arc::default());
    gateway.connected(record.uid).await;
    let started = client.start(running("fake until-stopped")).await.unwrap();
    client.runs(&started.sandbox_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_reflection_ask_for_no_token() {
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::health_client::HealthClient;
    let stage = Stage::new().await;
    let gateway = stage.gateway(config()).await;
    let channel = channel(gateway.address).await.unwrap();
    crate::rig::until("the gateway says that it serves", async || {
        let mut health = HealthClient::new(channel.clone());
        let answer = health.check(tonic_health::pb::HealthCheckRequest::default());
        answer.await.unwrap().into_inner().status() == ServingStatus::Serving
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_of_the_method_is_the_callers_fault() {
    let (stage, gateway, _runner, _client) = Stage::usual().await;
    let token = stage.token("acme").await;
    // The first field of a request to start is text; these bytes are none.
    let bytes = pb::ExecStreamData {
        data: vec![0xff, 0xfe].into(),
    };
    let start = "/coreweave.sandbox.v1beta2.GatewayService/Start";
    let refusal = gateway
        .call(&token, start, bytes.clone())
        .await
        .unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument);
    assert_eq!(reason(&refusal), "CWSANDBOX_INVALID_REQUEST");

    let unknown = "/coreweave.sandbox.v1beta2.GatewayService/Hibernate";
    let refusal = gateway.call(&token, unknown, bytes).await.unwrap_err();
    assert_eq!(refusal.code(), Code::Unimplemented);
    assert_eq!(reason(&refusal), "CWSANDBOX_NOT_IMPLEMENTED");
    assert_eq!(fact(&refusal, "feature").as_deref(), Some(unknown));
}

const LIST: &str = "/coreweave.sandbox.v1beta2.GatewayService/List";
const STREAM: &str = "/coreweave.sandbox.v1beta2.GatewayStreamingService/StreamExec";

#[tokio::test(flavor = "multi_thread")]
async fn compression_is_refused_with_what_is_accepted() {
    let (stage, gateway, _runner, _client) = Stage::usual().await;
    let token = stage.token("acme").await;
    for path in [LIST, STREAM] {
        let said = [("grpc-encoding", "gzip")];
        let call = gateway.call_saying(&token, path, &said, pb::ListSandboxesRequest::default());
        let refusal = call.await.unwrap_err();
        assert_eq!(refusal.code(), Code::Unimplemented, "{refusal:?}");
        assert_eq!(reason(&refusal), "CWSANDBOX_NOT_IMPLEMENTED");
        assert_eq!(fact(&refusal, "feature").as_deref(), Some("grpc-encoding"));
        let accepted = refusal.metadata().get("grpc-accept-encoding");
        assert_eq!(accepted.unwrap(), "identity");
        assert!(refusal.message().contains("gzip"), "{refusal:?}");
    }
    let said = [("grpc-encoding", "identity")];
    let call = gateway.call_saying(&token, LIST, &said, pb::ListSandboxesRequest::default());
    call.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_is_none_is_refused_and_not_left_out() {
    let (stage, gateway, _runner, _client) = Stage::usual().await;
    let token = stage.token("acme").await;
    for path in [LIST, STREAM] {
        for said in [&["10"][..], &["+10S"], &["123456789m"], &["1S", "2S"]] {
            let said: Vec<_> = said.iter().map(|said| ("grpc-timeout", *said)).collect();
            let message = pb::ListSandboxesRequest::default();
            let call = gateway.call_saying(&token, path, &said, message);
            let refusal = call.await.unwrap_err();
            assert_eq!(
                refusal.code(),
                Code::InvalidArgument,
                "{said:?} {refusal:?}"
            );
            assert_eq!(reason(&refusal), "CWSANDBOX_INVALID_REQUEST");
            assert!(refusal.message().starts_with("grpc-timeout"), "{refusal:?}");
        }
    }
    let said = [("grpc-timeout", "10S")];
    let call = gateway.call_saying(&token, LIST, &said, pb::ListSandboxesRequest::default());
    call.await.unwrap();
}

/// A frame that no stream reads: its one field ends before its length does.
#[derive(Clone, Debug, Default)]
struct Garbled;

impl prost::Message for Garbled {
    fn encode_raw(&self, bytes: &mut impl bytes::BufMut) {
        bytes.put_slice(&[0x0a, 0x7f, 0x01]);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        kind: prost::encoding::WireType,
        bytes: &mut impl bytes::Buf,
        context: prost::encoding::DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        prost::encoding::skip_field(kind, tag, bytes, context)
    }

    fn encoded_len(&self) -> usize {
        3
    }

    fn clear(&mut self) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_cannot_be_read_end_a_stream_with_the_reason() {
    let (stage, gateway, _runner, _client) = Stage::usual().await;
    let token = stage.token("acme").await;
    let service = "/coreweave.sandbox.v1beta2.GatewayStreamingService";
    for stream in ["StreamExec", "StreamLogs"] {
        let path: &'static str = format!("{service}/{stream}").leak();
        let refusal = gateway.call(&token, path, Garbled).await.unwrap_err();
        assert_eq!(refusal.code(), Code::InvalidArgument, "{refusal:?}");
        assert_eq!(reason(&refusal), "CWSANDBOX_INVALID_REQUEST");
        assert!(refusal.message().contains("frame"), "{refusal:?}");
        let huge = pb::ExecStreamData {
            data: vec![0; 120 << 20].into(),
        };
        let refusal = gateway.call(&token, path, huge).await.unwrap_err();
        assert_eq!(reason(&refusal), "CWSANDBOX_REQUEST_TOO_LARGE");
        assert!(refusal.message().contains("smaller"), "{refusal:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_beyond_what_any_call_carries_is_told_what_one_may_hold() {
    let (stage, gateway, _runner, client) = Stage::usual().await;
    let id = client.start(running("fake until-stopped")).await.unwrap();
    let bearer = format!("Bearer {}", stage.token("acme").await.reveal());
    let channel = channel(gateway.address).await.unwrap();
    let mut files = pb::gateway_service_client::GatewayServiceClient::with_interceptor(
        channel,
        Bearer(bearer.parse().unwrap()),
    )
    .max_encoding_message_size(200 << 20);
    let add = pb::AddFileSandboxRequest {
        sandbox_id: id.sandbox_id,
        file_contents: vec![0; 120 << 20].into(),
        filepath: "/data/x".to_owned(),
        max_timeout_seconds: 0,
    };
    let message_bytes = prost::Message::encoded_len(&add).to_string();
    let refusal = files.add_file(add).await.unwrap_err();
    assert_eq!(reason(&refusal), "CWSANDBOX_FILE_TOO_LARGE");
    assert_eq!(
        fact(&refusal, "max_size_bytes").as_deref(),
        Some("33554432")
    );
    assert_eq!(fact(&refusal, "operation").as_deref(), Some("write"));
    assert_eq!(fact(&refusal, "size_bytes").as_deref(), Some("125829120"));
    assert_eq!(fact(&refusal, "request_bytes"), Some(message_bytes));
}
