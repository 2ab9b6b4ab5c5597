//! The paths of update masks.
//!
//! A path may be in either spelling. What cannot be changed is told apart from
//! what does not exist.

use palisade_model::violation::{FieldPath, Violation, ViolationKind, did_you_mean};

use crate::spelling::{Finding, Shape, parse_path};

/// The most paths of a mask.
const PATHS_MAX: usize = 64;

/// What a path of a mask stands for.
pub(crate) enum MaskField<T: 'static> {
    /// Fields that can be changed.
    Mutable(&'static str, &'static [T]),
    /// A field that cannot.
    Immutable(&'static str),
}

/// Reads paths; `at` is the place of the mask in what the caller sent.
pub(crate) fn read<T: Copy + PartialEq>(
    paths: &[String],
    at: &FieldPath,
    shape: &'static Shape,
    known: &'static [MaskField<T>],
) -> Result<Vec<T>, Vec<Finding>> {
    let mut fields = Vec::new();
    let mut findings = Vec::new();
    if paths.len() > PATHS_MAX {
        let what = format!("has {} paths; at most {PATHS_MAX} are allowed", paths.len());
        return Err(vec![finding(at, ViolationKind::TooMany, what)]);
    }
    for text in paths {
        match resolve(text, shape, known) {
            Ok(found) => fields.extend(found),
            Err((kind, what)) => findings.push(finding(at, kind, what)),
        }
    }
    if findings.is_empty() {
        Ok(fields)
    } else {
        Err(findings)
    }
}

fn resolve<T: Copy>(
    text: &str,
    shape: &'static Shape,
    known: &'static [MaskField<T>],
) -> Result<&'static [T], (ViolationKind, String)> {
    let path = parse_path(text)
        .map(|path| shape.canonical(&path).to_string())
        .unwrap_or_default();
    let shown = text.chars().take(128).collect::<String>();
    for field in known {
        match field {
            MaskField::Mutable(name, fields) if *name == path => return Ok(fields),
            MaskField::Immutable(name) if *name == path => {
                let what = format!("names {shown:?}, which cannot be changed");
                return Err((ViolationKind::Immutable, what));
            }
            MaskField::Mutable(..) | MaskField::Immutable(_) => {}
        }
    }
    let names = known.iter().filter_map(|field| match field {
        MaskField::Mutable(name, _) => Some(*name),
        MaskField::Immutable(_) => None,
    });
    let names = names.collect::<Vec<_>>();
    let hint = whole_of(&path, &names)
        .map(|name| format!("{name} is replaced as a whole"))
        .or_else(|| {
            did_you_mean(&path, names.iter().copied()).map(|n| format!("did you mean {n}?"))
        })
        .unwrap_or_else(|| format!("known are {}", names.join(", ")));
    let what = format!("names {shown:?}, which is no field of an update; {hint}");
    Err((ViolationKind::UnknownField, what))
}

/// The field that a path goes deeper into than an update can.
fn whole_of<'a>(path: &str, names: &[&'a str]) -> Option<&'a str> {
    names
        .iter()
        .copied()
        .filter(|name| {
            path.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['.', '[']))
        })
        .max_by_key(|name| name.len())
}

fn finding(at: &FieldPath, kind: ViolationKind, what: String) -> Finding {
    Finding {
        violation: Violation::new(at.clone(), kind, what),
        place: None,
    }
}

#[cfg(test)]
mod tests {
    use crate::profile_document::{ProfileField, profile_mask};
    use crate::runner_document::{RunnerField, runner_mask};

    use super::*;

    fn profile(path: &str) -> Result<Vec<ProfileField>, String> {
        let at = FieldPath::root().key("updateMask");
        profile_mask(&[path.to_owned()], &at).map_err(|findings| findings[0].violation.to_string())
    }

    #[test]
    fn a_path_is_taken_in_either_spelling() {
        assert_eq!(profile("labels"), Ok(vec![ProfileField::Labels]));
        for path in ["managed_spec.release_channel", "managedSpec.releaseChannel"] {
            let at = FieldPath::root();
            let fields = runner_mask(&[path.to_owned()], &at).unwrap();
            assert_eq!(fields, [RunnerField::ReleaseChannel]);
        }
    }

    #[test]
    fn a_block_stands_for_all_that_is_in_it() {
        let fields = runner_mask(&["managed_spec".to_owned()], &FieldPath::root()).unwrap();
        assert_eq!(fields.len(), 6);
    }

    #[test]
    fn a_path_that_cannot_be_updated_says_why() {
        for (path, text) in [
            (
                "displayName",
                r#"updateMask names "displayName", which cannot be changed"#,
            ),
            (
                "spec.containerImage",
                r#"updateMask names "spec.containerImage", which is no field of an update; spec is replaced as a whole"#,
            ),
            (
                "lables",
                r#"updateMask names "lables", which is no field of an update; did you mean labels?"#,
            ),
            (
                "..",
                r#"updateMask names "..", which is no field of an update; known are description, labels, spec"#,
            ),
        ] {
            assert_eq!(profile(path), Err(text.to_owned()));
        }
    }

    #[test]
    fn a_mask_has_an_end() {
        let paths = vec!["labels".to_owned(); PATHS_MAX + 1];
        assert!(profile_mask(&paths, &FieldPath::root()).is_err());
    }
}
