//! How quotas look to people and to programs.

use std::collections::BTreeMap;

use palisade_wire::rest::{LimitSet, QuotaCount, QuotaLimits, QuotaReport, QuotaScope};
use serde_json::Value;

use super::{json, printable};
use crate::listing::Item;
use crate::out::Column;

/// What a table of limits shows.
pub(crate) const SCOPES: [Column; 9] = [
    Column::whole("SCOPE", 9),
    Column::name("ID", 8),
    Column::whole("SANDBOXES", 7),
    Column::whole("STARTS/MIN", 6),
    Column::whole("SNAPSHOTS", 2),
    Column::whole("SNAPSHOT BYTES", 1),
    Column::whole("MAX CPU", 5),
    Column::whole("MAX MEMORY", 4),
    Column::whole("MAX GPUS", 3),
];

/// What a table of limits as they were set shows.
pub(crate) const LIMITS: [Column; 8] = [
    Column::name("WHOSE", 8),
    Column::whole("SANDBOXES", 7),
    Column::whole("STARTS/MIN", 6),
    Column::whole("CPU", 5),
    Column::whole("MEMORY", 4),
    Column::whole("GPUS", 3),
    Column::whole("SNAPSHOTS", 2),
    Column::whole("SNAPSHOT BYTES", 1),
];

/// The limits of everybody that has some: a line for all users together, one for
/// each user, one for every user of his own.
pub(crate) fn limits(told: &QuotaLimits) -> Vec<Item> {
    let mut items = vec![
        set("organization".to_owned(), &told.organization),
        set("each user".to_owned(), &told.each_user),
    ];
    let users = told.users.iter();
    items.extend(users.map(|(user, own)| set(format!("user {}", printable(user)), own)));
    items
}

/// All of them, for programs.
pub(crate) fn whole_limits(told: &QuotaLimits) -> Item {
    item("limits", json(told), Vec::new())
}

fn set(whose: String, told: &LimitSet) -> Item {
    let LimitSet {
        max_cpu,
        max_memory,
        max_gpus,
        max_sandboxes,
        max_starts_per_minute,
        max_snapshots,
        max_snapshot_bytes,
    } = told;
    let amount = |limit: &Option<String>| limit.as_deref().map(printable);
    let count = |limit: &Option<u32>| limit.map(|most| most.to_string());
    let cells = [
        count(max_sandboxes),
        count(max_starts_per_minute),
        amount(max_cpu),
        amount(max_memory),
        count(max_gpus),
        count(max_snapshots),
        max_snapshot_bytes.map(|most| most.to_string()),
    ];
    let cells = cells.map(|cell| cell.unwrap_or_else(|| "none".to_owned()));
    let name = whose.clone();
    item(&name, json(told), [vec![whose], cells.to_vec()].concat())
}

/// Where the organization stands, and the user.
pub(crate) fn scopes(told: &QuotaReport) -> [Item; 2] {
    [
        scope("organization", &told.organization),
        scope("user", &told.user),
    ]
}

/// Everything, for programs.
pub(crate) fn whole(told: &QuotaReport) -> Item {
    item(&told.user.id, json(told), Vec::new())
}

fn scope(kind: &str, told: &QuotaScope) -> Item {
    let none = || "none".to_owned();
    let cells = vec![
        kind.to_owned(),
        printable(&told.id),
        count(&told.sandboxes),
        count(&told.starts_per_minute),
        count(&told.snapshots),
        count(&told.snapshot_bytes),
        told.max_cpu.as_deref().map_or_else(none, printable),
        told.max_memory.as_deref().map_or_else(none, printable),
        told.max_gpus.map_or_else(none, |most| most.to_string()),
    ];
    item(&told.id, json(told), cells)
}

fn item(name: &str, answer: Value, cells: Vec<String>) -> Item {
    Item {
        name: name.to_owned(),
        document: answer.clone(),
        answer,
        labels: BTreeMap::new(),
        cells,
    }
}

fn count(told: &QuotaCount) -> String {
    match told.max {
        Some(most) => format!("{} of {most}", told.used),
        None => told.used.to_string(),
    }
}
