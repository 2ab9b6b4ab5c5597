//! The line of starts that wait for room, as the wire spells it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Starts of an organization that wait for room, the next one first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StartQueue {
    /// How many wait, those that the caller may not see included.
    pub length: u32,
    /// Those that the caller may see.
    pub waiting: Vec<WaitingStart>,
}

/// A start that waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WaitingStart {
    /// Its place in the line, from 1.
    pub position: u32,
    /// Who started it.
    pub user: String,
    /// For how long it has waited.
    pub waited_seconds: u64,
    /// The reason for which there was no room when it was tried last.
    pub reason: String,
    /// The same as a sentence.
    pub message: String,
    /// The tags that the sandbox is to have.
    pub tags: Vec<String>,
}
