//! What is wrong with a document, and where.
//!
//! A path is kept in the canonical spelling of the structured form; the edge
//! that read the document translates it into the spelling of its caller and
//! adds line and column. One reading of a document reports every violation.

use std::fmt;

/// One step into a document.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// A key of a map.
    Key(String),
    /// A place in a list.
    Index(usize),
}

/// The place of a field, such as `spec.network.egress.modes.ci.cidrs[2]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(Vec<Step>);

impl FieldPath {
    /// The document itself.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// The path of a key below this one.
    #[must_use]
    pub fn key(&self, key: impl Into<String>) -> Self {
        self.child(Step::Key(key.into()))
    }

    /// The path of a list item below this one.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.child(Step::Index(index))
    }

    /// This path with `tail` behind it.
    #[must_use]
    pub fn join(&self, tail: &Self) -> Self {
        let mut steps = self.0.clone();
        steps.extend(tail.0.iter().cloned());
        Self(steps)
    }

    /// The steps from the root down.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether this is the place of `other`, or a place above it.
    pub fn is_above(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    fn child(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl<const N: usize> From<[&str; N]> for FieldPath {
    /// The path of a field by its keys from the root down.
    fn from(keys: [&str; N]) -> Self {
        keys.into_iter()
            .map(|key| Step::Key(key.to_owned()))
            .collect()
    }
}

impl FromIterator<Step> for FieldPath {
    fn from_iter<I: IntoIterator<Item = Step>>(steps: I) -> Self {
        Self(steps.into_iter().collect())
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if needs_quotes(key) => write!(f, "[{key:?}]")?,
                Step::Key(key) if place == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

/// A key with a dot in it would read as two steps.
fn needs_quotes(key: &str) -> bool {
    key.is_empty()
        || !key
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// What kind of rule a field breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ViolationKind {
    /// The field does not exist.
    UnknownField,
    /// The field is needed and absent.
    Required,
    /// The value has another type.
    WrongType,
    /// The value breaks the rule of its type.
    Invalid,
    /// The value is used or defined twice.
    Duplicate,
    /// The value contradicts another field.
    Conflict,
    /// More items or bytes than allowed.
    TooMany,
    /// The value would weaken a guardrail, and is not allowed here.
    Forbidden,
    /// The field cannot be set by the caller.
    ReadOnly,
    /// The field cannot be changed any more.
    Immutable,
}

impl ViolationKind {
    /// The kind in the upper-case spelling of machine-readable reasons.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownField => "UNKNOWN_FIELD",
            Self::Required => "REQUIRED",
            Self::WrongType => "WRONG_TYPE",
            Self::Invalid => "INVALID",
            Self::Duplicate => "DUPLICATE",
            Self::Conflict => "CONFLICT",
            Self::TooMany => "TOO_MANY",
            Self::Forbidden => "FORBIDDEN",
            Self::ReadOnly => "READ_ONLY",
            Self::Immutable => "IMMUTABLE",
        }
    }
}

/// One rule that a document breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where.
    pub path: FieldPath,
    /// Which kind of rule.
    pub kind: ViolationKind,
    /// What is wrong and what would be right; a fragment that reads on from
    /// the path, such as «must not be empty».
    pub description: String,
}

impl Violation {
    /// Makes a violation of the field at `path`.
    pub fn new(path: FieldPath, kind: ViolationKind, description: impl Into<String>) -> Self {
        Self {
            path,
            kind,
            description: description.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.steps().is_empty() {
            return f.write_str(&self.description);
        }
        write!(f, "{} {}", self.path, self.description)
    }
}

/// The best match for a word that is not among the known ones.
///
/// `None` when nothing is near: a wild guess helps less than none.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LIKENESS_MIN: f64 = 0.75;
    let plain = |text: &str| text.to_lowercase().replace(['_', '-'], "");
    let word = plain(word);
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word, &plain(candidate)), candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_prints_as_people_write_it() {
        let path = FieldPath::root()
            .key("spec")
            .key("node_selector")
            .key("a.b/c")
            .index(2);
        assert_eq!(path.to_string(), r#"spec.node_selector["a.b/c"][2]"#);
        assert_eq!(FieldPath::root().to_string(), "");
    }

    #[test]
    fn a_violation_of_the_whole_document_is_told_without_a_path() {
        let told = |path: FieldPath| {
            Violation::new(path, ViolationKind::TooMany, "is too large").to_string()
        };
        assert_eq!(told(FieldPath::root()), "is too large");
        assert_eq!(told(FieldPath::root().key("spec")), "spec is too large");
    }

    #[test]
    fn a_misspelt_word_finds_its_neighbour() {
        let known = ["container_image", "runtime_class", "tags"];
        assert_eq!(
            did_you_mean("containerImage", known),
            Some("container_image")
        );
        assert_eq!(did_you_mean("runtimeclas", known), Some("runtime_class"));
        assert_eq!(did_you_mean("zebra", known), None);
    }
}
