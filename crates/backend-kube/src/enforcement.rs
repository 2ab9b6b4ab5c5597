//! What is known of network policies in a cluster, and what follows from it.
//!
//! Pure. A cluster takes policies whether anything enforces them or not; who
//! finds out is [`crate::probe`].

use std::collections::BTreeSet;

use palisade_model::profile::EgressType;

use crate::settings::{Enforcement, Settings};

/// What was found out about network policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nothing yet.
    #[default]
    Unknown,
    /// They hold, between two pods at least.
    Enforced,
    /// Something got through; what that was.
    NotEnforced(String),
    /// It could not be found out, and why.
    Failed(String),
}

/// The egress types that can be taken on.
pub(crate) fn taken_on(settings: &Settings, finding: &Finding) -> BTreeSet<EgressType> {
    let all = EgressType::ALL.into_iter();
    all.filter(|kind| why_not(settings, finding, *kind).is_none())
        .collect()
}

/// Why there are egress types that are not taken on, if there are some.
pub(crate) fn why_fewer(settings: &Settings, finding: &Finding) -> Option<String> {
    let mut all = EgressType::ALL.into_iter();
    all.find_map(|kind| why_not(settings, finding, kind))
}

/// Why an egress type is not taken on, unless it is. Every one of them closes
/// something, so that all need policies that hold.
pub(crate) fn why_not(settings: &Settings, finding: &Finding, kind: EgressType) -> Option<String> {
    let missing = match settings.enforcement {
        Enforcement::AcceptNone => return None,
        Enforcement::Trusted => None,
        Enforcement::Required => unproven(finding),
    };
    missing.or_else(|| too_old(settings, kind))
}

fn unproven(finding: &Finding) -> Option<String> {
    match finding {
        Finding::Enforced => None,
        Finding::Unknown => Some(
            "whether its cluster enforces network policies is still being found out".to_owned(),
        ),
        Finding::NotEnforced(what) => Some(format!(
            "its cluster does not enforce network policies: {what}"
        )),
        Finding::Failed(why) => Some(format!(
            "it could not find out whether its cluster enforces network policies: {why}"
        )),
    }
}

/// Only the cluster's resolver may be asked for names. To close the ports of other
/// ones in an open range takes ranges of ports.
fn too_old(settings: &Settings, kind: EgressType) -> Option<String> {
    match kind {
        EgressType::Internet | EgressType::Allowlist if !settings.has_port_ranges => {
            let text = "its cluster is older than 1.22, whose network policies cannot close the \
                        ports of name servers";
            Some(text.to_owned())
        }
        EgressType::Internet
        | EgressType::Allowlist
        | EgressType::Org
        | EgressType::User
        | EgressType::Profile
        | EgressType::None => None,
    }
}

/// Whether a server of this version knows ranges of ports in network policies.
/// Versions may have something behind the number, as in `21+`.
pub(crate) fn has_port_ranges(major: &str, minor: &str) -> bool {
    let number = |text: &str| {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().unwrap_or(0)
    };
    (number(major), number(minor)) >= (1, 22)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(enforcement: Enforcement, has_port_ranges: bool) -> Settings {
        Settings {
            enforcement,
            has_port_ranges,
            ..Settings::default()
        }
    }

    #[test]
    fn what_is_not_proven_is_refused_with_the_reason() {
        let settings = settings(Enforcement::Required, true);
        let failed = Finding::Failed("no image".to_owned());
        let through = Finding::NotEnforced("a pod was reached".to_owned());
        for (finding, words) in [
            (Finding::Unknown, "still being found out"),
            (failed, "no image"),
            (through, "a pod was reached"),
        ] {
            assert_eq!(taken_on(&settings, &finding), BTreeSet::new());
            let why = why_fewer(&settings, &finding).unwrap();
            assert!(why.contains(words), "{why}");
            for kind in EgressType::ALL {
                let why = why_not(&settings, &finding, kind).unwrap();
                assert!(why.contains(words), "{why}");
            }
        }
        let all = BTreeSet::from(EgressType::ALL);
        assert_eq!(taken_on(&settings, &Finding::Enforced), all);
        assert_eq!(why_fewer(&settings, &Finding::Enforced), None);
    }

    #[test]
    fn a_server_that_cannot_close_the_ports_of_names_opens_no_ranges() {
        let narrow = BTreeSet::from([
            EgressType::None,
            EgressType::Org,
            EgressType::User,
            EgressType::Profile,
        ]);
        for (enforcement, finding) in [
            (Enforcement::Required, Finding::Enforced),
            (Enforcement::Trusted, Finding::Unknown),
        ] {
            let settings = settings(enforcement, false);
            assert_eq!(taken_on(&settings, &finding), narrow);
            let why = why_not(&settings, &finding, EgressType::Internet).unwrap();
            assert!(why.contains("older than 1.22"), "{why}");
        }
    }

    #[test]
    fn who_accepts_that_nothing_holds_gets_everything() {
        let settings = settings(Enforcement::AcceptNone, false);
        let through = Finding::NotEnforced(String::new());
        assert_eq!(
            taken_on(&settings, &through),
            BTreeSet::from(EgressType::ALL)
        );
    }

    #[test]
    fn ranges_of_ports_are_known_from_1_22_on() {
        for (major, minor, expected) in [
            ("1", "20", false),
            ("1", "21+", false),
            ("1", "22", true),
            ("1", "35+", true),
            ("2", "0", true),
            ("", "", false),
        ] {
            assert_eq!(has_port_ranges(major, minor), expected, "{major}.{minor}");
        }
    }
}
