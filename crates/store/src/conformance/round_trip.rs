//! What is read back equals what was written, in every detail.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use palisade_model::clock::Timestamp;
use palisade_model::profile::Revision;
use palisade_model::resolve::{Layer, Provenance, ResolvedSpec};
use palisade_model::runner::{
    Binding, Bindings, DeploymentOverrides, MaintenanceExclusion, MaintenancePolicy,
    MaintenanceWindow, ReleaseChannel, Resources, RunnerSettings, Scaling, Toleration,
};
use palisade_model::sandbox::state::Observation;
use palisade_model::sandbox::{
    AskedResources, Exit, GpuKind, GpuRequest, Launch, MountedFile, ResourceAmounts, Sandbox,
    State, StopWish,
};
use palisade_model::testing::{launch, resources, spec, spec_patch};
use palisade_model::violation::{FieldPath, Step};

use super::Harness;
use super::fixture::{
    Fleet, binding, fleet, fresh_uuid, new_profile, new_runner, organization, parsed, profile,
    samples, stamp,
};
use crate::profile::NewProfile;
use crate::runner::NewRunner;
use crate::sandbox::StatusChange;

/// Enough for every field to be there and to be absent.
const SAMPLES: usize = 24;

/// Text that a careless encoding would break.
const HARD_TEXT: &str = "a\"b'c\\d\u{0}\u{1f600}\r\n\u{7f}\u{feff} é %_?$1;--";

pub async fn profiles_read_back_as_they_were_written(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    for (number, spec) in samples(spec(), SAMPLES).into_iter().enumerate() {
        let new = NewProfile {
            description: HARD_TEXT.to_owned(),
            labels: BTreeMap::from([(HARD_TEXT.to_owned(), HARD_TEXT.to_owned())]),
            spec,
            ..new_profile(&format!("profile é {number}"))
        };
        let expected = new.spec.clone();
        let created = store.create_profile(&acme, new, stamp()).await.unwrap();
        assert_eq!(created.spec, expected);
        let read = store.get_profile(&acme, &created.id.into()).await.unwrap();
        // The comparison of quantities is one of amounts; their text counts too.
        assert_eq!(format!("{read:?}"), format!("{created:?}"));
        assert_eq!(read, created);
    }
}

fn hard_map() -> BTreeMap<String, String> {
    BTreeMap::from([
        (HARD_TEXT.to_owned(), HARD_TEXT.to_owned()),
        (String::new(), String::new()),
    ])
}

fn deployment() -> DeploymentOverrides {
    let (mut defaults, _) = samples(resources(), 1).remove(0);
    defaults.cpu_limit = Some(parsed("1.500"));
    DeploymentOverrides {
        node_selector: hard_map(),
        tolerations: vec![
            Toleration {
                key: "key".to_owned(),
                operator: "Exists".to_owned(),
                value: String::new(),
                effect: HARD_TEXT.to_owned(),
            },
            Toleration::default(),
        ],
        resources: defaults,
        annotations: hard_map(),
        labels: hard_map(),
        env: hard_map(),
        args: vec![String::new(), HARD_TEXT.to_owned()],
        scaling: Scaling {
            replicas: Some(u32::MAX),
            autoscaling_enabled: true,
            min_replicas: Some(0),
            max_replicas: None,
        },
        cpu_runtime_class: Some(parsed("runc")),
        gpu_runtime_class: None,
    }
}

fn maintenance() -> MaintenancePolicy {
    MaintenancePolicy {
        windows: vec![MaintenanceWindow {
            cron: "0 3 * * 1".to_owned(),
            duration_seconds: 3600,
        }],
        exclusions: vec![MaintenanceExclusion {
            start: Timestamp::from_micros(i64::MIN),
            end: Timestamp::from_micros(i64::MAX),
            reason: HARD_TEXT.to_owned(),
        }],
    }
}

pub async fn runners_read_back_as_they_were_written(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let web = profile(&*store, &acme, "web").await;
    let batch = profile(&*store, &acme, "batch").await;
    let patches = samples(spec_patch(), SAMPLES);
    for (number, zone_defaults) in samples(spec(), SAMPLES).into_iter().enumerate() {
        let first = Binding {
            alias: Some(parsed("alias é")),
            is_default: true,
            overrides: Some(patches[number].clone()),
            ..binding(web.id)
        };
        let new = NewRunner {
            display_name: HARD_TEXT.to_owned(),
            settings: RunnerSettings {
                release_channel: ReleaseChannel::Rapid,
                maintenance: maintenance(),
                overrides: deployment(),
                zone_defaults,
                allow_privileged_profile_annotations: number % 2 == 0,
                enforce_resource_limits: number % 3 == 0,
            },
            bindings: Bindings::new(vec![binding(batch.id), first]).unwrap(),
            ..new_runner(&format!("runner-{number}"), &[web.id])
        };
        let settings = new.settings.clone();
        let created = store.create_runner(&acme, new, stamp()).await.unwrap();
        assert_eq!(created.settings, settings);
        let read = store.get_runner(&acme, &created.uid.into()).await.unwrap();
        assert_eq!(format!("{read:?}"), format!("{created:?}"));
        assert_eq!(read, created);
    }
}

