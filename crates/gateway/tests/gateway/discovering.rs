use std::sync::Arc;

use palisade_model::runner::{Binding, Bindings};
use palisade_store::Runners as _;
use palisade_store::runner::RunnerUpdate;
use palisade_wire::proto::v1beta2 as pb;
use tonic::Code;

use crate::rig::{Begun, Client, Stage, config, fact, parsed, reason, running, until};

async fn runners(
    client: &Client,
    request: pb::ListAvailableRunnersRequest,
) -> Vec<pb::AvailableRunner> {
    let mut discovery = client.discovery.clone();
    let listed = discovery.list_available_runners(request).await.unwrap();
    listed.into_inner().runners
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_is_told_of_briefly_or_in_full() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let started = client.start(running("fake until-stopped")).await.unwrap();
    client.runs(&started.sandbox_id).await;
    let brief = runners(&client, pb::ListAvailableRunnersRequest::default()).await;
    assert_eq!(brief.len(), 1);
    assert_eq!(brief[0].runner_id, "local");
    assert!(brief[0].healthy && brief[0].connected_at.is_some());
    assert!(brief[0].resources.is_none() && brief[0].capabilities.is_some());
    assert_eq!(brief[0].profile_names, ["ci"]);
    assert_eq!(brief[0].tags, ["ci", "fake"]);
    let full = pb::ListAvailableRunnersRequest {
        view: pb::RunnerView::Full.into(),
        ..Default::default()
    };
    let full = runners(&client, full).await;
    let resources = full[0].resources.as_ref().unwrap();
    assert_eq!(resources.running_sandboxes, 1);
    assert_eq!(resources.available_cpu_millicores, 999_000);
    let one = client
        .discovery
        .clone()
        .get_available_runner(pb::GetAvailableRunnerRequest {
            runner_id: "local".to_owned(),
            ..Default::default()
        })
        .await
        .unwrap();
    assert!(one.into_inner().resources.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_nothing_passes_is_no_error() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let none = pb::ListAvailableRunnersRequest {
        gpu_type: "H100".to_owned(),
        ..Default::default()
    };
    assert!(runners(&client, none).await.is_empty());
    let refusal = client
        .discovery
        .clone()
        .get_available_runner(pb::GetAvailableRunnerRequest {
            runner_id: "absent".to_owned(),
            ..Default::default()
        })
        .await
        .unwrap_err();
    assert_eq!(refusal.code(), Code::NotFound);
    assert_eq!(reason(&refusal), "CWSANDBOX_RUNNER_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_name_the_choices_that_their_runner_can_carry_out() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let mut discovery = client.discovery.clone();
    let listed = discovery.list_profiles(pb::ListProfilesRequest::default());
    let listed = listed.await.unwrap().into_inner().profiles;
    assert_eq!(listed.len(), 1);
    let names = |modes: &[pb::EgressMode]| -> Vec<String> {
        modes.iter().map(|mode| mode.name.clone()).collect()
    };
    assert_eq!(listed[0].profile_name, "ci");
    assert_eq!(names(&listed[0].egress_modes), ["closed", "internet"]);
    assert_eq!(listed[0].service_exposure_modes[0].name, "internal");
    let one = discovery.get_profile(pb::GetProfileRequest {
        profile_name: "ci".to_owned(),
        runner_id: String::new(),
    });
    assert_eq!(one.await.unwrap().into_inner(), listed[0]);
    let nameless = discovery.get_profile(pb::GetProfileRequest::default());
    assert_eq!(nameless.await.unwrap_err().code(), Code::InvalidArgument);
    let absent = discovery.get_profile(pb::GetProfileRequest {
        profile_name: "absent".to_owned(),
        runner_id: String::new(),
    });
    let refusal = absent.await.unwrap_err();
    assert_eq!(reason(&refusal), "CWSANDBOX_PROFILE_NOT_FOUND");
    assert_eq!(fact(&refusal, "runner_id"), None);
    let elsewhere = discovery.get_profile(pb::GetProfileRequest {
        profile_name: "elsewhere".to_owned(),
        runner_id: "local".to_owned(),
    });
    let refusal = elsewhere.await.unwrap_err();
    assert_eq!(reason(&refusal), "CWSANDBOX_PROFILE_NOT_FOUND");
    assert_eq!(fact(&refusal, "runner_id").as_deref(), Some("local"));
    assert!(refusal.message().starts_with("runner local has no profile"));
}

#[tokio::test(flavor = "multi_thread")]
async fn runners_of_another_organization_are_not_told_of() {
    let (stage, gateway, _runner, _client) = Stage::usual().await;
    stage.organization("globex").await;
    let stranger = gateway.client(&stage.token("globex").await).await;
    let seen = runners(&stranger, pb::ListAvailableRunnersRequest::default()).await;
    assert!(seen.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_is_away_is_not_healthy_and_was_connected_at_some_time() {
    let Begun {
        gateway,
        runner,
        client,
        uid,
        ..
    } = Begun::usual().await;
    let before = runners(&client, pb::ListAvailableRunnersRequest::default()).await;
    runner.end();
    gateway.disconnected(uid).await;
    let all = runners(&client, pb::ListAvailableRunnersRequest::default()).await;
    assert!(!all[0].healthy);
    assert!(all[0].connected_at.is_some());
    assert_eq!(all[0].connected_at, before[0].connected_at);
    let healthy = pb::ListAvailableRunnersRequest {
        healthy_only: true,
        ..Default::default()
    };
    assert!(runners(&client, healthy).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_that_of_the_first_runner_unless_one_is_named() {
    let (stage, record, join) = Stage::awaiting_runner().await;
    let profile = stage.profile("shared").await;
    let second = stage.runner_record("another", profile.id).await;
    let third = stage.runner_record("zone", profile.id).await;
    let gateway = stage.gateway(config()).await;
    let mut processes = vec![stage.runner(&join, &Arc::default())];
    for (id, record) in [("another", &second), ("zone", &third)] {
        let join = stage.join_token(id).await;
        processes.push(stage.runner(&join, &Arc::default()));
        gateway.connected(record.uid).await;
    }
    gateway.connected(record.uid).await;
    let client = gateway.client(&stage.token("acme").await).await;
    let named = async |runner: &str| {
        let request = pb::GetProfileRequest {
            profile_name: "shared".to_owned(),
            runner_id: runner.to_owned(),
        };
        let found = client.discovery.clone().get_profile(request).await;
        found.map(|found| found.into_inner().runner_id)
    };
    assert_eq!(named("").await.unwrap(), "another");
    assert_eq!(named("zone").await.unwrap(), "zone");
    let elsewhere = named("local").await.unwrap_err();
    assert_eq!(reason(&elsewhere), "CWSANDBOX_PROFILE_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_with_an_alias_answers_to_its_own_name_and_to_its_id_too() {
    let (stage, _gateway, _runner, client) = Stage::usual().await;
    let local = stage.local().await;
    let profile = local.bindings.as_slice()[0].profile;
    let aliased = Binding {
        profile,
        alias: Some(parsed("of-ours")),
        is_default: true,
        overrides: None,
    };
    let update = RunnerUpdate {
        bindings: Some(Bindings::new(vec![aliased]).unwrap()),
        ..RunnerUpdate::default()
    };
    let acme = parsed("acme");
    let updated = stage
        .store
        .update_runner(&acme, local.uid, update, stage.stamp());
    updated.await.unwrap();
    let mut discovery = client.discovery.clone();
    let get = |profile_name: &str| pb::GetProfileRequest {
        profile_name: profile_name.to_owned(),
        runner_id: String::new(),
    };
    until("the alias is there", async || {
        discovery.clone().get_profile(get("of-ours")).await.is_ok()
    })
    .await;
    let id = profile.to_string();
    let mut ids = Vec::new();
    for name in ["of-ours", "ci", &id] {
        let told = discovery.get_profile(get(name)).await.unwrap().into_inner();
        assert_eq!(told.profile_name, "of-ours", "{name}");
        let offering = pb::ListAvailableRunnersRequest {
            profile_name: name.to_owned(),
            ..Default::default()
        };
        assert_eq!(runners(&client, offering).await.len(), 1, "{name}");
        let start = pb::StartSandboxRequest {
            profile_names: vec![name.to_owned()],
            ..running("fake until-stopped")
        };
        ids.push(client.start(start).await.unwrap().sandbox_id);
    }
    ids.reverse();
    for name in ["of-ours", "ci", &id] {
        for (profile_ids, profile_names) in [
            (vec![name.to_owned()], vec![]),
            (vec![], vec![name.to_owned()]),
        ] {
            let list = pb::ListSandboxesRequest {
                profile_ids,
                profile_names,
                ..Default::default()
            };
            let listed = client.list(list).await.unwrap();
            let found: Vec<_> = listed.sandboxes.iter().map(|it| &*it.sandbox_id).collect();
            assert_eq!(found, ids, "{name}");
        }
    }
}
