//! Who asks for a sandbox, and for what.

use crate::sandbox::{Owner, StartRequest};
use crate::tenant::SandboxQuota;

/// A request together with what is known of its caller.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// Who asks; only runners of this organization are considered.
    pub owner: &'a Owner,
    /// What is asked for.
    pub request: &'a StartRequest,
    /// The largest sandbox that the organization may start.
    pub quota: &'a SandboxQuota,
}
