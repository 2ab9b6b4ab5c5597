//! Profiles as people and programs write them.
//!
//! A [`ProfileDraft`] makes a new profile; a [`ProfileEdit`] changes one and
//! holds only what the document named. Fields that the server assigns are
//! refused in a draft. In an edit, where documents come from an earlier answer,
//! they are passed over, but `id` and `display_name` must not contradict.

use std::collections::BTreeMap;

use palisade_model::document::{Fields, Node as Place, Reader};
use palisade_model::id::ProfileId;
use palisade_model::label;
use palisade_model::name::DisplayName;
use palisade_model::profile::{Profile, ProfileSpec, form};
use palisade_model::violation::{FieldPath, ViolationKind};
use serde_json::{Map, Value};

use crate::document::Node;
use crate::located::{Located, Source, read, refuse_all, required};
use crate::spelling::{Finding, PROFILE};

mod mask;

pub use mask::{MissingSpec, ProfileField, profile_mask};

/// The longest description, in characters.
pub const DESCRIPTION_LEN_MAX: usize = 4096;

/// The longest value of a label of a profile, in characters.
pub const LABEL_VALUE_LEN_MAX: usize = 256;

/// A profile that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileDraft {
    /// What people call it.
    pub display_name: DisplayName,
    /// Free text for people.
    pub description: String,
    /// Labels of the owner.
    pub labels: BTreeMap<String, String>,
    /// The guardrails.
    pub spec: ProfileSpec,
}

/// What a document says about a profile that exists. Absent fields stay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileEdit {
    /// Which profile it is about, if it says so.
    pub id: Option<ProfileId>,
    /// What the profile is called, which cannot be changed.
    pub display_name: Option<DisplayName>,
    /// Free text for people.
    pub description: Option<String>,
    /// All labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// The whole spec.
    pub spec: Option<ProfileSpec>,
    /// Which state of the profile the edit was made from.
    pub etag: Option<String>,
}

const FIELDS: [&str; 10] = [
    "id",
    "organization_id",
    "display_name",
    "description",
    "labels",
    "spec",
    "created_at",
    "updated_at",
    "revision",
    "etag",
];

/// The fields that only the server sets.
pub const OUTPUT_ONLY: [&str; 6] = [
    "id",
    "organization_id",
    "created_at",
    "updated_at",
    "revision",
    "etag",
];

/// Reads a profile that is to be made.
pub fn read_profile_draft(
    node: &Node,
    source: &Source,
) -> Result<Located<ProfileDraft>, Vec<Finding>> {
    read(node, &PROFILE, source, |root, reader| {
        let fields = reader.fields(root, &FIELDS)?;
        refuse_output_only(reader, &fields, &OUTPUT_ONLY);
        let what = "is required; it must be unique in the organization";
        let display_name =
            required(&fields, "display_name", reader, what).and_then(|node| reader.parsed(&node));
        let what = "is required; an empty one, {}, inherits everything";
        required(&fields, "spec", reader, what);
        let common = Common::read(&fields, reader);
        Some(ProfileDraft {
            display_name: display_name?,
            description: common.description.unwrap_or_default(),
            labels: common.labels.unwrap_or_default(),
            spec: common.spec?,
        })
    })
}

/// Reads a change of a profile.
///
/// A description or labels that are `null` are emptied; a spec is not, since
/// that would take every guardrail away in passing.
pub fn read_profile_edit(
    node: &Node,
    source: &Source,
) -> Result<Located<ProfileEdit>, Vec<Finding>> {
    read(node, &PROFILE, source, |root, reader| {
        let fields = reader.fields(root, &FIELDS)?;
        let given_null = |key| root.value().get(key).is_some_and(Value::is_null);
        if given_null("spec") {
            let what = "must not be null; an empty one, {}, inherits everything";
            reader.refuse_at(fields.path_of("spec"), ViolationKind::Required, what);
        }
        let id = fields.get("id").and_then(|node| reader.parsed(&node));
        let display_name = (fields.get("display_name")).and_then(|node| reader.parsed(&node));
        let etag = (fields.get("etag"))
            .and_then(|node| reader.text(&node))
            .map(str::to_owned);
        let common = Common::read(&fields, reader);
        Some(ProfileEdit {
            id,
            display_name,
            description: (common.description)
                .or_else(|| given_null("description").then(String::new)),
            labels: (common.labels).or_else(|| given_null("labels").then(BTreeMap::new)),
            spec: common.spec,
            etag,
        })
    })
}

/// The profile as people write it, ready to be edited and sent back.
pub fn write_profile(profile: &Profile) -> Map<String, Value> {
    let Profile {
        id,
        organization: _,
        display_name,
        description,
        labels,
        spec,
        revision: _,
        created_at: _,
        updated_at: _,
    } = profile;
    let mut map = Map::new();
    map.insert("id".to_owned(), id.to_string().into());
    map.insert("display_name".to_owned(), display_name.as_str().into());
    if !description.is_empty() {
        map.insert("description".to_owned(), description.as_str().into());
    }
    if !labels.is_empty() {
        map.insert("labels".to_owned(), crate::rest::strings(labels));
    }
    map.insert("spec".to_owned(), Value::Object(form::encode(spec)));
    map
}

/// What drafts and edits have in common.
struct Common {
    description: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    spec: Option<ProfileSpec>,
}

impl Common {
    fn read(fields: &Fields<'_>, reader: &mut Reader) -> Self {
        Self {
            description: (fields.get("description")).and_then(|node| description(&node, reader)),
            labels: fields.get("labels").map(|node| labels(&node, reader)),
            spec: fields.get("spec").and_then(|node| spec(&node, reader)),
        }
    }
}

fn description(node: &Place<'_>, reader: &mut Reader) -> Option<String> {
    let text = reader.text(node)?;
    let len = text.chars().count();
    if !reader.is_within(node, len, DESCRIPTION_LEN_MAX, "characters") {
        return None;
    }
    if text
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
    {
        let what = "must not contain control characters";
        reader.refuse(node, ViolationKind::Invalid, what);
        return None;
    }
    Some(text.to_owned())
}

/// Labels of the owner: keys as in Kubernetes, values in free text.
fn labels(node: &Place<'_>, reader: &mut Reader) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (key, node) in reader.entries(node, form::LABELS_MAX).unwrap_or_default() {
        let Some(value) = reader.text(&node) else {
            continue;
        };
        let len = value.chars().count();
        reader.is_within(&node, len, LABEL_VALUE_LEN_MAX, "characters");
        let key_is_sound = reader.accept(&node, label::check_annotation_key(key));
        if value.chars().any(char::is_control) {
            let what = "must not contain control characters";
            reader.refuse(&node, ViolationKind::Invalid, what);
        } else if key_is_sound.is_some() {
            labels.insert(key.to_owned(), value.to_owned());
        }
    }
    labels
}

fn spec(node: &Place<'_>, reader: &mut Reader) -> Option<ProfileSpec> {
    match form::decode(node.value()) {
        Ok(spec) => Some(spec),
        Err(violations) => {
            refuse_all(reader, &node.path(), violations);
            None
        }
    }
}

/// Notes every field that a caller cannot set.
pub(crate) fn refuse_output_only(reader: &mut Reader, fields: &Fields<'_>, keys: &[&str]) {
    for key in keys {
        if fields.get(key).is_some() {
            let path: FieldPath = fields.path_of(key);
            let what = "is set by the server; leave it out";
            reader.refuse_at(path, ViolationKind::ReadOnly, what);
        }
    }
}

#[cfg(test)]
mod tests;
