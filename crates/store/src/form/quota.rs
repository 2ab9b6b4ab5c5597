//! The largest sandbox that an organization may start.

use palisade_model::document::Reader;
use palisade_model::tenant::SandboxQuota;
use serde_json::json;

use super::{optional, parsed, quantity, read};
use crate::error::Fault;

pub(crate) fn write_quota(quota: &SandboxQuota) -> String {
    let SandboxQuota { cpu, memory, gpu } = quota;
    json!({
        "cpu": quantity(cpu.as_ref()),
        "memory": quantity(memory.as_ref()),
        "gpu": gpu,
    })
    .to_string()
}

pub(crate) fn read_quota(text: &str) -> Result<SandboxQuota, Fault> {
    read("quota of an organization", text, |reader, root| {
        let fields = reader.fields(root, &["cpu", "memory", "gpu"])?;
        Some(SandboxQuota {
            cpu: optional(reader, &fields, "cpu", parsed)?,
            memory: optional(reader, &fields, "memory", parsed)?,
            gpu: optional(reader, &fields, "gpu", Reader::count)?,
        })
    })
}
