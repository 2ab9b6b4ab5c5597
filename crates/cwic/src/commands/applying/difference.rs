//! How what there is differs from what documents say, as a unified diff.

use palisade_wire::document::to_yaml;
use serde_json::Value;
use similar::TextDiff;

use super::live::Thing;
use super::plan::Plan;
use crate::escape::on_one_line;
use crate::out::Out;

/// Writes every difference; returns whether there is any.
pub(super) fn write(plans: &[Plan<'_>], out: &mut Out) -> bool {
    let mut differs = false;
    for plan in plans {
        let before = text(plan.live.map(Thing::document).as_ref());
        let after = text(Some(&after(plan)));
        let diff = TextDiff::from_lines(before.as_str(), after.as_str());
        let (noun, name) = (plan.noun(), plan.document.name());
        let old = match plan.live {
            Some(_) => on_one_line(&format!("live: {noun} {name}")).into_owned(),
            None => "/dev/null".to_owned(),
        };
        let new = plan.document.whereabouts();
        let shown = diff
            .unified_diff()
            .header(&old, &on_one_line(&new))
            .to_string();
        if before != after {
            differs = true;
            out.text(&shown);
        }
    }
    differs
}

/// What there will be. A runner that binds a profile which is not there yet is
/// shown as it was written.
fn after(plan: &Plan<'_>) -> Value {
    match &plan.after {
        Some(after) => after.document(),
        None => plan.document.friendly(),
    }
}

fn text(document: Option<&Value>) -> String {
    document.map(to_yaml).unwrap_or_default()
}
