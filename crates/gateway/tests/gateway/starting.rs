use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::SandboxStatus;
use tonic::Code;

use crate::rig::{Stage, config, reason, running};

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_starts_runs_and_is_seen() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let started = client.start(running("fake until-stopped")).await.unwrap();
    assert_eq!(started.applied_egress_mode, "closed");
    assert_eq!(started.profile_id, "ci");
    assert_eq!(started.runner_id, "local");
    assert_eq!(started.sandbox_status(), SandboxStatus::Creating);
    let seen = client.runs(&started.sandbox_id).await;
    assert_eq!(seen.runner_id, "local");
    assert_eq!(seen.runner_group_id, "default");
    assert!(seen.started_at_time.is_some());
    assert_eq!(seen.status_reason, "");
    let listed = client.list(pb::ListSandboxesRequest::default()).await;
    let listed = listed.unwrap().sandboxes;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].sandbox_id, started.sandbox_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_has_a_start_once_it_runs_and_none_before_or_if_it_never_did() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let admitted = client.start(running("fake until-stopped")).await.unwrap();
    let hopeless = pb::StartSandboxRequest {
        container_image: "fake.example/none:1".to_owned(),
        ..running("fake until-stopped")
    };
    let hopeless = client.start(hopeless).await.unwrap();
    assert_eq!(admitted.started_at_time, None);
    assert_eq!(hopeless.started_at_time, None);
    let runs = client.runs(&admitted.sandbox_id).await;
    let failed = client.is_over(&hopeless.sandbox_id).await;
    assert_eq!(failed.sandbox_status(), SandboxStatus::Failed);
    let since = runs.started_at_time;
    assert!(since.is_some());
    assert_eq!(failed.started_at_time, None);
    let all = pb::ListSandboxesRequest {
        include_stopped: true,
        ..Default::default()
    };
    for listed in client.list(all).await.unwrap().sandboxes {
        let runs = listed.sandbox_id == runs.sandbox_id;
        assert_eq!(listed.started_at_time, since.filter(|_| runs));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_modes_and_ports_are_echoed_as_they_were_asked_for() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let amounts = |cpu: &str, memory: &str| {
        Some(pb::ResourceRequest {
            cpu: cpu.to_owned(),
            memory: memory.to_owned(),
            gpu: None,
        })
    };
    let started = client
        .start(pb::StartSandboxRequest {
            resource_requests: amounts("500m", "1Gi"),
            resource_limits: amounts("1500m", "2048Mi"),
            ports: vec![pb::Port {
                container_port: 8080,
                name: "web".to_owned(),
                protocol: "TCP".to_owned(),
            }],
            network: Some(pb::NetworkOptions {
                ingress_mode: "internal".to_owned(),
                exposed_ports: vec![8080],
                egress_mode: "internet".to_owned(),
            }),
            ..running("fake until-stopped")
        })
        .await
        .unwrap();
    assert_eq!(started.requested_resource_requests, amounts("500m", "1Gi"));
    assert_eq!(
        started.requested_resource_limits,
        amounts("1500m", "2048Mi")
    );
    assert_eq!(started.applied_ingress_mode, "internal");
    assert_eq!(started.applied_egress_mode, "internet");
    assert_eq!(started.exposed_ports[0].container_port, 8080);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_of_the_main_process_is_told_and_stays() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let started = client.start(running("fake exit 3")).await.unwrap();
    let seen = client.is_over(&started.sandbox_id).await;
    assert_eq!(seen.sandbox_status(), SandboxStatus::Completed);
    assert_eq!(seen.exit_code, Some(3));
    let reason = "the main process ended with exit code 3";
    assert_eq!(seen.status_reason, reason);
    let live = client.list(pb::ListSandboxesRequest::default()).await;
    assert!(live.unwrap().sandboxes.is_empty());
    let all = client.list(pb::ListSandboxesRequest {
        include_stopped: true,
        ..Default::default()
    });
    assert_eq!(all.await.unwrap().sandboxes.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_runner_cannot_make_fails_with_its_reason() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let started = client
        .start(pb::StartSandboxRequest {
            container_image: "example.com/absent:1".to_owned(),
            ..running("fake until-stopped")
        })
        .await
        .unwrap();
    let seen = client.is_over(&started.sandbox_id).await;
    assert_eq!(seen.sandbox_status(), SandboxStatus::Failed);
    assert!(seen.status_reason.contains("example.com/absent:1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_leads_on_in_its_own_list_and_in_no_other() {
    let (stage, gateway, _runner, client) = Stage::usual().await;
    stage.organization("globex").await;
    let globex = gateway.client(&stage.token("globex").await).await;
    for _ in 0..3 {
        client.start(running("fake until-stopped")).await.unwrap();
    }
    let page = |tags: &[&str], page_token: &str| pb::ListSandboxesRequest {
        page_size: 2,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        page_token: page_token.to_owned(),
        ..Default::default()
    };
    let first = client.list(page(&[], "")).await.unwrap();
    let token = first.next_page_token;
    for refused in [
        client.list(page(&["a"], &token)).await.unwrap_err(),
        globex.list(page(&[], &token)).await.unwrap_err(),
        client.list(page(&[], &token[1..])).await.unwrap_err(),
    ] {
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(reason(&refused), "CWSANDBOX_INVALID_REQUEST");
        assert!(refused.message().starts_with("page_token"), "{refused:?}");
    }
    let stores = format!("/v1beta2/secretstores?pageToken={token}");
    let caller = stage.token("acme").await;
    let refused = gateway.rest(Some(&caller), "GET", &stores, None).await;
    assert_eq!(refused.status, 400, "{}", refused.json);
    // Every gateway takes it, also after what it leads behind has gone.
    let last = first.sandboxes.last().unwrap();
    client.delete(&last.sandbox_id).await.unwrap();
    let other = stage.gateway(config()).await;
    let other = other.client(&caller).await;
    let second = other.list(page(&[], &token)).await.unwrap();
    assert_eq!(second.sandboxes.len(), 1);
    assert_eq!(second.next_page_token, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_cover_the_list_exactly_once_and_filters_pick() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let mut started = Vec::new();
    for number in 0..7 {
        let request = pb::StartSandboxRequest {
            tags: vec!["all".to_owned(), format!("number-{number}")],
            ..running("fake until-stopped")
        };
        started.push(client.start(request).await.unwrap().sandbox_id);
    }
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = client
            .list(pb::ListSandboxesRequest {
                page_size: 2,
                page_token,
                ..Default::default()
            })
            .await
            .unwrap();
        assert!(page.sandboxes.len() <= 2);
        seen.extend(page.sandboxes.into_iter().map(|it| it.sandbox_id));
        if page.next_page_token.is_empty() {
            break;
        }
        page_token = page.next_page_token;
    }
    seen.reverse();
    assert_eq!(seen, started);
    let tagged = client
        .list(pb::ListSandboxesRequest {
            tags: vec!["all".to_owned(), "number-3".to_owned()],
            profile_ids: vec!["ci".to_owned()],
            runner_ids: vec!["local".to_owned(), "other".to_owned()],
            ..Default::default()
        })
        .await
        .unwrap();
    assert_eq!(tagged.sandboxes.len(), 1);
    assert_eq!(tagged.sandboxes[0].sandbox_id, started[3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_of_another_organization_does_not_exist() {
    let (stage, gateway, _runner, client) = Stage::usual().await;
    stage.organization("globex").await;
    let stranger = gateway.client(&stage.token("globex").await).await;
    let started = client.start(running("fake until-stopped")).await.unwrap();
    let id = &started.sandbox_id;
    let refusals = [
        stranger.get(id).await.unwrap_err(),
        stranger.stop(id, 0).await.unwrap_err(),
        stranger.delete(id).await.unwrap_err(),
    ];
    for refusal in refusals {
        assert_eq!(refusal.code(), Code::NotFound);
        assert_eq!(reason(&refusal), "CWSANDBOX_SANDBOX_NOT_FOUND");
    }
    let listed = stranger.list(pb::ListSandboxesRequest::default()).await;
    assert!(listed.unwrap().sandboxes.is_empty());
    client.runs(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_changed_governs_the_next_sandbox() {
    use crate::rig::parsed;
    use palisade_store::Profiles as _;
    let (stage, _gateway, _runner, client) = Stage::usual().await;
    let profile = stage
        .store
        .get_profile(&parsed("acme"), &parsed("ci"))
        .await
        .unwrap();
    let mut spec = profile.spec.clone();
    spec.resource_ceiling.cpu = Some(parsed("2"));
    let update = palisade_store::profile::ProfileUpdate {
        spec: Some(spec),
        ..Default::default()
    };
    stage
        .store
        .update_profile(&parsed("acme"), profile.id, update, stage.stamp())
        .await
        .unwrap();
    let greedy = pb::StartSandboxRequest {
        resources: Some(pb::ResourceRequest {
            cpu: "4".to_owned(),
            memory: "1Gi".to_owned(),
            gpu: None,
        }),
        ..running("fake until-stopped")
    };
    // Whatever the gateway knows at this instant: a stale choice is refused by
    // the store and made again.
    let refusal = client.start(greedy).await.unwrap_err();
    assert_eq!(refusal.code(), Code::FailedPrecondition);
    assert_eq!(reason(&refusal), "CWSANDBOX_NO_SUITABLE_RUNNER");
}
