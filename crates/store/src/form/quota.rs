//! What an organization and its users may have.
//!
//! The limits of the organization stand at the top, where they stood before
//! users had any.

use std::collections::BTreeMap;

use palisade_model::document::{Fields, Node, Reader};
use palisade_model::name::UserId;
use palisade_model::quota::{Limits, OWN_LIMITS_MAX, Quota};
use palisade_model::tenant::SandboxQuota;
use palisade_model::violation::ViolationKind;
use serde_json::{Map, Value, json};

use super::{optional, parsed, quantity, read};
use crate::error::Fault;

const LIMITS: [&str; 7] = [
    "cpu",
    "memory",
    "gpu",
    "sandboxes",
    "starts_per_minute",
    "snapshots",
    "snapshot_bytes",
];
const FIELDS: [&str; 9] = [
    "cpu",
    "memory",
    "gpu",
    "sandboxes",
    "starts_per_minute",
    "snapshots",
    "snapshot_bytes",
    "each_user",
    "users",
];

pub(crate) fn write_quota(quota: &Quota) -> String {
    let Quota {
        organization,
        each_user,
        users,
    } = quota;
    let mut document = write_limits(organization);
    let users = users
        .iter()
        .map(|(user, limits)| (user.to_string(), Value::Object(write_limits(limits))));
    document.insert(
        "each_user".to_owned(),
        Value::Object(write_limits(each_user)),
    );
    document.insert("users".to_owned(), Value::Object(users.collect()));
    Value::Object(document).to_string()
}

fn write_limits(limits: &Limits) -> Map<String, Value> {
    let Limits {
        sandbox: SandboxQuota { cpu, memory, gpu },
        sandboxes,
        starts_per_minute,
        snapshots,
        snapshot_bytes,
    } = limits;
    // What was not there from the beginning is left out where it says nothing, so
    // that an earlier version reads what it knows.
    let later = [
        ("snapshots", snapshots.map(|most| json!(most))),
        // As text: what reads JSON elsewhere may know no such numbers.
        (
            "snapshot_bytes",
            snapshot_bytes.map(|most| json!(most.to_string())),
        ),
    ];
    let later = later
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)));
    let fields = [
        ("cpu", quantity(cpu.as_ref())),
        ("memory", quantity(memory.as_ref())),
        ("gpu", json!(gpu)),
        ("sandboxes", json!(sandboxes)),
        ("starts_per_minute", json!(starts_per_minute)),
    ];
    let fields = fields.into_iter().chain(later);
    fields.map(|(key, value)| (key.to_owned(), value)).collect()
}

pub(crate) fn read_quota(text: &str) -> Result<Quota, Fault> {
    read("quota of an organization", text, |reader, root| {
        let fields = reader.fields(root, &FIELDS)?;
        Some(Quota {
            organization: read_limits(reader, &fields)?,
            each_user: optional(reader, &fields, "each_user", limits)?.unwrap_or_default(),
            users: optional(reader, &fields, "users", users)?.unwrap_or_default(),
        })
    })
}

fn limits(reader: &mut Reader, node: &Node<'_>) -> Option<Limits> {
    let fields = reader.fields(node, &LIMITS)?;
    read_limits(reader, &fields)
}

fn read_limits(reader: &mut Reader, fields: &Fields<'_>) -> Option<Limits> {
    Some(Limits {
        sandbox: SandboxQuota {
            cpu: optional(reader, fields, "cpu", parsed)?,
            memory: optional(reader, fields, "memory", parsed)?,
            gpu: optional(reader, fields, "gpu", Reader::count)?,
        },
        sandboxes: optional(reader, fields, "sandboxes", Reader::count)?,
        starts_per_minute: optional(reader, fields, "starts_per_minute", Reader::count)?,
        snapshots: optional(reader, fields, "snapshots", Reader::count)?,
        snapshot_bytes: optional(reader, fields, "snapshot_bytes", parsed)?,
    })
}

fn users(reader: &mut Reader, node: &Node<'_>) -> Option<BTreeMap<UserId, Limits>> {
    let entries = reader.entries(node, OWN_LIMITS_MAX)?;
    let entries = entries.iter().map(|(name, node)| {
        let Ok(user) = name.parse() else {
            reader.refuse(
                node,
                ViolationKind::Invalid,
                "is not under the name of a user",
            );
            return None;
        };
        Some((user, limits(reader, node)?))
    });
    entries.collect()
}
