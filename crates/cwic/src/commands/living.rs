//! The sandboxes that live under a profile or on a runner, as `describe` tells
//! them.

use palisade_wire::rest::{Usage, UsagePart};

use crate::out::Out;

/// How many sandboxes of each part are named.
const NAMED_MAX: usize = 3;

/// Tells how many there are, and the newest.
pub(super) fn tell(usage: &Usage, out: &mut Out) {
    out.line(format_args!("\nLive sandboxes: {}", usage.live_sandboxes));
    if !usage.parts.is_empty() {
        let rows = usage.parts.iter().map(row).collect::<Vec<_>>();
        out.table(["  RUNNER", "PROFILE", "COUNT", "NEWEST"], &rows);
    }
}

fn row(part: &UsagePart) -> [String; 4] {
    let ids = part.sandbox_ids.iter().take(NAMED_MAX).cloned();
    let is_all = part.live_sandboxes <= NAMED_MAX as u64;
    let more = if is_all { "" } else { ", ..." };
    [
        format!("  {}", part.runner_id),
        part.profile_name.clone(),
        part.live_sandboxes.to_string(),
        format!("{}{more}", ids.collect::<Vec<_>>().join(", ")),
    ]
}