fn provenance(fleet: &Fleet) -> Provenance {
    let layer = |layer| Arc::new(layer);
    let revision = Revision(7);
    let (runner, id) = (fleet.runner.id.clone(), fleet.profile.id);
    let name = fleet.profile.display_name.clone().into();
    let zone = Layer::ZoneDefaults {
        runner: runner.clone(),
        revision,
    };
    let steps = [
        Step::Key("pod".to_owned()),
        Step::Index(3),
        Step::Key(HARD_TEXT.to_owned()),
    ];
    [
        (FieldPath::from(["container_image"]), layer(zone)),
        (
            steps.into_iter().collect(),
            layer(Layer::Profile { id, name, revision }),
        ),
        (
            FieldPath::root(),
            layer(Layer::Binding { runner, revision }),
        ),
        (
            FieldPath::from(["network", "egress"]),
            layer(Layer::Request),
        ),
    ]
    .into_iter()
    .collect()
}

fn asked(number: usize) -> AskedResources {
    let kinds = [
        GpuKind::Any,
        GpuKind::Type(HARD_TEXT.to_owned()),
        GpuKind::MemoryGb(80),
    ];
    AskedResources {
        requests: ResourceAmounts {
            cpu: Some(parsed("1e3")),
            memory: Some(parsed("0.5Gi")),
            gpu: Some(GpuRequest {
                count: 2,
                kind: kinds[number % 3].clone(),
            }),
        },
        limits: ResourceAmounts::default(),
    }
}

/// A sandbox with everything that a launch can have.
fn decorated(fleet: &Fleet, number: usize, launch: Launch) -> Sandbox {
    let plain = fleet.sandbox();
    Sandbox {
        tags: vec![parsed("z"), parsed("é 😀"), parsed("a"), parsed("a")],
        asked: asked(number),
        resolved: ResolvedSpec {
            spec: fleet.profile.spec.clone(),
            provenance: provenance(fleet),
        },
        launch: Launch {
            id: plain.id,
            owner: plain.owner.clone(),
            ..launch
        },
        placement: palisade_model::sandbox::Placed {
            reserved: Resources {
                cpu_millis: u64::MAX,
                memory_bytes: u64::MAX - 1,
                gpus: u32::MAX,
            },
            ingress_level: Some(parsed("public")),
            ..plain.placement.clone()
        },
        ..plain
    }
}

fn without_files(sandbox: &Sandbox) -> Sandbox {
    let mut sandbox = sandbox.clone();
    sandbox.launch.mounted_files.clear();
    sandbox
}

pub async fn sandboxes_read_back_as_they_were_added(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    for (number, launch) in samples(launch(), SAMPLES).into_iter().enumerate() {
        let added = fleet.add(&*store, decorated(&fleet, number, launch)).await;
        let read = store
            .get_sandbox(&fleet.organization, added.id)
            .await
            .unwrap();
        let expected = without_files(&added);
        assert_eq!(format!("{read:?}"), format!("{expected:?}"));
        assert_eq!(read, expected);
    }
}

pub async fn launches_read_back_with_their_files(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let every_byte = (0..=u8::MAX).collect::<Vec<_>>();
    for (number, mut launch) in samples(launch(), SAMPLES).into_iter().enumerate() {
        launch.mounted_files.push(MountedFile {
            path: format!("/{HARD_TEXT}"),
            content: every_byte.clone(),
        });
        launch.mounted_files.push(MountedFile {
            path: "/empty".to_owned(),
            content: Vec::new(),
        });
        let added = fleet.add(&*store, decorated(&fleet, number, launch)).await;
        let read = store
            .get_launch(&fleet.organization, added.id)
            .await
            .unwrap();
        assert_eq!(read, added.launch);
    }
}

fn observations() -> Vec<StatusChange> {
    let far = Timestamp::from_micros(i64::MAX);
    let states = [
        State::Pending,
        State::Running,
        State::Paused,
        State::Completed(Exit(i32::MIN)),
        State::Failed(None),
        State::Failed(Some(Exit(137))),
        State::Terminated(None),
        State::Terminated(Some(Exit(0))),
    ];
    let by = palisade_model::id::RunnerUid::new(fresh_uuid());
    let seen = |state| StatusChange::Observed {
        by,
        seen: Observation {
            number: u64::MAX,
            state,
            reason: HARD_TEXT.to_owned(),
            started_at: Some(Timestamp::from_micros(-1)),
            service_address: HARD_TEXT.to_owned(),
        },
        now: far,
    };
    let stop = StatusChange::StopWished(StopWish {
        grace: Duration::new(u64::MAX, 999_999_999),
        at: far,
    });
    states.into_iter().map(seen).chain([stop]).collect()
}

pub async fn statuses_read_back_as_they_became(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    for mut change in observations() {
        let sandbox = fleet.start(&*store).await;
        if let StatusChange::Observed { by, .. } = &mut change {
            *by = fleet.runner.uid;
        }
        let changed = store
            .change_status(&fleet.organization, sandbox.id, change)
            .await;
        let read = store
            .get_sandbox(&fleet.organization, sandbox.id)
            .await
            .unwrap();
        assert_eq!(read.status, changed.unwrap().status);
    }
}
