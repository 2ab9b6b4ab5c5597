//! What is missing between what was asked and what is allowed.
//!
//! A gap borrows both sides, so that finding one costs nothing; only the few
//! that somebody reads are put into words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::name::{InstanceType, LevelName, ModeName};
use crate::pool::Room;
use crate::profile::{EgressMode, EgressType, Exposure, ServiceType};
use crate::quantity::Quantity;
use crate::sandbox::Port;
use crate::template::HostTemplate;
use crate::violation::Violation;

use super::explanation::Shortfall;

/// Two sides that do not go together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gap<'a> {
    pub(super) requested: Side<'a>,
    pub(super) allowed: Side<'a>,
}

/// One side of a gap.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side<'a> {
    Text(&'a str),
    Quantity(&'a Quantity),
    Millis(u64),
    Bytes(u64),
    Count(u64),
    Strings(&'a [String]),
    Names(&'a BTreeSet<&'a str>),
    Set(&'a BTreeSet<String>),
    Modes(&'a BTreeMap<ModeName, EgressMode>),
    Levels(&'a BTreeMap<LevelName, Exposure>),
    /// With the reason why there are no more, where one is known.
    EgressTypes(&'a BTreeSet<EgressType>, Option<&'a str>),
    ServiceTypes(&'a BTreeSet<ServiceType>),
    InstanceTypes(&'a [InstanceType]),
    Labels(&'a BTreeMap<String, String>),
    Violations(&'a [Violation]),
    GpuMemory(u32),
    Template(&'a HostTemplate),
    Port(&'a Port),
    Room {
        pool: &'a str,
        room: Room,
    },
}

impl<'a> Gap<'a> {
    pub(super) fn new(requested: Side<'a>, allowed: Side<'a>) -> Self {
        Self { requested, allowed }
    }
}

impl From<Gap<'_>> for Shortfall {
    fn from(gap: Gap<'_>) -> Self {
        Self {
            requested: Clipped(gap.requested).to_string(),
            allowed: Clipped(gap.allowed).to_string(),
        }
    }
}

/// The most items of a list that are put into words.
const LISTED_MAX: usize = 8;

impl fmt::Display for Side<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Text(text) => f.write_str(text),
            Self::Quantity(quantity) => f.write_str(quantity.as_str()),
            Self::Millis(millis) => f.write_str(&cpu_text(millis)),
            Self::Bytes(bytes) => f.write_str(&bytes_text(bytes)),
            Self::Count(count) => write!(f, "{count}"),
            Self::GpuMemory(gb) => write!(f, "{gb} GB"),
            Self::Template(template) => write!(f, "{template}"),
            Self::Port(port) => write!(f, "{} port {}", port.protocol.as_str(), port.number),
            Self::Room {
                pool,
                room: Room { size, used },
            } => write!(f, "{pool}, {used} of {size} in use"),
            Self::Strings(items) => list(f, items.iter()),
            Self::Names(items) => list(f, items.iter()),
            Self::Set(items) => list(f, items.iter()),
            Self::Modes(modes) => list(f, modes.keys()),
            Self::Levels(levels) => list(f, levels.keys()),
            Self::EgressTypes(types, why) => {
                egress_types(f, types)?;
                why.map_or(Ok(()), |why| write!(f, ", as {why}"))
            }
            Self::ServiceTypes(types) => list(f, types.iter().map(|kind| kind.as_str())),
            Self::InstanceTypes(types) => list(f, types.iter()),
            Self::Labels(labels) => list(f, labels.iter().map(|(k, v)| format!("{k}={v}"))),
            Self::Violations(violations) => list(f, violations.iter()),
        }
    }
}

/// A side in words, cut so that a message stays one: names come from callers.
pub(super) struct Clipped<'a>(pub(super) Side<'a>);

const CLIPPED_MAX: usize = 160;

impl fmt::Display for Clipped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        match text.char_indices().nth(CLIPPED_MAX) {
            Some((end, _)) => write!(f, "{}…", &text[..end]),
            None => f.write_str(&text),
        }
    }
}

/// One of the types is called `none`, so that there being none takes other words.
fn egress_types(f: &mut fmt::Formatter<'_>, types: &BTreeSet<EgressType>) -> fmt::Result {
    if types.is_empty() {
        return f.write_str("no type at all");
    }
    list(f, types.iter().map(|kind| kind.as_str()))
}

/// Writes a list so that a long one stays readable.
fn list<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    items: impl ExactSizeIterator<Item = T>,
) -> fmt::Result {
    let len = items.len();
    if len == 0 {
        return f.write_str("none");
    }
    for (index, item) in items.take(LISTED_MAX).enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(f, "{comma}{item}")?;
    }
    if len > LISTED_MAX {
        write!(f, " and {} more", len - LISTED_MAX)?;
    }
    Ok(())
}

/// An amount of CPU in the shortest spelling.
pub(super) fn cpu_text(millis: u64) -> String {
    if millis.is_multiple_of(1_000) {
        (millis / 1_000).to_string()
    } else {
        format!("{millis}m")
    }
}

/// An amount of memory in the largest unit that holds it exactly.
pub(super) fn bytes_text(bytes: u64) -> String {
    const UNITS: [(&str, u32); 3] = [("Gi", 30), ("Mi", 20), ("Ki", 10)];
    let unit = UNITS
        .into_iter()
        .find(|(_, shift)| bytes > 0 && bytes.is_multiple_of(1 << shift));
    match unit {
        Some((suffix, shift)) => format!("{}{suffix}", bytes >> shift),
        None => bytes.to_string(),
    }
}
