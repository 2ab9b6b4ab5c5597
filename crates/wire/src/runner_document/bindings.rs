//! The bindings of a runner as documents hold them.

use std::fmt;
use std::str::FromStr;

use palisade_model::document::{Node as Place, Reader};
use palisade_model::id::ProfileId;
use palisade_model::name::{DisplayName, NameError, ProfileName};
use palisade_model::profile::form;
use palisade_model::runner::{Bindings, BindingsError, SpecPatch};
use palisade_model::violation::{FieldPath, Violation, ViolationKind};

use crate::located::{refuse_all, required};

/// A profile that a runner is to offer.
#[derive(Clone, Debug, PartialEq)]
pub struct BindingDraft {
    /// The profile, by id or display name.
    pub profile: ProfileChoice,
    /// The name it gets on the runner.
    pub alias: Option<ProfileName>,
    /// Whether it serves requests that name no profile.
    pub is_default: bool,
    /// Changes to the spec for this runner.
    pub overrides: Option<SpecPatch>,
}

/// A profile, by the one of its names that the caller used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileChoice {
    /// By its id. A text that looks like one is never a name here.
    Id(ProfileId),
    /// By its display name.
    Name(DisplayName),
}

impl FromStr for ProfileChoice {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.parse() {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) => text.parse().map(Self::Name),
        }
    }
}

impl fmt::Display for ProfileChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// The canonical path of a binding, or of a field of it.
pub fn binding_path(index: usize, field: Option<&str>) -> FieldPath {
    let path = FieldPath::root().key("profile_bindings").index(index);
    field.map_or_else(|| path.clone(), |field| path.key(field))
}

/// A broken rule about the list as a violation at the canonical place of it.
pub fn bindings_violation(error: &BindingsError) -> Violation {
    let list = FieldPath::root().key("profile_bindings");
    let (path, kind) = match error {
        BindingsError::Empty | BindingsError::NoDefault => (list, ViolationKind::Required),
        BindingsError::TooMany { .. } => (list, ViolationKind::TooMany),
        BindingsError::SecondDefault { index } => (
            binding_path(*index, Some("is_default")),
            ViolationKind::Conflict,
        ),
        BindingsError::DuplicateProfile { index, .. } => (
            binding_path(*index, Some("profile_template_id")),
            ViolationKind::Duplicate,
        ),
        BindingsError::DuplicateName { index, .. } => (
            binding_path(*index, Some("profile_name")),
            ViolationKind::Duplicate,
        ),
    };
    Violation::new(path, kind, error.to_string())
}

/// Reads the list; whether its items go together is not looked at.
pub(super) fn read(node: &Place<'_>, reader: &mut Reader) -> Option<Vec<BindingDraft>> {
    let items = reader.items(node, Bindings::LEN_MAX)?;
    let bindings = items.iter().filter_map(|item| binding(item, reader));
    Some(bindings.collect())
}

fn binding(node: &Place<'_>, reader: &mut Reader) -> Option<BindingDraft> {
    const KEYS: [&str; 4] = [
        "profile_template_id",
        "profile_name",
        "is_default",
        "overrides_json",
    ];
    let fields = reader.fields(node, &KEYS)?;
    let what = "is required; it names the profile, by id or display name";
    let profile = required(&fields, "profile_template_id", reader, what)
        .and_then(|node| reader.parsed(&node));
    // Protobuf has no absent text: an empty alias is none.
    let alias = (fields.get("profile_name"))
        .filter(|node| node.value() != "")
        .and_then(|node| reader.parsed(&node));
    let is_default = (fields.get("is_default")).and_then(|node| reader.boolean(&node));
    let overrides = (fields.get("overrides_json")).and_then(|node| patch(&node, reader));
    Some(BindingDraft {
        profile: profile?,
        alias,
        is_default: is_default.unwrap_or_default(),
        overrides: overrides.filter(|patch| !patch.as_map().is_empty()),
    })
}

fn patch(node: &Place<'_>, reader: &mut Reader) -> Option<SpecPatch> {
    match form::decode_patch(node.value()) {
        Ok(patch) => Some(patch),
        Err(violations) => {
            refuse_all(reader, &node.path(), violations);
            None
        }
    }
}
