//! How what there is differs from what documents say: as a unified diff for
//! people, field by field for programs.

use palisade_wire::document::to_yaml;
use serde_json::{Value, json};
use similar::TextDiff;

use super::live::Thing;
use super::plan::Plan;
use crate::changes::{self, FieldChange};
use crate::cli::OutcomeFormat;
use crate::escape::on_one_line;
use crate::out::Out;
use crate::outcome::Report;

/// Writes every difference; returns whether there is any.
pub(super) fn write(plans: &[Plan<'_>], format: OutcomeFormat, out: &mut Out) -> bool {
    let mut report = Report::new(format);
    if report.is_for_programs() {
        let differs = plans.iter().map(|plan| tell(plan, &mut report, out));
        // Each is told, also after one that differs.
        let differs = differs.fold(false, |any, differs| any | differs);
        report.finish(out);
        return differs;
    }
    write_text(plans, out)
}

fn tell(plan: &Plan<'_>, report: &mut Report, out: &mut Out) -> bool {
    let before = plan.live.map_or_else(|| json!({}), Thing::document);
    let changes = changes::between(&before, &after(plan));
    let (verdict, _) = plan.foresee();
    let outcome = plan.outcome(verdict.as_str());
    let told = changes.iter().map(FieldChange::to_json);
    report.tell(outcome.with("changes", told.collect::<Vec<_>>()), "", out);
    !changes.is_empty() || plan.live.is_none()
}

fn write_text(plans: &[Plan<'_>], out: &mut Out) -> bool {
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
