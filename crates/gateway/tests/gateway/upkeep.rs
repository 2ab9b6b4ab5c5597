use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use palisade_gateway::{Gateway, GatewayConfig, TaskError};
use palisade_model::clock::{Clock, Timestamp};
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::SandboxStatus;
use tokio::time;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::rig::{PATIENCE, Stage, config, running, until};

#[tokio::test(flavor = "multi_thread")]
async fn old_records_are_forgotten_and_live_ones_are_not() {
    let (stage, record, join) = Stage::awaiting_runner().await;
    let gateway = stage
        .gateway(GatewayConfig {
            records_kept: Duration::from_millis(500),
            upkeep_period: Duration::from_millis(50),
            changes_kept: 1,
            ..config()
        })
        .await;
    let _runner = stage.runner(&join, &Arc::default());
    gateway.connected(record.uid).await;
    let client = gateway.client(&stage.token("acme").await).await;
    let lives = client.start(running("fake until-stopped")).await.unwrap();
    let ends = client.start(running("fake exit 0")).await.unwrap();
    client.runs(&lives.sandbox_id).await;
    until("the record is forgotten", async || {
        let seen = client.get(&ends.sandbox_id).await;
        seen.is_err_and(|refusal| refusal.code() == Code::NotFound)
    })
    .await;
    let seen = client.get(&lives.sandbox_id).await.unwrap();
    assert_eq!(seen.sandbox_status(), SandboxStatus::Running);
    // A gateway whose place in the feed was forgotten builds its picture anew.
    let started = client.start(running("fake until-stopped")).await.unwrap();
    client.runs(&started.sandbox_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_should_have_ended_on_a_lost_runner_counts_as_over() {
    let (stage, record, join) = Stage::awaiting_runner().await;
    let gateway = stage
        .gateway(GatewayConfig {
            lost_after: Duration::from_millis(200),
            upkeep_period: Duration::from_millis(50),
            ..config()
        })
        .await;
    let runner = stage.runner(&join, &Arc::default());
    gateway.connected(record.uid).await;
    let client = gateway.client(&stage.token("acme").await).await;
    let stopped = client.start(running("fake until-stopped")).await.unwrap();
    let lives = client.start(running("fake until-stopped")).await.unwrap();
    let aged = pb::StartSandboxRequest {
        max_lifetime_seconds: 4,
        ..running("fake until-stopped")
    };
    let aged = client.start(aged).await.unwrap();
    client.runs(&stopped.sandbox_id).await;
    client.runs(&lives.sandbox_id).await;
    client.runs(&aged.sandbox_id).await;
    let world = runner.world.clone();
    runner.end();
    gateway.disconnected(record.uid).await;
    client.stop(&stopped.sandbox_id, 0).await.unwrap();
    let seen = client.is_over(&stopped.sandbox_id).await;
    assert_eq!(seen.sandbox_status(), SandboxStatus::Terminated);
    assert!(seen.status_reason.contains("runner local"));
    let seen = client.is_over(&aged.sandbox_id).await;
    assert_eq!(seen.sandbox_status(), SandboxStatus::Terminated);
    let said = seen.status_reason;
    assert!(said.contains("lifetime ended while runner local"), "{said}");
    let seen = client.get(&lives.sandbox_id).await.unwrap();
    assert_eq!(seen.sandbox_status(), SandboxStatus::Running);
    // The runner that comes back has what counts as over taken away from it.
    let _again = stage.runner(&join, &world);
    let holds = |id: &str| world.ids().iter().any(|held| held.to_string() == id);
    until("what was stopped is gone", async || {
        !holds(&stopped.sandbox_id)
    })
    .await;
    assert!(holds(&lives.sandbox_id));
    let seen = client.get(&lives.sandbox_id).await.unwrap();
    assert_eq!(seen.sandbox_status(), SandboxStatus::Running);
}

/// A clock that breaks whoever looks at it from some moment on.
#[derive(Debug, Default)]
struct Breaking(AtomicBool);

impl Clock for Breaking {
    fn now(&self) -> Timestamp {
        assert!(!self.0.load(Ordering::Relaxed), "the clock is broken");
        Timestamp::EPOCH
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_ends_with_a_task_that_breaks_down_and_says_so() {
    let stage = Stage::new().await;
    let config = GatewayConfig {
        upkeep_period: Duration::from_millis(1),
        ..config()
    };
    let (store, clock) = (Arc::new(stage.store.clone()), Arc::new(Breaking::default()));
    let gateway = Gateway::new(config, store, clock.clone(), stage.ids.clone());
    clock.0.store(true, Ordering::Relaxed);
    let ended = time::timeout(PATIENCE, gateway.run(CancellationToken::new())).await;
    let ended = ended.expect("it ends").unwrap_err();
    assert!(matches!(ended, TaskError::BrokeDown(_)), "{ended:?}");
}
