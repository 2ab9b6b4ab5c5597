//! Advice about profiles: what is allowed, and still likely to be a mistake.
//!
//! A profile that is wrong is refused when it is written; nothing here refuses
//! anything. A [`Rule`] says what is risky or without use, why, and what would
//! be better; each has a page in `docs/lint/`. Only one layer is looked at: what
//! a runner's zone defaults or a binding add is not known here, and the texts
//! say so where it matters.
//!
//! Pure, so that a client can tell its user before anything is sent.

use std::collections::BTreeMap;
use std::fmt;

use crate::profile::{Profile, ProfileSpec};
use crate::violation::FieldPath;

mod compute;
mod machine;
mod namespace;
mod network;
mod sunk;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// A choice that is worth a thought.
    Hint,
    /// Likely not what was meant.
    Warning,
    /// Dangerous, or can never do what it says.
    Error,
}

impl Severity {
    /// Every severity, the lightest first.
    pub const ALL: [Self; 3] = [Self::Hint, Self::Warning, Self::Error];

    /// The severity as programs compare it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hint => "hint",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $severity:ident;)*) => {
        /// Something that a profile is advised against.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule {
            $($(#[$doc])* $name,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The rule as programs compare it, and the name of its page.
            pub fn id(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)*
                }
            }

            /// How much it matters.
            pub fn severity(self) -> Severity {
                match self {
                    $(Self::$name => Severity::$severity,)*
                }
            }
        }
    };
}

rules! {
    /// A mode lists every address there is.
    AllowlistOpen = "allowlist-open", Error;
    /// A mode lists ranges that stay closed whatever a profile says.
    AllowlistClosed = "allowlist-closed", Error;
    /// Instance types and node labels cannot both be met.
    SelectorsContradict = "selectors-contradict", Error;
    /// Two places name different instance types.
    PlacementContradicts = "placement-contradicts", Error;
    /// Sandboxes reach the internet unless they ask not to.
    InternetByDefault = "internet-by-default", Warning;
    /// A range is so wide that it hardly chooses.
    AllowlistWide = "allowlist-wide", Warning;
    /// A range lies inside another one of the same mode.
    AllowlistRepeats = "allowlist-repeats", Warning;
    /// Two egress modes allow the same.
    ModesAlike = "modes-alike", Warning;
    /// Two ingress levels do the same.
    LevelsAlike = "levels-alike", Warning;
    /// Anybody may come in, but nothing leads in from outside.
    PublicWithoutEntry = "public-without-entry", Warning;
    /// Anybody may come in, and nobody waits for the address.
    PublicWithoutWaiting = "public-without-waiting", Warning;
    /// An address from outside is taken from whichever pool has one.
    LoadBalancerWithoutPool = "load-balancer-without-pool", Warning;
    /// One sandbox can take all of a machine.
    LimitsMissing = "limits-missing", Warning;
    /// As much is set aside as can at most be used.
    LimitWithoutRequest = "limit-without-request", Warning;
    /// The same name can be another image tomorrow.
    ImageFloating = "image-floating", Warning;
    /// Untrusted code shares a namespace with the rest of the organization.
    NamespaceShared = "namespace-shared", Warning;
    /// Nobody makes the namespaces whose names are generated.
    NamespaceNotCreated = "namespace-not-created", Warning;
    /// Labels of namespaces that are never made here.
    NamespaceLabelsUnused = "namespace-labels-unused", Warning;
    /// A key that only the system sets, and that is therefore left out.
    ReservedKey = "reserved-key", Warning;
    /// The pod patch says what a field of the profile is for.
    PodRepeatsField = "pod-repeats-field", Warning;
    /// Slurm kills before a pod is gone.
    SunkGrace = "sunk-grace", Warning;
    /// Slurm schedules nothing that asks for nothing.
    SunkRequests = "sunk-requests", Warning;
    /// The default is the only mode there is, and allows nothing.
    DefaultUnused = "default-unused", Hint;
    /// The isolation is whatever the node has.
    RuntimeClassUnset = "runtime-class-unset", Hint;
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// What advice is wanted about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What people call the profile.
    pub display_name: &'a str,
    /// Labels of the owner.
    pub labels: &'a BTreeMap<String, String>,
    /// The guardrails.
    pub spec: &'a ProfileSpec,
}

impl<'a> From<&'a Profile> for Subject<'a> {
    fn from(profile: &'a Profile) -> Self {
        Self {
            display_name: profile.display_name.as_str(),
            labels: &profile.labels,
            spec: &profile.spec,
        }
    }
}

/// One piece of advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The field, in the canonical spelling of the profile's document.
    pub path: FieldPath,
    /// What is the matter.
    pub why: String,
    /// What would be better.
    pub change: String,
}

impl Finding {
    fn new(rule: Rule, path: FieldPath, why: impl Into<String>, change: impl Into<String>) -> Self {
        Self {
            rule,
            path,
            why: why.into(),
            change: change.into(),
        }
    }

    /// How much it matters.
    pub fn severity(&self) -> Severity {
        self.rule.severity()
    }
}

/// Everything that a profile is advised against, what matters most first.
pub fn lint(subject: Subject<'_>) -> Vec<Finding> {
    let mut findings = network::findings(subject.spec);
    findings.extend(compute::findings(subject.spec));
    findings.extend(machine::findings(subject));
    findings.extend(namespace::findings(subject));
    findings.extend(sunk::findings(subject.spec));
    findings.sort_by(|a, b| {
        let key = |finding: &Finding| (finding.rule, finding.path.clone());
        b.severity().cmp(&a.severity()).then(key(a).cmp(&key(b)))
    });
    findings
}

/// The place of a field of the spec.
fn spec_path<const N: usize>(keys: [&str; N]) -> FieldPath {
    FieldPath::root().key("spec").join(&FieldPath::from(keys))
}

#[cfg(test)]
mod tests;
