//! Snapshots beyond a quota: how many, and how much they hold.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use palisade_backend::fake::{Fake, World};
use palisade_blob::DirectoryBlobs;
use palisade_gateway::{GatewayConfig, SnapshotSettings};
use palisade_model::profile::EgressType;
use palisade_model::quota::{Limits, Quota};
use palisade_model::runner::{Capabilities, Resources};
use palisade_model::snapshot::SnapshotLimits;
use palisade_store::Organizations as _;
use palisade_wire::proto::v1beta2 as pb;
use tempfile::TempDir;
use tonic::{Code, Status};

use crate::rig::{
    Client, GatewayProcess, RunnerProcess, Stage, config, fact, parsed, reason, running,
};

/// A gateway that keeps snapshots, and a runner that takes them.
struct Scene {
    stage: Stage,
    gateway: GatewayProcess,
    _runner: RunnerProcess,
    _bytes: TempDir,
}

/// Whose limits are set.
#[derive(Clone, Copy, Debug)]
enum Of {
    Organization,
    EachUser,
}

impl Of {
    fn scope(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::EachUser => "user",
        }
    }

    fn quota(self, limits: Limits) -> Quota {
        match self {
            Self::Organization => Quota {
                organization: limits,
                ..Quota::default()
            },
            Self::EachUser => Quota {
                each_user: limits,
                ..Quota::default()
            },
        }
    }
}

impl Scene {
    async fn limited(of: Of, limits: Limits) -> Self {
        let bytes = tempfile::tempdir().unwrap();
        let own = DirectoryBlobs::open(bytes.path().join("blobs")).unwrap();
        let config = GatewayConfig {
            snapshots: Some(SnapshotSettings {
                own_bucket: Some("of-the-server".to_owned()),
                own: Arc::new(own),
                buckets: None,
                limits: SnapshotLimits {
                    count: 1_000,
                    bytes: 1 << 40,
                    in_flight: 8,
                    failed: 8,
                },
                mount_bytes_max: 1 << 30,
                take_time: Duration::from_mins(1),
            }),
            ..config()
        };
        let (stage, record, join) = Stage::awaiting_runner().await;
        let acme = parsed("acme");
        let set = stage.store.update_quota(&acme, of.quota(limits), None);
        set.await.unwrap();
        let gateway = stage.gateway(config).await;
        let world: Arc<World> = Arc::default();
        let backend = Fake::open(world.clone()).with_capabilities(Capabilities {
            egress: BTreeSet::from([EgressType::None, EgressType::Internet]),
            architectures: BTreeSet::from(["amd64".to_owned()]),
            file_systems: true,
            largest: Resources {
                cpu_millis: 64_000,
                memory_bytes: 256 << 30,
                gpus: 0,
            },
            ..Capabilities::default()
        });
        let runner = stage.runner_over(&join, &world, backend);
        gateway.connected(record.uid).await;
        Self {
            stage,
            gateway,
            _runner: runner,
            _bytes: bytes,
        }
    }

    /// A sandbox of this user with a file system of its own.
    async fn user(&self, name: &str) -> User {
        let token = self.stage.token_of("acme", name).await;
        let client = self.gateway.client(&token).await;
        let request = pb::StartSandboxRequest {
            file_system: Some(pb::SandboxFileSystemMount {
                mount_path: "/data".to_owned(),
                size: "1Mi".to_owned(),
                source: None,
            }),
            ..running("fake until-stopped")
        };
        let id = client.start(request).await.unwrap().sandbox_id;
        client.runs(&id).await;
        User { client, id }
    }
}

struct User {
    client: Client,
    id: String,
}

impl User {
    /// Takes a snapshot of so many bytes, which no other snapshot has.
    async fn snapshot(&self, fill: u8, bytes: usize) -> Result<String, Status> {
        let mut client = self.client.sandboxes.clone();
        let add = pb::AddFileSandboxRequest {
            sandbox_id: self.id.clone(),
            file_contents: vec![fill; bytes].into(),
            filepath: "/data/x".to_owned(),
            max_timeout_seconds: 0,
        };
        client.add_file(add).await.unwrap();
        let create = pb::CreateFileSystemSnapshotRequest {
            sandbox_id: self.id.clone(),
            wait_for_ready: Some(true),
            ..Default::default()
        };
        let created = client.create_file_system_snapshot(create).await?;
        Ok(created.into_inner().file_system_snapshot_id)
    }

    async fn delete(&self, id: &str) {
        let delete = pb::DeleteFileSystemSnapshotRequest {
            file_system_snapshot_id: id.to_owned(),
            ..Default::default()
        };
        let mut client = self.client.sandboxes.clone();
        client.delete_file_system_snapshot(delete).await.unwrap();
    }
}

