//! `cwic sandbox profile`.

pub(super) mod create;
pub(super) mod delete;
pub(super) mod describe;
pub(super) mod edit;
pub(super) mod get;
