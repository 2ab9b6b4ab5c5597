//! Records of sandboxes, from the domain onto the wire.

use palisade_model::id::SandboxId;
use palisade_model::quantity::Quantity;
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::sandbox::{GpuKind, GpuRequest, Phase, Port, ResourceAmounts, Sandbox};
use palisade_model::violation::{FieldPath, Violation, ViolationKind};

use crate::proto::v1beta2 as pb;
use crate::v1beta2::{timestamp, unknown_number};

/// What a sandbox uses, as the runner last reported it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageNow {
    /// Thousandths of a CPU.
    pub cpu_millis: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

/// The id that a client sent.
///
/// Clients treat ids as opaque, so that one in another form is simply the id
/// of no sandbox.
pub fn sandbox_id(text: &str) -> Result<SandboxId, Refusal> {
    if text.is_empty() {
        let path = FieldPath::root().key("sandbox_id");
        let violation = Violation::new(path, ViolationKind::Required, "is needed");
        return Err(Refusal::invalid(vec![violation]));
    }
    text.parse().map_err(|_| sandbox_not_found(text))
}

/// The refusal for an id that names no sandbox of the caller.
pub fn sandbox_not_found(id: &str) -> Refusal {
    let shown: String = id.chars().take(64).collect();
    Refusal::new(
        Reason::SandboxNotFound,
        format!("there is no sandbox {shown:?}; list yours to see which there are"),
    )
    .with("sandbox_id", shown)
}

/// The answer to a request that was admitted.
pub fn start_response(sandbox: &Sandbox) -> pb::StartSandboxResponse {
    let placed = &sandbox.placement;
    pb::StartSandboxResponse {
        sandbox_id: sandbox.id.to_string(),
        started_at_time: started_at_time(sandbox),
        service_address: sandbox.status.service_address.clone(),
        exposed_ports: exposed_ports(sandbox),
        requested_resources: amounts(&sandbox.asked.requests),
        profile_id: placed.profile_name.to_string(),
        runner_id: placed.runner_id.to_string(),
        sandbox_status: status(sandbox.status.state.phase()).into(),
        applied_ingress_mode: ingress_mode(sandbox),
        applied_egress_mode: placed.egress_mode.to_string(),
        requested_resource_limits: amounts(&sandbox.asked.limits),
        requested_resource_requests: amounts(&sandbox.asked.requests),
    }
}

/// A sandbox in full.
pub fn sandbox_response(sandbox: &Sandbox, usage: Option<UsageNow>) -> pb::GetSandboxResponse {
    let placed = &sandbox.placement;
    pb::GetSandboxResponse {
        sandbox_id: sandbox.id.to_string(),
        started_at_time: started_at_time(sandbox),
        sandbox_status: status(sandbox.status.state.phase()).into(),
        current_resource_usage: usage.map(|usage| usage_message(usage, placed.reserved.gpus)),
        runner_id: placed.runner_id.to_string(),
        runner_group_id: placed.runner_group.to_string(),
        profile_id: placed.profile_name.to_string(),
        service_address: sandbox.status.service_address.clone(),
        exposed_ports: exposed_ports(sandbox),
        applied_ingress_mode: ingress_mode(sandbox),
        applied_egress_mode: placed.egress_mode.to_string(),
        status_reason: sandbox.status.reason.clone(),
        exit_code: sandbox.status.state.exit().map(|exit| exit.0),
    }
}

/// A sandbox as an item of a list.
pub fn sandbox_summary(sandbox: &Sandbox, usage: Option<UsageNow>) -> pb::SandboxInfo {
    as_summary(sandbox_response(sandbox, usage))
}

/// What a list tells of a sandbox, out of all that is known of it.
pub fn as_summary(sandbox: pb::GetSandboxResponse) -> pb::SandboxInfo {
    let pb::GetSandboxResponse {
        sandbox_id,
        started_at_time,
        sandbox_status,
        current_resource_usage,
        runner_id,
        runner_group_id,
        profile_id,
        service_address,
        exposed_ports,
        applied_ingress_mode,
        applied_egress_mode,
        status_reason: _,
        exit_code: _,
    } = sandbox;
    pb::SandboxInfo {
        sandbox_id,
        started_at_time,
        sandbox_status,
        current_resource_usage,
        runner_id,
        runner_group_id,
        profile_id,
        service_address,
        exposed_ports,
        applied_ingress_mode,
        applied_egress_mode,
    }
}

