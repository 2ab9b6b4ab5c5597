//! How sandboxes look to people and to programs.

use std::collections::BTreeMap;

use palisade_wire::proto::v1beta2::{
    GetSandboxResponse, Port, ResourceUsage, SandboxInfo, SandboxStatus,
};
use palisade_wire::timestamp;
use palisade_wire::v1beta2::{as_summary, from_timestamp};
use serde_json::{Map, Value, json};

use super::{minute, or_dash, printable};
use crate::listing::Item;
use crate::out::{Column, Out};

/// The state in one word.
pub(crate) fn status_word(status: SandboxStatus) -> &'static str {
    let name = status.as_str_name();
    name.strip_prefix("SANDBOX_STATUS_").unwrap_or(name)
}

/// What a table of sandboxes shows.
pub(crate) const COLUMNS: [Column; 10] = [
    Column::name("SANDBOX", 9),
    Column::whole("STATUS", 8),
    Column::soft("PROFILE", 7),
    Column::soft("RUNNER", 6),
    Column::soft("EGRESS", 5),
    Column::soft("INGRESS", 4),
    Column::whole("STARTED", 3),
    Column::soft("ADDRESS", 1).wide(),
    Column::whole("CPU", 1).wide(),
    Column::whole("MEMORY", 1).wide(),
];

/// A sandbox of a list in every form that it can be shown in.
pub(crate) fn item(info: &SandboxInfo) -> Item {
    let answer = summary(info);
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Item {
        name: info.sandbox_id.clone(),
        document: answer.clone(),
        answer,
        labels: BTreeMap::from([
            label("status", status_word(info.sandbox_status())),
            label("profile", &info.profile_id),
            label("runner", &info.runner_id),
            label("egress", &info.applied_egress_mode),
            label("ingress", &info.applied_ingress_mode),
        ]),
        cells: row(info).to_vec(),
    }
}

fn row(info: &SandboxInfo) -> [String; 10] {
    let used = info.current_resource_usage.as_ref();
    let amount = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [
        info.sandbox_id.clone(),
        status_word(info.sandbox_status()).to_owned(),
        or_dash(&printable(&info.profile_id)),
        or_dash(&printable(&info.runner_id)),
        or_dash(&printable(&info.applied_egress_mode)),
        or_dash(&printable(&info.applied_ingress_mode)),
        minute(&started(info).unwrap_or_default()),
        or_dash(&printable(&info.service_address)),
        amount(used.map(|used| format!("{}m", used.cpu_millicores_used))),
        amount(used.map(|used| format!("{} MiB", used.memory_mb_used))),
    ]
}

/// A sandbox of a list for programs, as protobuf spells it in JSON.
fn summary(info: &SandboxInfo) -> Value {
    let status = info.sandbox_status();
    let SandboxInfo {
        sandbox_id,
        started_at_time: _,
        sandbox_status: _,
        current_resource_usage,
        runner_id,
        runner_group_id,
        profile_id,
        service_address,
        exposed_ports,
        applied_ingress_mode,
        applied_egress_mode,
    } = info;
    let fields = [
        ("sandboxId", json!(sandbox_id)),
        ("sandboxStatus", json!(status.as_str_name())),
        ("startedAtTime", json!(started(info))),
        ("runnerId", json!(runner_id)),
        ("runnerGroupId", json!(runner_group_id)),
        ("profileId", json!(profile_id)),
        ("appliedEgressMode", json!(applied_egress_mode)),
        ("appliedIngressMode", json!(applied_ingress_mode)),
        ("serviceAddress", json!(service_address)),
        ("exposedPorts", exposed_ports.iter().map(port).collect()),
        (
            "currentResourceUsage",
            json!(current_resource_usage.as_ref().map(usage)),
        ),
    ];
    let fields = fields
        .into_iter()
        .filter(|(_, value)| !super::is_empty(value));
    Value::Object(fields.map(|(key, value)| (key.to_owned(), value)).collect())
}

/// One sandbox in every form that it can be shown in.
pub(crate) fn whole(seen: &GetSandboxResponse) -> Item {
    let mut item = item(&as_summary(seen.clone()));
    if let Some(fields) = item.answer.as_object_mut() {
        add_end(seen, fields);
    }
    item.document = item.answer.clone();
    item
}

fn add_end(seen: &GetSandboxResponse, fields: &mut Map<String, Value>) {
    if !seen.status_reason.is_empty() {
        fields.insert("statusReason".to_owned(), json!(seen.status_reason));
    }
    if let Some(code) = seen.exit_code {
        fields.insert("exitCode".to_owned(), json!(code));
    }
}

/// Writes everything, a fact a line.
pub(crate) fn describe(seen: &GetSandboxResponse, out: &mut Out) {
    let exit = seen.exit_code.map(|code| code.to_string());
    let used = seen.current_resource_usage.as_ref().map(|usage| {
        format!(
            "{}m CPU, {} MiB",
            usage.cpu_millicores_used, usage.memory_mb_used
        )
    });
    let ports = seen
        .exposed_ports
        .iter()
        .map(|port| port.container_port.to_string());
    let facts = [
        ("Sandbox", seen.sandbox_id.clone()),
        ("Status", status_word(seen.sandbox_status()).to_owned()),
        ("Reason", printable(&seen.status_reason)),
        ("Exit code", exit.unwrap_or_default()),
        (
            "Started",
            minute(&started(&as_summary(seen.clone())).unwrap_or_default()),
        ),
        ("Profile", printable(&seen.profile_id)),
        ("Runner", printable(&seen.runner_id)),
        ("Group", printable(&seen.runner_group_id)),
        ("Egress", printable(&seen.applied_egress_mode)),
        ("Ingress", printable(&seen.applied_ingress_mode)),
        ("Address", printable(&seen.service_address)),
        ("Ports", ports.collect::<Vec<_>>().join(", ")),
        ("Used", used.unwrap_or_else(|| unmeasured(seen))),
    ];
    for (name, value) in facts {
        let name = format!("{name}:");
        out.line(format_args!("{name:<11}{}", or_dash(&value)));
    }
}

/// What nobody measured is not nothing.
fn unmeasured(seen: &GetSandboxResponse) -> String {
    if seen.sandbox_status() == SandboxStatus::Running {
        "unknown".to_owned()
    } else {
        String::new()
    }
}

fn port(port: &Port) -> Value {
    let Port {
        container_port,
        name,
        protocol,
    } = port;
    json!({ "containerPort": container_port, "name": name, "protocol": protocol })
}

/// Protobuf spells numbers of 64 bits as text.
fn usage(usage: &ResourceUsage) -> Value {
    let ResourceUsage {
        cpu_millicores_used,
        memory_mb_used,
        gpu_count_used,
    } = usage;
    json!({
        "cpuMillicoresUsed": cpu_millicores_used.to_string(),
        "memoryMbUsed": memory_mb_used.to_string(),
        "gpuCountUsed": gpu_count_used.to_string(),
    })
}

fn started(info: &SandboxInfo) -> Option<String> {
    let at = info.started_at_time?;
    Some(timestamp::format(from_timestamp(at)))
}
