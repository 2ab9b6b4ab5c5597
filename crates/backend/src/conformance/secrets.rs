//! The contract of [`crate::Backend`] about secrets, a sentence each.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use std::collections::BTreeMap;

use palisade_model::sandbox::Launch;
use palisade_model::secret::{
    SecretAddress, SecretSource, SecretValue, SecretValues, SecretVariable,
};
use tokio::time;

use super::{Harness, Job, PATIENCE, launch, parsed, wait_for};
use crate::{EnsureError, ExecEvent, ExecSpec, View};

const VALUE: &str = "kept to \u{fc}s = $HOME $(id)\nsecond line";

fn with_secret(harness: &dyn Harness) -> (Launch, SecretValues) {
    let mut launch = launch(harness, &Job::RunUntilStopped);
    launch.secrets = vec![SecretVariable {
        env_var: "PASSWORD".to_owned(),
        source: SecretSource::Store {
            store: parsed("team"),
            address: SecretAddress {
                path: parsed("db"),
                field: None,
            },
        },
    }];
    let mut values = SecretValues::default();
    let value = SecretValue::new(VALUE.as_bytes().to_vec()).unwrap();
    values.insert("PASSWORD", value);
    (launch, values)
}

async fn is_running(harness: &dyn Harness, launch: &Launch) {
    let running = |view: &View| matches!(view, View::Running { .. });
    wait_for(harness, launch.id, running).await;
}

async fn environment(harness: &dyn Harness, launch: &Launch) -> String {
    let spec = ExecSpec {
        command: vec!["env".to_owned()],
        environment: BTreeMap::new(),
        terminal: None,
    };
    let mut exec = harness.attach().exec(launch.id, spec).await.unwrap();
    let mut text = Vec::new();
    let read = async {
        while let Some(event) = exec.events.recv().await {
            if let ExecEvent::Stdout(data) = event {
                text.extend_from_slice(&data);
            }
        }
    };
    time::timeout(PATIENCE, read)
        .await
        .expect("the command ends");
    String::from_utf8(text).unwrap()
}

async fn clean_up(harness: &dyn Harness, launch: &Launch) {
    harness.backend().remove(launch.id).await.unwrap();
    assert_eq!(harness.leftovers(launch.id).await, Vec::<String>::new());
}

pub async fn secrets_are_in_the_environment_and_in_nothing_that_is_listed(
    harness: &mut dyn Harness,
) {
    let (launch, values) = with_secret(harness);
    let backend = harness.backend();
    backend.provide_secrets(launch.id, values);
    backend.ensure(&launch).await.unwrap();
    is_running(harness, &launch).await;
    let environment = environment(harness, &launch).await;
    assert!(
        environment.contains(&format!("PASSWORD={VALUE}")),
        "{environment}"
    );
    let seen = backend.get(launch.id).await.unwrap().unwrap();
    assert_eq!(seen.launch.secrets, launch.secrets);
    assert!(!format!("{seen:?}").contains("second line"));
    clean_up(harness, &launch).await;
}

pub async fn without_the_values_of_its_secrets_a_sandbox_does_not_start(harness: &mut dyn Harness) {
    let (launch, values) = with_secret(harness);
    match harness.backend().ensure(&launch).await {
        Ok(()) | Err(EnsureError::Internal(_)) => {}
        Err(error @ EnsureError::Unsupported { .. }) => unreachable!("{error}"),
    }
    harness.crash_and_reopen().await;
    let backend = harness.backend();
    if let Some(seen) = backend.get(launch.id).await.unwrap() {
        assert!(matches!(seen.view, View::Starting(_)), "{:?}", seen.view);
    }
    backend.provide_secrets(launch.id, values);
    backend.ensure(&launch).await.unwrap();
    is_running(harness, &launch).await;
    let environment = environment(harness, &launch).await;
    assert!(environment.contains("PASSWORD=kept"), "{environment}");
    clean_up(harness, &launch).await;
}
