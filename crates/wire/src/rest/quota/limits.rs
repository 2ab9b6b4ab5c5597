//! Limits as they were set, without what is counted.

use std::collections::BTreeMap;

use palisade_model::document::{Fields, Node, Reader};
use palisade_model::quota::{Limits, Quota, Wider};
use palisade_model::refusal::Refusal;
use palisade_model::tenant::SandboxQuota;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

const FIELDS: [&str; 7] = [
    "maxCpu",
    "maxMemory",
    "maxGpus",
    "maxSandboxes",
    "maxStartsPerMinute",
    "maxSnapshots",
    "maxSnapshotBytes",
];

/// What was set for an organization and for its users.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct QuotaLimits {
    /// For all users together; set by whoever runs the platform.
    pub organization: LimitSet,
    /// For every user that has none of his own.
    pub each_user: LimitSet,
    /// For these users, in the place of those for every user.
    pub users: BTreeMap<String, LimitSet>,
    /// Names the present state, for If-Match.
    pub etag: String,
}

/// The limits of somebody; what is absent is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LimitSet {
    /// CPU of one sandbox, such as 4 or 500m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cpu: Option<String>,
    /// Memory of one sandbox, such as 8Gi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_memory: Option<String>,
    /// GPUs of one sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_gpus: Option<u32>,
    /// Sandboxes that live at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_sandboxes: Option<u32>,
    /// Sandboxes that are started within a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_starts_per_minute: Option<u32>,
    /// Snapshots of file systems.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_snapshots: Option<u32>,
    /// Bytes of their archives together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_snapshot_bytes: Option<u64>,
}

impl QuotaLimits {
    /// Everything that a quota says, in the state that the etag names.
    pub fn new(quota: &Quota, etag: String) -> Self {
        let Quota {
            organization,
            each_user,
            users,
        } = quota;
        let users = users
            .iter()
            .map(|(user, limits)| (user.to_string(), limits.into()));
        Self {
            organization: organization.into(),
            each_user: each_user.into(),
            users: users.collect(),
            etag,
        }
    }
}

impl From<&Limits> for LimitSet {
    fn from(limits: &Limits) -> Self {
        let Limits {
            sandbox: SandboxQuota { cpu, memory, gpu },
            sandboxes,
            starts_per_minute,
            snapshots,
            snapshot_bytes,
        } = limits;
        Self {
            max_cpu: cpu.as_ref().map(ToString::to_string),
            max_memory: memory.as_ref().map(ToString::to_string),
            max_gpus: *gpu,
            max_sandboxes: *sandboxes,
            max_starts_per_minute: *starts_per_minute,
            max_snapshots: *snapshots,
            max_snapshot_bytes: *snapshot_bytes,
        }
    }
}

/// Reads the limits that are to be set.
pub fn read_limits(document: &Value) -> Result<Limits, Refusal> {
    let mut reader = Reader::default();
    let root = Node::root(document);
    let fields = reader.fields(&root, &FIELDS);
    let limits = fields.map(|fields| limits(&mut reader, &fields));
    let violations = reader.finish();
    match limits {
        Some(limits) if violations.is_empty() => Ok(limits),
        Some(_) | None => Err(Refusal::invalid(violations)),
    }
}

/// What could not be read is absent here, and is among the violations.
fn limits(reader: &mut Reader, fields: &Fields<'_>) -> Limits {
    let mut count = |field| reader.count(&fields.get(field)?);
    let gpu = count("maxGpus");
    let sandboxes = count("maxSandboxes");
    let starts_per_minute = count("maxStartsPerMinute");
    let snapshots = count("maxSnapshots");
    let mut amount = |field| reader.parsed(&fields.get(field)?);
    let (cpu, memory) = (amount("maxCpu"), amount("maxMemory"));
    let bytes = fields.get("maxSnapshotBytes");
    Limits {
        sandbox: SandboxQuota { cpu, memory, gpu },
        sandboxes,
        starts_per_minute,
        snapshots,
        snapshot_bytes: bytes.and_then(|node| whole_number(reader, &node)),
    }
}

