//! How quotas look to people and to programs.

use std::collections::BTreeMap;

use palisade_wire::rest::{QuotaCount, QuotaReport, QuotaScope};
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