/// What programs are told of a refusal.
fn facts(refusal: &Status) -> [String; 5] {
    assert_eq!(refusal.code(), Code::ResourceExhausted, "{refusal:?}");
    assert_eq!(reason(refusal), "CWSANDBOX_FSS_QUOTA_EXCEEDED");
    ["limit", "scope", "used", "asked", "allowed"].map(|key| fact(refusal, key).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_snapshots_as_may_be_are_taken_and_no_more() {
    for of in [Of::Organization, Of::EachUser] {
        let two = Limits {
            snapshots: Some(2),
            ..Limits::default()
        };
        let scene = Scene::limited(of, two).await;
        let ada = scene.user("ada").await;
        let first = ada.snapshot(1, 10).await.unwrap();
        ada.snapshot(2, 10).await.unwrap();
        let refused = ada.snapshot(3, 10).await.unwrap_err();
        assert_eq!(facts(&refused), ["snapshots", of.scope(), "2", "1", "2"]);
        let others = scene.user("bob").await.snapshot(4, 10).await;
        match of {
            Of::Organization => {
                let refused = others.unwrap_err();
                assert_eq!(facts(&refused), ["snapshots", of.scope(), "2", "1", "2"]);
            }
            Of::EachUser => drop(others.unwrap()),
        }
        ada.delete(&first).await;
        ada.snapshot(3, 10).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_would_hold_too_much_is_refused_with_the_numbers() {
    for of in [Of::Organization, Of::EachUser] {
        let bytes = Limits {
            snapshot_bytes: Some(150),
            ..Limits::default()
        };
        let scene = Scene::limited(of, bytes).await;
        let ada = scene.user("ada").await;
        ada.snapshot(1, 100).await.unwrap();
        let refused = ada.snapshot(2, 60).await.unwrap_err();
        let told = ["snapshot_bytes", of.scope(), "100", "60", "150"];
        assert_eq!(facts(&refused), told);
        assert!(
            refused.message().contains("delete one"),
            "{}",
            refused.message()
        );
        let bob = scene.user("bob").await;
        match of {
            Of::Organization => {
                let refused = bob.snapshot(4, 51).await.unwrap_err();
                let told = ["snapshot_bytes", of.scope(), "100", "51", "150"];
                assert_eq!(facts(&refused), told);
            }
            Of::EachUser => drop(bob.snapshot(4, 51).await.unwrap()),
        }
        // What is left is still there to be had.
        ada.snapshot(3, 50).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bucket_of_the_server_is_told_where_nobody_chose_another() {
    let scene = Scene::limited(Of::Organization, Limits::default()).await;
    let ada = scene.user("ada").await;
    let snapshot = ada.snapshot(1, 10).await.unwrap();
    let mut client = ada.client.sandboxes.clone();
    let get = pb::GetFileSystemSnapshotRequest {
        file_system_snapshot_id: snapshot,
        ..Default::default()
    };
    let told = client.get_file_system_snapshot(get).await.unwrap();
    assert_eq!(told.into_inner().object_bucket, "of-the-server");
    let list = pb::ListFileSystemSnapshotsRequest::default();
    let listed = client.list_file_system_snapshots(list).await.unwrap();
    let listed = listed.into_inner().file_system_snapshots;
    assert_eq!(listed[0].object_bucket, "of-the-server");
    let get = pb::GetFileSystemSnapshotBucketConfigRequest {};
    let config = client.get_file_system_snapshot_bucket_config(get).await;
    let config = config.unwrap().into_inner();
    assert_eq!(config.mode(), pb::FileSystemSnapshotBucketMode::CwManaged);
    assert_eq!(config.effective_bucket_name, "of-the-server");
    assert_eq!(
        (config.bucket_name.as_str(), config.region.as_str()),
        ("", "")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_negative_time_is_no_limit_for_any_call_of_snapshots() {
    let scene = Scene::limited(Of::Organization, Limits::default()).await;
    let ada = scene.user("ada").await;
    let snapshot = ada.snapshot(1, 10).await.unwrap();
    let mut client = ada.client.sandboxes.clone();
    let get = pb::GetFileSystemSnapshotRequest {
        file_system_snapshot_id: snapshot.clone(),
        max_timeout_seconds: -1,
    };
    let list = pb::ListFileSystemSnapshotsRequest {
        max_timeout_seconds: -1,
        ..Default::default()
    };
    let delete = pb::DeleteFileSystemSnapshotRequest {
        file_system_snapshot_id: snapshot.clone(),
        max_timeout_seconds: -1,
    };
    let create = pb::CreateFileSystemSnapshotRequest {
        sandbox_id: ada.id.clone(),
        max_timeout_seconds: Some(-1),
        ..Default::default()
    };
    let refusals = [
        client.get_file_system_snapshot(get).await.unwrap_err(),
        client.list_file_system_snapshots(list).await.unwrap_err(),
        client
            .delete_file_system_snapshot(delete)
            .await
            .unwrap_err(),
        client
            .create_file_system_snapshot(create)
            .await
            .unwrap_err(),
    ];
    for refusal in refusals {
        assert_eq!(refusal.code(), Code::InvalidArgument, "{refusal:?}");
        assert!(
            refusal.message().contains("max_timeout_seconds"),
            "{refusal:?}"
        );
    }
    // It is still there, and the only one.
    let listed = client.list_file_system_snapshots(pb::ListFileSystemSnapshotsRequest::default());
    let listed = listed.await.unwrap().into_inner().file_system_snapshots;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].file_system_snapshot_id, snapshot);
}
