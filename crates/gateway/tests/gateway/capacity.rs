use std::sync::Arc;

use futures_util::future::join_all;
use palisade_wire::proto::v1beta2 as pb;
use tonic::Code;

use crate::rig::{Stage, config, reason, running, until};

#[tokio::test(flavor = "multi_thread")]
async fn of_many_launches_at_once_exactly_as_many_win_as_there_is_room() {
    const ROOM: u32 = 7;
    const LAUNCHES: usize = 40;
    let (stage, record, join) = Stage::awaiting_runner().await;
    let gateway = stage.gateway(config()).await;
    let _runner = stage.runner_with(&join, &Arc::default(), ROOM);
    gateway.connected(record.uid).await;
    let client = gateway.client(&stage.token("acme").await).await;
    let launches = (0..LAUNCHES).map(|_| client.start(running("fake until-stopped")));
    let (won, lost): (Vec<_>, Vec<_>) = join_all(launches)
        .await
        .into_iter()
        .partition(Result::is_ok);
    assert_eq!(won.len(), ROOM as usize);
    for refusal in lost {
        let refusal = refusal.unwrap_err();
        assert_eq!(refusal.code(), Code::ResourceExhausted);
        assert_eq!(reason(&refusal), "CWSANDBOX_NO_SUITABLE_RUNNER");
    }
    // What ends makes room for exactly one more.
    let first = won.into_iter().next().unwrap().unwrap();
    client.stop(&first.sandbox_id, 0).await.unwrap();
    client.is_over(&first.sandbox_id).await;
    client.start(running("fake until-stopped")).await.unwrap();
    let refusal = client.start(running("fake until-stopped")).await;
    assert_eq!(refusal.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lives_counts_again_after_a_restart_of_the_gateway() {
    let (stage, record, join) = Stage::awaiting_runner().await;
    let gateway = stage.gateway(config()).await;
    let _runner = stage.runner_with(&join, &Arc::default(), 2);
    gateway.connected(record.uid).await;
    let token = stage.token("acme").await;
    let client = gateway.client(&token).await;
    client.start(running("fake until-stopped")).await.unwrap();
    client.start(running("fake until-stopped")).await.unwrap();
    gateway.kill();
    let gateway = stage.gateway(config()).await;
    gateway.connected(record.uid).await;
    let client = gateway.client(&token).await;
    let refusal = client.start(running("fake until-stopped")).await;
    assert_eq!(refusal.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runners_share_the_load() {
    let stage = Stage::new().await;
    let profile = stage.profile("ci").await;
    let east = stage.runner_record("east", profile.id).await;
    let west = stage.runner_record("west", profile.id).await;
    let gateway = stage.gateway(config()).await;
    let (east_token, west_token) = (
        stage.join_token("east").await,
        stage.join_token("west").await,
    );
    let east_runner = stage.runner_with(&east_token, &Arc::default(), 3);
    let west_runner = stage.runner_with(&west_token, &Arc::default(), 3);
    gateway.connected(east.uid).await;
    gateway.connected(west.uid).await;
    let client = gateway.client(&stage.token("acme").await).await;
    for _ in 0..6 {
        let started = client.start(running("fake until-stopped")).await.unwrap();
        client.runs(&started.sandbox_id).await;
    }
    assert_eq!(east_runner.world.ids().len(), 3);
    assert_eq!(west_runner.world.ids().len(), 3);
    let picked = pb::ListSandboxesRequest {
        runner_ids: vec!["west".to_owned()],
        ..Default::default()
    };
    assert_eq!(client.list(picked).await.unwrap().sandboxes.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_is_being_deleted_gets_nothing_new() {
    use palisade_store::Runners as _;
    let (stage, _gateway, _runner, client) = Stage::usual().await;
    let started = client.start(running("fake until-stopped")).await.unwrap();
    client.runs(&started.sandbox_id).await;
    let organization = crate::rig::parsed("acme");
    let runner = stage.local().await;
    let marked = stage.store.mark_runner_deleting(
        &organization,
        runner.uid,
        palisade_store::runner::DeletionMark::at(stage.clock.now()),
    );
    marked.await.unwrap();
    until("nothing new is placed", async || {
        client.start(running("fake until-stopped")).await.is_err()
    })
    .await;
    let seen = client.get(&started.sandbox_id).await.unwrap();
    assert_eq!(seen.sandbox_status(), pb::SandboxStatus::Running);
}
