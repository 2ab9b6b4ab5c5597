//! Advice about where sandboxes land.

use crate::profile::{NamespaceStrategy, StrategyKind};

use super::{Finding, Rule, Subject, spec_path};

/// How people call code that they did not write.
const UNTRUSTED: &str = "untrusted";

pub(super) fn findings(subject: Subject<'_>) -> Vec<Finding> {
    let namespace = &subject.spec.namespace;
    let is_made = namespace.auto_create();
    let is_static = matches!(namespace.strategy(), NamespaceStrategy::Static(_));
    let mut findings = Vec::new();
    findings.extend(shared(subject));
    if !is_made && !is_static {
        findings.push(Finding::new(
            Rule::NamespaceNotCreated,
            spec_path(["namespace", "autoCreate"]),
            format!(
                "is false, while strategy {} needs a namespace for each that somebody has to make \
                 beforehand under its generated name",
                namespace.strategy().kind().as_str()
            ),
            "leave autoCreate out, or use strategy static with the namespace that you keep",
        ));
    }
    let unused = [
        ("labels", !namespace.labels.is_empty()),
        ("annotations", !namespace.annotations.is_empty()),
    ];
    for (field, is_set) in unused {
        if is_set && !is_made {
            findings.push(Finding::new(
                Rule::NamespaceLabelsUnused,
                spec_path(["namespace", field]),
                "is for namespaces that are made here, and autoCreate is false",
                format!("leave out {field}, or autoCreate: false"),
            ));
        }
    }
    findings
}

/// Whether code that its writer does not trust shares a namespace.
fn shared(subject: Subject<'_>) -> Option<Finding> {
    let kind = subject.spec.namespace.strategy().kind();
    let around = match kind {
        StrategyKind::PerUser | StrategyKind::PerProfile => return None,
        StrategyKind::PerOrg => "the rest of the organization",
        StrategyKind::Static => "everything else in that namespace",
    };
    let sign = untrusted_sign(subject)?;
    Some(Finding::new(
        Rule::NamespaceShared,
        spec_path(["namespace", "strategy"]),
        format!(
            "is {}, so that quotas, secrets and policies are shared with {around}; {sign} says \
             that this is for untrusted code",
            kind.as_str()
        ),
        "use strategy per-profile or per-user",
    ))
}

/// What tells that a profile is for untrusted code.
fn untrusted_sign(subject: Subject<'_>) -> Option<&'static str> {
    let is_sign = |text: &str| text.to_ascii_lowercase().contains(UNTRUSTED);
    let tags = subject.spec.tags.as_deref().unwrap_or_default();
    if is_sign(subject.display_name) {
        return Some("its name");
    }
    if tags.iter().any(|tag| is_sign(tag.as_str())) {
        return Some("a tag");
    }
    let mut labels = subject.labels.iter();
    labels
        .any(|(key, value)| is_sign(key) || is_sign(value))
        .then_some("a label")
}
