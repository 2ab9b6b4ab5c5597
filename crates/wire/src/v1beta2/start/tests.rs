use proptest::prelude::*;

use super::*;

fn fields(refusal: &Refusal) -> Vec<String> {
    refusal
        .violations
        .iter()
        .map(|violation| violation.path.to_string())
        .collect()
}

fn amount(cpu: &str, memory: &str) -> pb::ResourceRequest {
    pb::ResourceRequest {
        cpu: cpu.into(),
        memory: memory.into(),
        gpu: None,
    }
}

#[test]
fn the_command_is_one_list_with_its_arguments() {
    let request = start_request(pb::StartSandboxRequest {
        command: "/bin/sh".into(),
        args: vec!["-c".into(), "true".into()],
        ..Default::default()
    })
    .unwrap();
    assert_eq!(request.command, ["/bin/sh", "-c", "true"]);
}

#[test]
fn ids_and_names_of_profiles_are_one_selector() {
    let request = start_request(pb::StartSandboxRequest {
        profile_ids: vec!["a".into()],
        profile_names: vec!["b".into()],
        ..Default::default()
    })
    .unwrap();
    assert_eq!(request.selectors.profiles, ["a", "b"]);
}

#[test]
fn the_flat_amounts_count_for_both_sides_unless_newer_ones_are_there() {
    let flat = start_request(pb::StartSandboxRequest {
        resources: Some(amount("1", "1Gi")),
        ..Default::default()
    })
    .unwrap();
    assert_eq!(flat.requests, flat.limits);
    assert_eq!(flat.requests.cpu.unwrap().as_str(), "1");

    let both = start_request(pb::StartSandboxRequest {
        resources: Some(amount("8", "8Gi")),
        resource_requests: Some(amount("500m", "")),
        resource_limits: Some(amount("2", "")),
        ..Default::default()
    })
    .unwrap();
    assert_eq!(both.requests.cpu.unwrap().as_str(), "500m");
    assert_eq!(both.limits.cpu.unwrap().as_str(), "2");
}

#[test]
fn requests_without_limits_are_refused() {
    let refusal = start_request(pb::StartSandboxRequest {
        resource_requests: Some(amount("1", "")),
        ..Default::default()
    })
    .unwrap_err();
    assert_eq!(fields(&refusal), ["resource_limits"]);
}

#[test]
fn every_wrong_field_is_named_at_once() {
    let refusal = start_request(pb::StartSandboxRequest {
        args: vec!["x".into()],
        container_image: "Not An Image".into(),
        tags: vec!["good".into(), "bad\n".into()],
        ports: vec![
            pb::Port {
                container_port: 70_000,
                ..Default::default()
            },
            pb::Port {
                container_port: 80,
                protocol: "tcp".into(),
                ..Default::default()
            },
        ],
        network: Some(pb::NetworkOptions {
            egress_mode: "No Such".into(),
            exposed_ports: vec![0],
            ..Default::default()
        }),
        max_lifetime_seconds: -1,
        max_timeout_seconds: -1,
        ..Default::default()
    })
    .unwrap_err();
    assert_eq!(refusal.reason, Reason::InvalidRequest);
    let mut found = fields(&refusal);
    found.sort();
    assert_eq!(
        found,
        [
            "command",
            "container_image",
            "max_lifetime_seconds",
            "max_timeout_seconds",
            "network.egress_mode",
            "network.exposed_ports[0]",
            "ports[0].container_port",
            "ports[1].protocol",
            "tags[1]",
        ]
    );
}

#[test]
fn a_misspelt_protocol_gets_a_hint() {
    let refusal = start_request(pb::StartSandboxRequest {
        ports: vec![pb::Port {
            container_port: 80,
            protocol: "tcp".into(),
            ..Default::default()
        }],
        ..Default::default()
    })
    .unwrap_err();
    assert!(
        refusal.message.contains("did you mean TCP?"),
        "{}",
        refusal.message
    );
}

#[test]
fn a_feature_that_is_not_here_is_refused_by_name() {
    let refusal = start_request(pb::StartSandboxRequest {
        volumes: vec![pb::VolumeAttachment::default()],
        ..Default::default()
    })
    .unwrap_err();
    assert_eq!(refusal.reason, Reason::NotImplemented);
    assert_eq!(refusal.metadata["feature"], "volumes");
}

