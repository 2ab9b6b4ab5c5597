//! Whether a runner is there to be given work.

use crate::placement::case::Case;
use crate::placement::fleet::Presence;
use crate::placement::gap::{Gap, Side};

pub(super) fn connected<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let found = match case.member.live().presence {
        // Without a report nothing is known of what it can do.
        Presence::Connected if case.member.digest().has_report => return None,
        Presence::Connected => "has not said yet what it can do",
        Presence::NeverSeen => "has not connected yet",
        Presence::Lost => "lost its connection",
    };
    Some(Gap::new(
        Side::Text("a connected runner"),
        Side::Text(found),
    ))
}

pub(super) fn not_draining<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let wanted = Side::Text("a runner that takes sandboxes");
    let is_draining = case.member.live().is_draining;
    is_draining.then(|| Gap::new(wanted, Side::Text("takes no new sandboxes for now")))
}
