//! Ending sandboxes that do not help.

use std::process::Command;
use std::time::Duration;

use palisade_backend::conformance::{launch_command, wait_for};
use palisade_backend::{Backend, View};
use tokio::time::timeout;

use crate::support::{Harness, process_1, shell};

/// Far less than a process 1 is given to answer a question.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_whose_process_1_hangs_ends_soon_after_its_grace() {
    let harness = Harness::new().await;
    let backend = harness.open();
    let launch = launch_command(&harness, shell("exec sleep 1000"));
    backend.ensure(&launch).await.unwrap();
    wait_for(&harness, launch.id, |view| {
        matches!(view, View::Running { .. })
    })
    .await;
    let pid = process_1(launch.id).expect("it has a process 1");
    let frozen = Command::new("kill").args(["-STOP", &pid]).status().unwrap();
    assert!(frozen.success());

    backend.stop(launch.id, Duration::ZERO).await.unwrap();
    let is_over = |view: &View| matches!(view, View::Ended { stopped: true, .. });
    timeout(SOON, wait_for(&harness, launch.id, is_over))
        .await
        .expect("it is ended without its help");
    drop(backend);
    harness.finish().await;
}