/// A number, or its digits as text: not all that writes JSON knows numbers this large.
fn whole_number(reader: &mut Reader, node: &Node<'_>) -> Option<u64> {
    let number = match node.value() {
        Value::Number(number) => number.as_u64(),
        Value::String(digits) => digits.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    number.or_else(|| {
        let what = format!("must be a whole number from 0 to {}", u64::MAX);
        reader.refuse(node, ViolationKind::Invalid, what);
        None
    })
}

/// What whoever sets limits beyond those of the organization is told: each of them
/// by its field, and the first for programs. `None` if there is none.
pub fn too_wide(wider: &[Wider]) -> Option<Refusal> {
    let first = wider.first()?;
    let violations = wider.iter().map(|wider| {
        let Wider {
            limit,
            asked,
            allowed,
        } = wider;
        let what = format!(
            "asks for {asked}, and the organization may have {allowed}; ask for at most that, \
             or have whoever runs the platform raise it"
        );
        let path = FieldPath::root().key(field_of(limit));
        Violation::new(path, ViolationKind::Forbidden, what)
    });
    let refusal = Refusal::invalid(violations.collect());
    let Wider {
        limit,
        asked,
        allowed,
    } = first;
    Some(
        refusal
            .with("limit", *limit)
            .with("scope", "organization")
            .with("asked", asked.clone())
            .with("allowed", allowed.clone()),
    )
}

/// The field of a limit, by the name that programs compare.
fn field_of(limit: &str) -> &'static str {
    let plain = |field: &str| field.to_ascii_lowercase();
    let wanted = format!("max{}", limit.replace('_', ""));
    let found = FIELDS.into_iter().find(|field| plain(field) == wanted);
    found.unwrap_or("limits")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn whole() -> Value {
        json!({
            "maxCpu": "500m", "maxMemory": "8Gi", "maxGpus": 1, "maxSandboxes": 2,
            "maxStartsPerMinute": 3, "maxSnapshots": 4, "maxSnapshotBytes": 1_u64 << 40,
        })
    }

    #[test]
    fn limits_read_back_as_they_are_told() {
        let limits = read_limits(&whole()).unwrap();
        let told = serde_json::to_value(LimitSet::from(&limits)).unwrap();
        assert_eq!(told, whole());
        let none = read_limits(&json!({ "maxCpu": null })).unwrap();
        assert_eq!(none, Limits::default());
        let text = read_limits(&json!({ "maxSnapshotBytes": "7" })).unwrap();
        assert_eq!(text.snapshot_bytes, Some(7));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (document, field) in [
            (json!({ "maxCpu": "much" }), "maxCpu"),
            (json!({ "maxCpu": 4 }), "maxCpu"),
            (json!({ "maxMemory": "-1Gi" }), "maxMemory"),
            (json!({ "maxGpus": -1 }), "maxGpus"),
            (json!({ "maxSandboxes": 1.5 }), "maxSandboxes"),
            (json!({ "maxStartsPerMinute": "2" }), "maxStartsPerMinute"),
            (json!({ "maxSnapshots": 1_u64 << 33 }), "maxSnapshots"),
            (json!({ "maxSnapshotBytes": "7Gi" }), "maxSnapshotBytes"),
            (json!({ "maxSandboxs": 1 }), "maxSandboxs"),
        ] {
            let refusal = read_limits(&document).unwrap_err();
            assert_eq!(refusal.violations[0].path.to_string(), field, "{document}");
        }
        assert!(read_limits(&json!([])).is_err());
    }

    #[test]
    fn a_limit_beyond_the_organization_is_told_by_its_field() {
        let wider = |limit| Wider {
            limit,
            asked: "9".to_owned(),
            allowed: "4".to_owned(),
        };
        assert_eq!(too_wide(&[]), None);
        for (limit, field) in [
            ("cpu", "maxCpu"),
            ("memory", "maxMemory"),
            ("gpus", "maxGpus"),
            ("sandboxes", "maxSandboxes"),
            ("starts_per_minute", "maxStartsPerMinute"),
            ("snapshots", "maxSnapshots"),
            ("snapshot_bytes", "maxSnapshotBytes"),
        ] {
            let refusal = too_wide(&[wider(limit)]).unwrap();
            assert_eq!(refusal.violations[0].path.to_string(), field);
            assert!(
                refusal.message.contains("asks for 9"),
                "{}",
                refusal.message
            );
            let fact = |key: &str| refusal.metadata[key].as_str();
            assert_eq!((fact("limit"), fact("asked")), (limit, "9"));
            assert_eq!((fact("allowed"), fact("scope")), ("4", "organization"));
        }
    }
}
