//! From the words of `cwic sandbox run` to what the gateway is asked for.

use std::time::Duration;

use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::gpu_request::Spec;
use palisade_wire::proto::v1beta2::sandbox_file_system_mount::Source;
use serde_json::Value;

use crate::cli::RunArgs;
use crate::words::Gpu;

/// An idle main process, as the client libraries use it: it ends as soon as it
/// is asked to.
const IDLE: [&str; 3] = [
    "/bin/sh",
    "-c",
    "trap 'exit 0' TERM INT; sleep infinity & wait",
];

/// What is asked for. A command that is talked to does not go along: it runs
/// beside an idle main process.
pub(super) fn start(args: &RunArgs) -> pb::StartSandboxRequest {
    let is_talked_to = args.session.interactive || args.session.terminal;
    let mut words = if is_talked_to {
        IDLE.map(str::to_owned).to_vec()
    } else {
        args.command.clone()
    }
    .into_iter();
    let variables = args.environment.iter();
    let (requests, limits) = resources(args);
    pb::StartSandboxRequest {
        command: words.next().unwrap_or_default(),
        args: words.collect(),
        tags: args.tags.clone(),
        container_image: args.image.clone().unwrap_or_default(),
        environment_variables: variables
            .map(|pair| (pair.key.clone(), pair.value.clone()))
            .collect(),
        network: network(args),
        profile_names: args.profile.iter().cloned().collect(),
        runner_ids: args.runner.iter().cloned().collect(),
        max_lifetime_seconds: args.max_lifetime.map_or(0, seconds),
        resource_requests: requests,
        resource_limits: limits,
        file_system: file_system(args),
        ..Default::default()
    }
}

fn file_system(args: &RunArgs) -> Option<pb::SandboxFileSystemMount> {
    let source = args.from_snapshot.as_ref().map(|id| {
        Source::FileSystemSnapshot(pb::FileSystemSnapshotSource {
            file_system_snapshot_id: id.clone(),
        })
    });
    Some(pb::SandboxFileSystemMount {
        mount_path: args.mount_path.clone()?,
        size: args.mount_size.clone().unwrap_or_default(),
        source,
    })
}

fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}

fn network(args: &RunArgs) -> Option<pb::NetworkOptions> {
    if args.egress.is_none() && args.ingress.is_none() {
        return None;
    }
    Some(pb::NetworkOptions {
        ingress_mode: args.ingress.clone().unwrap_or_default(),
        exposed_ports: args.ports.iter().map(|port| i32::from(*port)).collect(),
        egress_mode: args.egress.clone().unwrap_or_default(),
    })
}

/// Requests and limits; a limit that is not said is the request.
fn resources(args: &RunArgs) -> (Option<pb::ResourceRequest>, Option<pb::ResourceRequest>) {
    if args.cpu.is_none() && args.memory.is_none() && args.gpu.is_none() {
        return (None, None);
    }
    let amounts = |cpu: &Option<String>, memory: &Option<String>| pb::ResourceRequest {
        cpu: cpu.clone().unwrap_or_default(),
        memory: memory.clone().unwrap_or_default(),
        gpu: args.gpu.as_ref().map(gpu),
    };
    let requests = amounts(&args.cpu, &args.memory);
    let limits = amounts(
        &args.cpu_limit.clone().or_else(|| args.cpu.clone()),
        &args.memory_limit.clone().or_else(|| args.memory.clone()),
    );
    (Some(requests), Some(limits))
}

fn gpu(gpu: &Gpu) -> pb::GpuRequest {
    let Gpu { count, kind } = gpu;
    pb::GpuRequest {
        gpu_count: i64::from(*count),
        spec: kind.clone().map(Spec::GpuType),
    }
}

/// The smallest change with which the request would be placed, as flags.
pub(super) fn closest(document: &str) -> Option<String> {
    let document: Value = serde_json::from_str(document).ok()?;
    let changes = document.get("change")?.as_object()?;
    let mut flags = Vec::new();
    for (field, to) in changes {
        flags.push(flag(field, to)?);
    }
    if flags.is_empty() {
        return None;
    }
    let runner = document.get("runner")?.as_str()?;
    let profile = document.get("profile")?.as_str()?;
    let flags = flags.join(" ");
    Some(format!(
        "with {flags} profile {profile} on runner {runner} would take it"
    ))
}

