//! The names of sandboxes: `<sandbox-id>.<level>.sandbox.internal`.
//!
//! Pure. `internal` is reserved for private use: no server out there knows such a
//! name, and none should hear of one.

use hickory_proto::rr::Name;
use palisade_model::id::SandboxId;
use palisade_model::name::LevelName;

const SUFFIX: [&[u8]; 2] = [b"sandbox", b"internal"];

/// A sandbox, at one of the levels that its profile can expose ports at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SandboxName {
    pub(super) id: SandboxId,
    pub(super) level: LevelName,
}

/// Whether a name is below the one that all names of sandboxes are below.
pub(super) fn is_within(name: &Name) -> bool {
    let mut labels = name.iter().rev();
    SUFFIX.iter().rev().all(|label| {
        let own = labels.next();
        own.is_some_and(|own| own.eq_ignore_ascii_case(label))
    })
}

impl SandboxName {
    /// Reads a name; `None` if no sandbox can have it.
    pub(super) fn read(name: &Name) -> Option<Self> {
        if !is_within(name) {
            return None;
        }
        let labels = name.iter().map(<[u8]>::to_ascii_lowercase);
        let labels: Vec<Vec<u8>> = labels.collect();
        let [id, level, _, _] = labels.as_slice() else {
            return None;
        };
        let text = |label| std::str::from_utf8(label).ok();
        Some(Self {
            id: text(id)?.parse().ok()?,
            level: text(level)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn read(text: &str) -> Option<SandboxName> {
        SandboxName::read(&Name::from_ascii(text).unwrap())
    }

    #[test]
    fn a_name_says_sandbox_and_level_in_any_case() {
        let name = read(&format!("{ID}.internal.sandbox.internal.")).unwrap();
        assert_eq!(name.id.to_string(), ID);
        assert_eq!(name.level.as_str(), "internal");
        let shouted = format!("{ID}.Internal.SANDBOX.internal.").to_uppercase();
        assert_eq!(read(&shouted), Some(name));
    }

    #[test]
    fn what_is_longer_shorter_or_elsewhere_is_the_name_of_no_sandbox() {
        for text in [
            "sandbox.internal.".to_owned(),
            format!("{ID}.sandbox.internal."),
            format!("www.{ID}.web.sandbox.internal."),
            format!("{ID}.web.sandbox.external."),
            format!("{ID}.web.notsandbox.internal."),
            "ada.web.sandbox.internal.".to_owned(),
        ] {
            assert_eq!(read(&text), None, "{text}");
        }
    }
}
