//! Runners that come without the sandboxes that they should have.

use std::sync::Arc;
use std::time::Duration;

use palisade_backend::fake::World;
use palisade_gateway::GatewayConfig;
use palisade_wire::proto::v1beta2::SandboxStatus;
use tokio::time;

use crate::rig::{Stage, config, running, until};

/// How long nothing must happen.
const A_WHILE: Duration = Duration::from_secs(2);

fn lost_after(limit: Duration) -> GatewayConfig {
    GatewayConfig {
        lost_after: limit,
        ..config()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ran_on_a_machine_that_was_replaced_is_over_and_is_not_begun_again() {
    let (stage, record, join) = Stage::awaiting_runner().await;
    let gateway = stage.gateway(lost_after(Duration::from_secs(1))).await;
    let runner = stage.runner(&join, &Arc::default());
    gateway.connected(record.uid).await;
    let client = gateway.client(&stage.token("acme").await).await;
    let ran = client.start(running("fake until-stopped")).await.unwrap();
    client.runs(&ran.sandbox_id).await;
    runner.end();
    gateway.disconnected(record.uid).await;
    let begins = client.start(running("fake until-stopped")).await;
    assert!(
        begins.is_err(),
        "nothing is placed on a runner that is away"
    );
    let new: Arc<World> = Arc::default();
    let _runner = stage.runner(&join, &new);
    let seen = client.is_over(&ran.sandbox_id).await;
    assert_eq!(seen.sandbox_status(), SandboxStatus::Failed);
    let said = seen.status_reason;
    assert!(said.contains("runner local came back without"), "{said}");
    assert!(new.ids().is_empty(), "it was begun again");
    // The machine is as good as any other.
    gateway.connected(record.uid).await;
    let next = client.start(running("fake until-stopped")).await.unwrap();
    client.runs(&next.sandbox_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_machine_with_the_same_token_takes_nothing_from_the_first() {
    let (stage, record, join) = Stage::awaiting_runner().await;
    let gateway = stage.gateway(lost_after(Duration::from_mins(5))).await;
    let first = stage.runner(&join, &Arc::default());
    gateway.connected(record.uid).await;
    let client = gateway.client(&stage.token("acme").await).await;
    let ran = client.start(running("fake until-stopped")).await.unwrap();
    client.runs(&ran.sandbox_id).await;
    let other: Arc<World> = Arc::default();
    let _second = stage.runner(&join, &other);
    let taken = time::timeout(A_WHILE, async {
        until("somebody else has it", async || !other.ids().is_empty()).await;
    });
    assert!(taken.await.is_err());
    let seen = client.get(&ran.sandbox_id).await.unwrap();
    assert_eq!(seen.sandbox_status(), SandboxStatus::Running);
    client.stop(&ran.sandbox_id, 1).await.unwrap();
    let seen = client.is_over(&ran.sandbox_id).await;
    assert_ne!(seen.sandbox_status(), SandboxStatus::Failed);
    // Nothing is lacking any more, so that it may take the place once it is free.
    first.end();
    gateway.disconnected(record.uid).await;
    gateway.connected(record.uid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_begun_begins_on_the_machine_that_comes_instead() {
    let (stage, record, join) = Stage::awaiting_runner().await;
    let gateway = stage.gateway(config()).await;
    let slow: Arc<World> = Arc::default();
    slow.hold_starts(true);
    let runner = stage.runner(&join, &slow);
    gateway.connected(record.uid).await;
    let client = gateway.client(&stage.token("acme").await).await;
    let begins = client.start(running("fake until-stopped")).await.unwrap();
    until("it is there", async || !slow.ids().is_empty()).await;
    runner.end();
    gateway.disconnected(record.uid).await;
    let _runner = stage.runner(&join, &Arc::default());
    client.runs(&begins.sandbox_id).await;
}
