//! Which fields of a profile an update is about.

use palisade_model::violation::FieldPath;

use super::ProfileEdit;
use crate::field_mask::{self, MaskField};
use crate::spelling::{Finding, PROFILE};

/// A field of a profile that an update can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProfileField {
    /// The description.
    Description,
    /// All labels.
    Labels,
    /// The whole spec.
    Spec,
}

const FIELDS: &[MaskField<ProfileField>] = &[
    MaskField::Mutable("description", &[ProfileField::Description]),
    MaskField::Mutable("labels", &[ProfileField::Labels]),
    MaskField::Mutable("spec", &[ProfileField::Spec]),
    MaskField::Immutable("display_name"),
    MaskField::Immutable("id"),
    MaskField::Immutable("organization_id"),
    MaskField::Immutable("created_at"),
    MaskField::Immutable("updated_at"),
    MaskField::Immutable("revision"),
];

/// Reads the paths of an update mask, which `at` is the place of.
pub fn profile_mask(paths: &[String], at: &FieldPath) -> Result<Vec<ProfileField>, Vec<Finding>> {
    field_mask::read(paths, at, &PROFILE, FIELDS)
}

impl ProfileEdit {
    /// Keeps what the mask names. What it names and the document lacks is
    /// emptied, but for the spec, which must be given.
    pub fn masked(self, mask: &[ProfileField]) -> Result<Self, MissingSpec> {
        let names = |field| mask.contains(&field);
        if names(ProfileField::Spec) && self.spec.is_none() {
            return Err(MissingSpec);
        }
        Ok(Self {
            id: self.id,
            display_name: self.display_name,
            description: names(ProfileField::Description)
                .then(|| self.description.unwrap_or_default()),
            labels: names(ProfileField::Labels).then(|| self.labels.unwrap_or_default()),
            spec: self.spec.filter(|_| names(ProfileField::Spec)),
            etag: self.etag,
        })
    }
}

/// The mask names the spec, and the document has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is named by the update mask but not given; an empty one, {{}}, inherits everything")]
pub struct MissingSpec;
