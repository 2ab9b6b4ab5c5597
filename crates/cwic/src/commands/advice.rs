//! Advice about profiles: what is allowed and still likely to be a mistake.
//!
//! The rules are the domain's, and need no server. Beside a command that does
//! something else, only warnings and errors are told, on standard error.

use palisade_model::lint::{Finding, Severity, Subject, lint};
use palisade_wire::Source;
use palisade_wire::document::Node;
use palisade_wire::profile_document::read_profile_edit;
use palisade_wire::spelling::Dialect;
use serde_json::Value;

use crate::out::Out;

/// What a profile is advised against, given in the spelling of the wire. A
/// document that is no profile, or says nothing of the spec, gets no advice.
pub(super) fn findings(profile: &Value) -> Vec<Finding> {
    let node = Node::from_value(profile);
    let Ok(read) = read_profile_edit(&node, &Source::whole(Dialect::Wire)) else {
        return Vec::new();
    };
    let edit = read.value;
    let Some(spec) = &edit.spec else {
        return Vec::new();
    };
    let name = edit.display_name.map(|name| name.to_string());
    lint(Subject {
        display_name: name.as_deref().unwrap_or_default(),
        labels: &edit.labels.unwrap_or_default(),
        spec,
    })
}

/// Whether it is told beside other results.
pub(super) fn is_worth_telling(finding: &Finding) -> bool {
    finding.severity() >= Severity::Warning
}

/// A finding as one line, without what to do about it.
pub(super) fn line(finding: &Finding) -> String {
    let Finding {
        rule, path, why, ..
    } = finding;
    format!("{}[{rule}]: {path} {why}", finding.severity().as_str())
}

/// Tells what a profile that was just written or tried is advised against.
pub(crate) fn tell(profile: &Value, out: &mut Out) {
    let findings = findings(profile);
    let mut told = findings.iter().filter(|it| is_worth_telling(it)).peekable();
    if told.peek().is_none() {
        return;
    }
    for finding in told {
        out.note(line(finding));
    }
    out.note("what to do about it: cwic sandbox profile lint NAME, or -f FILE");
}
