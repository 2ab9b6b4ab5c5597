use std::sync::Arc;

use palisade_backend::Backend as _;
use palisade_backend::fake::Fake;
use palisade_model::testing::sample_launch;
use palisade_store::Runners as _;
use palisade_store::runner::DeletionMark;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::SandboxStatus;

use crate::rig::{Begun, Stage, config, parsed, running, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_killed_among_twenty_sandboxes_loses_none() {
    let Begun {
        stage,
        uid,
        gateway,
        runner,
        client,
        ..
    } = Begun::usual().await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        let started = client.start(running("fake until-stopped")).await.unwrap();
        ids.push(started.sandbox_id);
    }
    // Some run, some were not even told to the runner.
    gateway.kill();
    let gateway = stage.gateway(config()).await;
    gateway.connected(uid).await;
    let client = gateway.client(&stage.token("acme").await).await;
    for id in &ids {
        client.runs(id).await;
    }
    assert_eq!(runner.world.ids().len(), 20);
    for id in &ids {
        client.stop(id, 0).await.unwrap();
    }
    for id in &ids {
        assert_eq!(client.is_over(id).await.exit_code, Some(143));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_while_the_gateway_is_away_is_known_afterwards() {
    let Begun {
        stage,
        gateway,
        runner,
        client,
        ..
    } = Begun::usual().await;
    let started = client.start(running("fake until-stopped")).await.unwrap();
    client.runs(&started.sandbox_id).await;
    gateway.kill();
    let backend = Fake::open(runner.world.clone());
    let id = started.sandbox_id.parse().unwrap();
    backend.stop(id, std::time::Duration::ZERO).await.unwrap();
    let gateway = stage.gateway(config()).await;
    let client = gateway.client(&stage.token("acme").await).await;
    assert_eq!(
        client.is_over(&started.sandbox_id).await.exit_code,
        Some(143)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_nobody_knows_is_removed_from_the_runner() {
    let (stage, record, join) = Stage::awaiting_runner().await;
    let world = Arc::default();
    let orphan = palisade_model::sandbox::Launch {
        workload: palisade_model::sandbox::Workload {
            image: parsed(palisade_backend::fake::IMAGE),
            ..sample_launch().workload
        },
        ..sample_launch()
    };
    Fake::open(Arc::clone(&world))
        .ensure(&orphan)
        .await
        .unwrap();
    let gateway = stage.gateway(config()).await;
    let runner = stage.runner(&join, &world);
    gateway.connected(record.uid).await;
    until("the orphan is gone", async || runner.world.ids().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_left_is_named_and_its_sandboxes_are_taken_up_again() {
    let Begun {
        stage,
        uid,
        join,
        gateway,
        runner,
        client,
    } = Begun::usual().await;
    let started = client.start(running("fake until-stopped")).await.unwrap();
    client.runs(&started.sandbox_id).await;
    let world = runner.world.clone();
    runner.end();
    gateway.disconnected(uid).await;
    let seen = client.get(&started.sandbox_id).await.unwrap();
    assert_eq!(seen.sandbox_status(), SandboxStatus::Running);
    assert!(seen.status_reason.contains("runner local"));
    let _again = stage.runner(&join, &world);
    gateway.connected(uid).await;
    let seen = client.get(&started.sandbox_id).await.unwrap();
    assert_eq!(seen.sandbox_status(), SandboxStatus::Running);
    assert_eq!(seen.status_reason, "");
    client.stop(&started.sandbox_id, 0).await.unwrap();
    client.is_over(&started.sandbox_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_leaves_in_the_middle_of_starts_catches_up() {
    let Begun {
        stage,
        join,
        gateway: _gateway,
        runner,
        client,
        ..
    } = Begun::usual().await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        let started = client.start(running("fake until-stopped")).await.unwrap();
        ids.push(started.sandbox_id);
    }
    let world = runner.world.clone();
    runner.end();
    let _again = stage.runner(&join, &world);
    for id in &ids {
        client.runs(id).await;
    }
    assert_eq!(world.ids().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_while_its_runner_was_away_is_removed_there() {
    let Begun {
        stage,
        uid,
        join,
        gateway,
        runner,
        client,
    } = Begun::usual().await;
    let started = client.start(running("fake until-stopped")).await.unwrap();
    client.runs(&started.sandbox_id).await;
    let world = runner.world.clone();
    runner.end();
    gateway.disconnected(uid).await;
    client.delete(&started.sandbox_id).await.unwrap();
    assert_eq!(world.ids().len(), 1);
    let again = stage.runner(&join, &world);
    until("nothing is left", async || again.world.ids().is_empty()).await;
    let all = pb::ListSandboxesRequest {
        include_stopped: true,
        ..Default::default()
    };
    let listed = client.list(all).await.unwrap().sandboxes;
    assert_eq!(listed[0].sandbox_status(), SandboxStatus::Terminated);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_runner_holds_goes_although_its_object_was_deleted_while_it_was_away() {
    let Begun {
        stage,
        uid,
        join,
        gateway,
        runner,
        client,
    } = Begun::usual().await;
    let started = client.start(running("fake until-stopped")).await.unwrap();
    client.runs(&started.sandbox_id).await;
    let world = runner.world.clone();
    runner.end();
    gateway.disconnected(uid).await;
    let acme = parsed("acme");
    let mark = DeletionMark::at(stage.stamp().at);
    let marked = stage.store.mark_runner_deleting(&acme, uid, mark);
    marked.await.unwrap();
    client.delete(&started.sandbox_id).await.unwrap();
    until("the runner object is gone", async || {
        stage.store.finish_runner(&acme, uid).await.is_ok()
    })
    .await;
    assert_eq!(world.ids().len(), 1);
    // A later start of the runner, which no gateway ever welcomed.
    let again = stage.runner(&join, &world);
    until("nothing is left", async || again.world.ids().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_of_what_is_over_are_kept_for_their_time_and_no_longer() {
    let config = palisade_gateway::GatewayConfig {
        logs_kept: std::time::Duration::from_secs(2),
        ..config()
    };
    let (_stage, _gateway, runner, client) = Stage::configured(config).await;
    let started = client.start(running("fake exit 0")).await.unwrap();
    client.is_over(&started.sandbox_id).await;
    assert_eq!(runner.world.ids().len(), 1);
    until("the runner holds nothing", async || {
        runner.world.ids().is_empty()
    })
    .await;
    let seen = client.get(&started.sandbox_id).await.unwrap();
    assert_eq!(seen.sandbox_status(), SandboxStatus::Completed);
}