fn flag(field: &str, to: &Value) -> Option<String> {
    let name = match field {
        "runner_ids" => "--runner",
        "profile_names" => "--profile",
        "network.egress_mode" => "--egress",
        "network.ingress_mode" if to.is_null() => return Some("no --ingress,".to_owned()),
        "network.ingress_mode" => "--ingress",
        "network.exposed_ports" if to.is_null() => return Some("no --port,".to_owned()),
        "network.exposed_ports" => return ports(to),
        "resource_requests.cpu" => "--cpu",
        "resource_limits.cpu" => "--cpu-limit",
        "resource_requests.memory" => "--memory",
        "resource_limits.memory" => "--memory-limit",
        "resource_requests.gpu" | "resource_limits.gpu" if to.is_null() => {
            return Some("no --gpu,".to_owned());
        }
        // What this version does not know, the message tells in words.
        _ => return None,
    };
    let value = match to {
        Value::String(text) => text.as_str(),
        Value::Array(items) => items.first()?.as_str()?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
    };
    Some(format!("{name} {value}"))
}

/// Each with its own flag, as a start takes them.
fn ports(to: &Value) -> Option<String> {
    let ports = to.as_array()?.iter();
    let flags = ports.map(|port| Some(format!("--port {}", port.as_u64()?)));
    Some(flags.collect::<Option<Vec<_>>>()?.join(" "))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command, LiveCommand, SandboxCommand};

    fn request(words: &str) -> pb::StartSandboxRequest {
        let words = ["cwic", "sandbox", "run"]
            .into_iter()
            .chain(words.split(' '));
        let command = Cli::try_parse_from(words).unwrap().command;
        let Command::Sandbox(SandboxCommand::Live(LiveCommand::Run(args))) = command else {
            panic!("these are the words of run");
        };
        start(&args)
    }

    #[test]
    fn a_command_is_the_main_process() {
        let request = request("--profile agents --egress none -e A=b --tag t -- sh -c exit");
        assert_eq!((request.command.as_str(), request.args.len()), ("sh", 2));
        assert_eq!(request.profile_names, ["agents"]);
        assert_eq!(request.network.unwrap().egress_mode, "none");
        assert_eq!(request.environment_variables["A"], "b");
        assert_eq!(request.tags, ["t"]);
        assert_eq!(
            (request.resource_requests, request.resource_limits),
            (None, None)
        );
    }

    #[test]
    fn a_file_system_is_empty_or_filled_with_a_snapshot() {
        assert_eq!(request("-- true").file_system, None);
        let mount = request("--mount-path /w --mount-size 2Gi -- true").file_system;
        let mount = mount.unwrap();
        assert_eq!(
            (mount.mount_path.as_str(), mount.size.as_str()),
            ("/w", "2Gi")
        );
        assert_eq!(mount.source, None);
        let filled = request("--mount-path /w --from-snapshot s -- true").file_system;
        let Some(Source::FileSystemSnapshot(source)) = filled.unwrap().source else {
            panic!("it has a source");
        };
        assert_eq!(source.file_system_snapshot_id, "s");
        // A snapshot does not say where it belongs.
        let words = ["cwic", "sandbox", "run", "--from-snapshot", "s"];
        assert!(Cli::try_parse_from(words).is_err());
    }

    #[test]
    fn a_command_that_is_talked_to_runs_beside_an_idle_one() {
        let request = request("-it -- bash");
        assert_eq!(
            (request.command.as_str(), request.args.len()),
            ("/bin/sh", 2)
        );
    }

    #[test]
    fn a_limit_that_is_not_said_is_the_request() {
        let request = request("--cpu 1 --memory 1Gi --memory-limit 2Gi -- true");
        let (requests, limits) = (
            request.resource_requests.unwrap(),
            request.resource_limits.unwrap(),
        );
        assert_eq!((requests.cpu.as_str(), limits.cpu.as_str()), ("1", "1"));
        assert_eq!(
            (requests.memory.as_str(), limits.memory.as_str()),
            ("1Gi", "2Gi")
        );
    }

    #[test]
    fn the_closest_change_is_told_as_flags() {
        let document = r#"{"runner":"a","profile":"p","change":
            {"profile_names":["q"],"resource_requests.cpu":"1","network.exposed_ports":null}}"#;
        let told = closest(document).unwrap();
        for part in [
            "--profile q",
            "--cpu 1",
            "no --port",
            "profile p on runner a",
        ] {
            assert!(told.contains(part), "{told}");
        }
        let document = r#"{"runner":"a","profile":"p","change":
            {"network.exposed_ports":[80,443]}}"#;
        let told = closest(document).unwrap();
        assert!(
            told.starts_with("with --port 80 --port 443 profile p"),
            "{told}"
        );
        for unknown in [
            "",
            "{}",
            r#"{"runner":"a","profile":"p","change":{"x":"y"}}"#,
        ] {
            assert_eq!(closest(unknown), None);
        }
    }
}
