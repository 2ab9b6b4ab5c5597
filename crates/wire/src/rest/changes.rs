//! What changed since somebody looked.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Changes behind a place, and the place behind them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ListChangesAnswer {
    /// Where to go on; means nothing to a caller.
    pub place: String,
    /// Whether more changed than is told, because the place that was given is
    /// older than what is kept: everything is to be read again.
    pub is_gap: bool,
    /// What to read again.
    pub changes: Vec<ChangedObject>,
}

/// A thing that is new, changed, or gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangedObject {
    /// What it is.
    pub kind: ChangedKind,
    /// Its identity.
    pub id: String,
}

/// What a changed thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ChangedKind {
    /// A profile.
    Profile,
    /// A runner.
    Runner,
    /// A sandbox.
    Sandbox,
    /// Something that a later version tells of.
    #[serde(other)]
    Unknown,
}
