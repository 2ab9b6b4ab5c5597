//! What was refused on the network, from the backend to whoever asks the gateway.

use std::sync::Arc;

use palisade_backend::Backend as _;
use palisade_backend::fake::Fake;
use palisade_model::clock::Timestamp;
use palisade_model::denial::{DeniedFlow, Direction};
use palisade_model::id::SandboxId;
use palisade_model::runner::{Capabilities, Feature};

use crate::rig::{Stage, config, parsed, running, until};

fn flow(port: u16) -> DeniedFlow {
    DeniedFlow {
        at: Timestamp::from_micros(7),
        direction: Direction::Outgoing,
        protocol: 6,
        source: [10, 0, 0, 1].into(),
        source_port: 40_000,
        destination: [1, 1, 1, 1].into(),
        destination_port: port,
        times: 1,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_told_and_stays_when_the_sandbox_has_ended() {
    let (_stage, gateway, runner, client) = Stage::usual().await;
    let started = client.start(running("fake until-stopped")).await.unwrap();
    let id: SandboxId = parsed(&started.sandbox_id);
    client.runs(&started.sandbox_id).await;
    let acme = parsed("acme");
    assert_eq!(gateway.live.denials(&acme, id), None);
    for port in [80, 443] {
        runner.world.deny(id, flow(port));
    }
    until("the gateway hears of both", async || {
        let told = gateway.live.denials(&acme, id);
        told.is_some_and(|told| told.packets == 2)
    })
    .await;
    client.stop(&started.sandbox_id, 10).await.unwrap();
    client.is_over(&started.sandbox_id).await;
    let told = gateway.live.denials(&acme, id).unwrap();
    assert_eq!(told.recent, [flow(80), flow(443)]);
    assert_eq!(told.mode.as_str(), started.applied_egress_mode);
    let totals = gateway.live.profile_denials(&acme, told.profile);
    assert_eq!((totals.packets, totals.questions), (2, 0));
    assert!(totals.since.is_some(), "it is told from when on");
    let other = parsed("other");
    assert_eq!(gateway.live.denials(&other, id), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_runner_lacks_is_known_with_the_reason() {
    let (stage, record, join) = Stage::awaiting_runner().await;
    let gateway = stage.gateway(config()).await;
    let world = Arc::default();
    let able = Fake::open(Arc::clone(&world));
    let lacks = [(Feature::Denials, "nobody counts".to_owned())];
    let unable = Capabilities {
        lacks: lacks.clone().into(),
        ..able.capabilities()
    };
    assert!(gateway.live.observe(record.uid).lacks.is_empty());
    let _runner = stage.runner_over(&join, &world, able.with_capabilities(unable));
    gateway.connected(record.uid).await;
    assert_eq!(gateway.live.observe(record.uid).lacks, lacks.into());
}
