//! What was decided when a sandbox was admitted.
//!
//! The contents of its files are not in here; see [`crate::sandbox`].

use palisade_model::document::{Node, Reader};
use palisade_model::name::Tag;
use palisade_model::resolve::ResolvedSpec;
use palisade_model::runner::Resources;
use palisade_model::sandbox::form::{decode_launch, encode_launch};
use palisade_model::sandbox::{
    AskedResources, GpuKind, GpuRequest, Launch, Placed, ResourceAmounts,
};
use palisade_model::violation::ViolationKind;
use serde_json::{Value, json};

use super::provenance::{read_resolved, write_resolved};
use super::{optional, parsed, quantity, read, read_list, read_text, read_u64, refuse_all};
use crate::error::Fault;

/// The part of a sandbox that never changes and has no columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) tags: Vec<Tag>,
    pub(crate) placement: Placed,
    pub(crate) asked: AskedResources,
    /// Without its files.
    pub(crate) launch: Launch,
    pub(crate) resolved: ResolvedSpec,
}

pub(crate) fn write_record(record: &Record) -> String {
    let Record {
        tags,
        placement,
        asked,
        launch,
        resolved,
    } = record;
    let AskedResources { requests, limits } = asked;
    json!({
        "tags": tags.iter().map(Tag::as_str).collect::<Vec<_>>(),
        "placement": write_placed(placement),
        "requests": write_amounts(requests),
        "limits": write_amounts(limits),
        "launch": encode_launch(launch),
        "resolved": write_resolved(resolved),
    })
    .to_string()
}

pub(crate) fn read_record(text: &str) -> Result<Record, Fault> {
    let known = [
        "tags",
        "placement",
        "requests",
        "limits",
        "launch",
        "resolved",
    ];
    read("record of a sandbox", text, |reader, root| {
        let fields = reader.fields(root, &known)?;
        Some(Record {
            tags: read_list(reader, &fields.get("tags")?, parsed)?,
            placement: read_placed(reader, &fields.get("placement")?)?,
            asked: AskedResources {
                requests: read_amounts(reader, &fields.get("requests")?)?,
                limits: read_amounts(reader, &fields.get("limits")?)?,
            },
            launch: read_launch(reader, &fields.get("launch")?)?,
            resolved: read_resolved(reader, &fields.get("resolved")?)?,
        })
    })
}

fn read_launch(reader: &mut Reader, node: &Node<'_>) -> Option<Launch> {
    match decode_launch(node.value()) {
        Ok(launch) => Some(launch),
        Err(violations) => {
            refuse_all(reader, node, violations);
            None
        }
    }
}

fn write_placed(placed: &Placed) -> Value {
    let Placed {
        runner_uid,
        runner_id,
        runner_group,
        profile_id,
        profile_name,
        reserved,
        egress_mode,
        ingress_level,
    } = placed;
    let Resources {
        cpu_millis,
        memory_bytes,
        gpus,
    } = reserved;
    json!({
        "runner_uid": runner_uid.to_string(),
        "runner_id": runner_id.as_str(),
        "runner_group": runner_group.as_str(),
        "profile_id": profile_id.to_string(),
        "profile_name": profile_name.as_str(),
        "cpu_millis": cpu_millis,
        "memory_bytes": memory_bytes,
        "gpus": gpus,
        "egress_mode": egress_mode.as_str(),
        "ingress_level": ingress_level.as_ref().map(AsRef::<str>::as_ref),
    })
}

fn read_placed(reader: &mut Reader, node: &Node<'_>) -> Option<Placed> {
    let known = [
        "runner_uid",
        "runner_id",
        "runner_group",
        "profile_id",
        "profile_name",
        "cpu_millis",
        "memory_bytes",
        "gpus",
        "egress_mode",
        "ingress_level",
    ];
    let fields = reader.fields(node, &known)?;
    Some(Placed {
        runner_uid: reader.parsed(&fields.get("runner_uid")?)?,
        runner_id: reader.parsed(&fields.get("runner_id")?)?,
        runner_group: reader.parsed(&fields.get("runner_group")?)?,
        profile_id: reader.parsed(&fields.get("profile_id")?)?,
        profile_name: reader.parsed(&fields.get("profile_name")?)?,
        reserved: Resources {
            cpu_millis: read_u64(reader, &fields.get("cpu_millis")?)?,
            memory_bytes: read_u64(reader, &fields.get("memory_bytes")?)?,
            gpus: reader.count(&fields.get("gpus")?)?,
        },
        egress_mode: reader.parsed(&fields.get("egress_mode")?)?,
        ingress_level: optional(reader, &fields, "ingress_level", parsed)?,
    })
}

fn write_amounts(amounts: &ResourceAmounts) -> Value {
    let ResourceAmounts { cpu, memory, gpu } = amounts;
    json!({
        "cpu": quantity(cpu.as_ref()),
        "memory": quantity(memory.as_ref()),
        "gpu": gpu.as_ref().map(write_gpu),
    })
}

fn read_amounts(reader: &mut Reader, node: &Node<'_>) -> Option<ResourceAmounts> {
    let fields = reader.fields(node, &["cpu", "memory", "gpu"])?;
    Some(ResourceAmounts {
        cpu: optional(reader, &fields, "cpu", parsed)?,
        memory: optional(reader, &fields, "memory", parsed)?,
        gpu: optional(reader, &fields, "gpu", read_gpu)?,
    })
}

fn write_gpu(gpu: &GpuRequest) -> Value {
    let GpuRequest { count, kind } = gpu;
    match kind {
        GpuKind::Any => json!({ "count": count }),
        GpuKind::Type(name) => json!({ "count": count, "type": name }),
        GpuKind::MemoryGb(size) => json!({ "count": count, "memory_gb": size }),
    }
}

fn read_gpu(reader: &mut Reader, node: &Node<'_>) -> Option<GpuRequest> {
    let fields = reader.fields(node, &["count", "type", "memory_gb"])?;
    let name = optional(reader, &fields, "type", read_text)?;
    let size = optional(reader, &fields, "memory_gb", Reader::count)?;
    let kind = match (name, size) {
        (None, None) => GpuKind::Any,
        (Some(name), None) => GpuKind::Type(name),
        (None, Some(size)) => GpuKind::MemoryGb(size),
        (Some(_), Some(_)) => {
            reader.refuse(node, ViolationKind::Conflict, "has two kinds");
            return None;
        }
    };
    let count = reader.count(&fields.get("count")?)?;
    Some(GpuRequest { count, kind })
}