#[test]
fn what_is_absent_here_is_refused_for_what_is_wrong_with_it_first() {
    let access = |prefix: &str| {
        let access = pb::ObjectStorageAccess {
            object_prefix: prefix.into(),
            ..Default::default()
        };
        start_request(pb::StartSandboxRequest {
            s3_mount: Some(pb::S3Mount::default()),
            object_storage_access: Some(access),
            ..Default::default()
        })
    };
    assert_eq!(access("../x").unwrap_err().reason, Reason::InvalidRequest);
    assert_eq!(access("x/").unwrap_err().reason, Reason::NotImplemented);
}

#[test]
fn a_file_system_is_read_with_what_should_be_in_it() {
    use pb::sandbox_file_system_mount::Source;
    let mount = |path: &str, size: &str, id: &str| pb::StartSandboxRequest {
        file_system: Some(pb::SandboxFileSystemMount {
            mount_path: path.into(),
            size: size.into(),
            source: Some(Source::FileSystemSnapshot(pb::FileSystemSnapshotSource {
                file_system_snapshot_id: id.into(),
            })),
        }),
        ..Default::default()
    };
    let id = "0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d";
    let read = start_request(mount("/workspace", "1Gi", id)).unwrap();
    let wish = read.file_system.unwrap();
    assert_eq!(wish.mount_path.as_str(), "/workspace");
    assert_eq!(wish.size.unwrap().as_str(), "1Gi");
    assert_eq!(wish.snapshot.unwrap().to_string(), id);
    // What is empty is not asked for.
    let empty = start_request(mount("/workspace", "", "")).unwrap();
    let empty = empty.file_system.unwrap();
    assert_eq!((empty.size, empty.snapshot), (None, None));
    let wrong = start_request(mount("/etc/x", "much", "")).unwrap_err();
    let mut paths = fields(&wrong);
    paths.sort();
    assert_eq!(paths, ["file_system.mount_path", "file_system.size"]);
    let unknown = start_request(mount("/workspace", "", "fss-1")).unwrap_err();
    assert_eq!(unknown.reason, Reason::FssNotFound);
}

#[test]
fn a_count_of_gpus_must_be_one_that_exists() {
    for (count, good) in [(1, true), (0, false), (-1, false), (1 << 40, false)] {
        let gpu = pb::GpuRequest {
            gpu_count: count,
            spec: Some(pb::gpu_request::Spec::GpuType("H100".into())),
        };
        let request = start_request(pb::StartSandboxRequest {
            resources: Some(pb::ResourceRequest {
                gpu: Some(gpu),
                ..Default::default()
            }),
            ..Default::default()
        });
        assert_eq!(request.is_ok(), good, "{count}");
    }
}

proptest! {
    #[test]
    fn no_bytes_of_a_client_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        use prost::Message as _;
        if let Ok(message) = pb::StartSandboxRequest::decode(bytes.as_slice()) {
            let _ = start_request(message);
        }
    }
}

#[test]
fn exposed_ports_that_are_too_many_are_refused_and_not_cut() {
    let refusal = start_request(pb::StartSandboxRequest {
        network: Some(pb::NetworkOptions {
            exposed_ports: vec![80; LIST_LEN_MAX + 1],
            ..Default::default()
        }),
        ..Default::default()
    })
    .unwrap_err();
    assert_eq!(fields(&refusal), ["network.exposed_ports"]);
}

#[test]
fn what_is_exposed_is_listened_to_where_no_ports_are_listed() {
    let network = Some(pb::NetworkOptions {
        ingress_mode: "public".to_owned(),
        exposed_ports: vec![9090, 8080, 9090],
        ..Default::default()
    });
    let listed = |ports: &[i32]| pb::StartSandboxRequest {
        network: network.clone(),
        ports: ports
            .iter()
            .map(|number| pb::Port {
                container_port: *number,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    let request = start_request(listed(&[])).unwrap();
    let numbers: Vec<_> = request.ports.iter().map(|port| port.number).collect();
    assert_eq!(numbers, [8080, 9090]);
    assert_eq!(request.violations(), []);
    // A list that is there is the whole list.
    let request = start_request(listed(&[8080])).unwrap();
    let wrong: Vec<_> = request
        .violations()
        .iter()
        .map(|violation| violation.path.to_string())
        .collect();
    assert_eq!(
        wrong,
        ["network.exposed_ports[0]", "network.exposed_ports[2]"]
    );
}