/// The phase that a list is filtered by; `None` for any.
pub fn phase_filter(number: i32) -> Result<Option<Phase>, Refusal> {
    let wrong = || {
        let path = FieldPath::root().key("status");
        let known = Phase::ALL.map(status);
        let description = unknown_number(number, &known, pb::SandboxStatus::as_str_name);
        let violation = Violation::new(path, ViolationKind::Invalid, description);
        Refusal::invalid(vec![violation])
    };
    let status = pb::SandboxStatus::try_from(number).map_err(|_| wrong())?;
    Ok(match status {
        pb::SandboxStatus::Unspecified => None,
        pb::SandboxStatus::Creating => Some(Phase::Creating),
        pb::SandboxStatus::Pending => Some(Phase::Pending),
        pb::SandboxStatus::Running => Some(Phase::Running),
        pb::SandboxStatus::Paused => Some(Phase::Paused),
        pb::SandboxStatus::Terminating => Some(Phase::Terminating),
        pb::SandboxStatus::Completed => Some(Phase::Completed),
        pb::SandboxStatus::Failed => Some(Phase::Failed),
        pb::SandboxStatus::Terminated => Some(Phase::Terminated),
    })
}

fn status(phase: Phase) -> pb::SandboxStatus {
    match phase {
        Phase::Creating => pb::SandboxStatus::Creating,
        Phase::Pending => pb::SandboxStatus::Pending,
        Phase::Running => pb::SandboxStatus::Running,
        Phase::Paused => pb::SandboxStatus::Paused,
        Phase::Terminating => pb::SandboxStatus::Terminating,
        Phase::Completed => pb::SandboxStatus::Completed,
        Phase::Failed => pb::SandboxStatus::Failed,
        Phase::Terminated => pb::SandboxStatus::Terminated,
    }
}

/// The start of the main process. A sandbox that never ran has none: clients read how
/// long it runs from this.
fn started_at_time(sandbox: &Sandbox) -> Option<prost_types::Timestamp> {
    sandbox.status.started_at.map(timestamp)
}

fn ingress_mode(sandbox: &Sandbox) -> String {
    let level = sandbox.placement.ingress_level.as_ref();
    level.map(ToString::to_string).unwrap_or_default()
}

fn exposed_ports(sandbox: &Sandbox) -> Vec<pb::Port> {
    let Some(exposure) = &sandbox.launch.exposure else {
        return Vec::new();
    };
    sandbox
        .launch
        .ports
        .iter()
        .filter(|port| exposure.ports.contains(&port.number))
        .map(port_message)
        .collect()
}

fn port_message(port: &Port) -> pb::Port {
    pb::Port {
        container_port: port.number.into(),
        name: port.name.clone(),
        protocol: port.protocol.as_str().to_owned(),
    }
}

/// Amounts as they were sent; `None` when nothing was.
fn amounts(asked: &ResourceAmounts) -> Option<pb::ResourceRequest> {
    let ResourceAmounts { cpu, memory, gpu } = asked;
    if cpu.is_none() && memory.is_none() && gpu.is_none() {
        return None;
    }
    let text = |quantity: &Option<Quantity>| {
        quantity
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default()
    };
    Some(pb::ResourceRequest {
        cpu: text(cpu),
        memory: text(memory),
        gpu: gpu.as_ref().map(gpu_message),
    })
}

fn gpu_message(gpu: &GpuRequest) -> pb::GpuRequest {
    pb::GpuRequest {
        gpu_count: gpu.count.into(),
        spec: match &gpu.kind {
            GpuKind::Any => None,
            GpuKind::Type(name) => Some(pb::gpu_request::Spec::GpuType(name.clone())),
            GpuKind::MemoryGb(size) => Some(pb::gpu_request::Spec::GpuMemoryGb(i64::from(*size))),
        },
    }
}

/// GPUs are not shared, so that all that were set aside are in use.
fn usage_message(usage: UsageNow, gpus: u32) -> pb::ResourceUsage {
    let signed = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
    pb::ResourceUsage {
        cpu_millicores_used: signed(usage.cpu_millis),
        memory_mb_used: signed(usage.memory_bytes / (1024 * 1024)),
        gpu_count_used: gpus.into(),
    }
}
