//! A refusal as facts for programs, cut so that it arrives.
//!
//! gRPC carries a refusal in the trailer of the answer, and many peers read at
//! most 8 KiB of it: the message once as text and once, with everything else, in
//! base64. What does not fit is counted instead of told.

use serde_json::{Value, json};

use crate::sandbox::{GpuKind, GpuRequest};

use super::closest::{Change, Closest, Resized};
use super::refused::Violated;

/// What a trailer may have in all, in bytes.
pub(super) const TRAILER_MAX: usize = 8 * 1024;

/// What is left for other headers, and for the frames around the facts.
const RESERVE: usize = 1_024;

/// The violations that fit beside the rest, as JSON, and how many they are.
pub(super) fn fitting(violations: &[Violated], message: &str, closest: &str) -> (String, usize) {
    let taken = RESERVE + as_header(message) + in_base64(message.len() + closest.len());
    // A JSON text is a little longer in protobuf, whose frames are in the reserve.
    let budget = TRAILER_MAX.saturating_sub(taken) / 4 * 3;
    let mut text = String::from("[");
    let mut count = 0;
    for violated in violations {
        let item = violated.to_json().to_string();
        if text.len() + item.len() + 2 > budget {
            break;
        }
        if count > 0 {
            text.push(',');
        }
        text.push_str(&item);
        count += 1;
    }
    text.push(']');
    (text, count)
}

/// What gRPC makes of a message: bytes that are not plain take three.
fn as_header(message: &str) -> usize {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"#%<>`?{}".contains(byte);
    let plain_count = message.bytes().filter(|byte| plain(byte)).count();
    plain_count + 3 * (message.len() - plain_count)
}

fn in_base64(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

impl Violated {
    fn to_json(&self) -> Value {
        json!({
            "runner": self.runner.as_str(),
            "profile": self.profile.as_str(),
            "constraint": self.constraint.as_str(),
            "requested": self.shortfall.requested,
            "allowed": self.shortfall.allowed,
        })
    }
}

impl Closest {
    /// The change by the fields of the request; `null` means to leave it out.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "runner": self.runner.as_str(),
            "profile": self.profile.as_str(),
            "change": self.fields(),
        })
    }

    /// What fields of the request would have to say, by their paths; `null`
    /// means to leave one out.
    pub fn fields(&self) -> serde_json::Map<String, Value> {
        let mut fields = serde_json::Map::new();
        for change in &self.changes {
            change.write(&mut fields);
        }
        fields
    }
}

impl Change {
    fn write(&self, fields: &mut serde_json::Map<String, Value>) {
        let mut set = |field: &str, value: Value| fields.insert(field.to_owned(), value);
        match self {
            Self::Runner(id) => {
                set("runner_ids", json!([id.as_str()]));
            }
            Self::Profile(name) => {
                set("profile_names", json!([name.as_str()]));
            }
            Self::Egress(name) => {
                set("network.egress_mode", json!(name.as_str()));
            }
            Self::Ingress(Some(name)) => {
                set("network.ingress_mode", json!(name.as_str()));
            }
            Self::Ingress(None) => {
                set("network.ingress_mode", Value::Null);
                set("network.exposed_ports", Value::Null);
            }
            Self::Ports(ports) => {
                set("network.exposed_ports", json!(ports));
            }
            Self::Gpu(gpu) => {
                let gpu = gpu.as_ref().map_or(Value::Null, gpu_json);
                set("resource_requests.gpu", gpu.clone());
                set("resource_limits.gpu", gpu);
            }
            Self::Cpu(to) => to.write("cpu", &mut set),
            Self::Memory(to) | Self::MoreMemory(to) => to.write("memory", &mut set),
        }
    }
}

impl Resized {
    fn write(&self, resource: &str, set: &mut impl FnMut(&str, Value) -> Option<Value>) {
        let request = json!(self.request.as_str());
        set(&format!("resource_requests.{resource}"), request);
        if let Some(limit) = &self.limit {
            let limit = json!(limit.as_str());
            set(&format!("resource_limits.{resource}"), limit);
        }
    }
}

fn gpu_json(gpu: &GpuRequest) -> Value {
    match &gpu.kind {
        GpuKind::Any => json!({ "gpu_count": gpu.count }),
        GpuKind::Type(name) => json!({ "gpu_count": gpu.count, "gpu_type": name }),
        GpuKind::MemoryGb(size) => json!({ "gpu_count": gpu.count, "gpu_memory_gb": size }),
    }
}
