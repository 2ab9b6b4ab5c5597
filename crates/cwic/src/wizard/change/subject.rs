//! What can be changed in an editor: profiles and runners.

use palisade_client::{CallError, Change, Client};
use palisade_wire::rest::{ProfileTemplate, Runner};
use serde_json::Value;

use super::super::runner_summary::Bindings;
use crate::input::Kind;
use crate::present;

/// Something that exists on the server, and has a document.
pub(super) trait Subject: Sized {
    const KIND: Kind<'static>;
    /// What people call such a thing.
    const NOUN: &'static str;
    /// Whether a change is asked about even if nothing is odd.
    const IS_ASKED: bool;
    /// Where each field of the update mask is in the document, and its path.
    const FIELDS: &'static [(&'static str, &'static str)];
    /// Fields that a document must not lack.
    const REQUIRED: &'static [&'static str];

    fn name(&self) -> String;
    fn version(&self) -> String;
    fn etag(&self) -> &str;
    fn document(&self) -> Value;
    /// More about a change, on lines.
    fn details(&self, wanted: &Value, profiles: &[ProfileTemplate]) -> String;
    async fn fetch(&self, client: &Client) -> Result<Self, CallError>;
    async fn patch(
        &self,
        body: Value,
        mask: &[&str],
        change: &Change,
        client: &Client,
    ) -> Result<Self, CallError>;
}

impl Subject for ProfileTemplate {
    const KIND: Kind<'static> = Kind::ProfileChange;
    const NOUN: &'static str = "profile";
    const IS_ASKED: bool = false;
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("/description", "description"),
        ("/labels", "labels"),
        ("/spec", "spec"),
    ];
    const REQUIRED: &'static [&'static str] = &["display_name", "spec"];

    fn name(&self) -> String {
        self.display_name.clone()
    }

    fn version(&self) -> String {
        format!("revision {}", self.revision)
    }

    fn etag(&self) -> &str {
        &self.etag
    }

    fn document(&self) -> Value {
        super::with(present::profile::document(self), "spec")
    }

    fn details(&self, _wanted: &Value, _profiles: &[ProfileTemplate]) -> String {
        String::new()
    }

    async fn fetch(&self, client: &Client) -> Result<Self, CallError> {
        client.get_profile(&self.id).await
    }

    async fn patch(
        &self,
        body: Value,
        mask: &[&str],
        change: &Change,
        client: &Client,
    ) -> Result<Self, CallError> {
        client.patch_profile(&self.id, body, mask, change).await
    }
}

impl Subject for Runner {
    const KIND: Kind<'static> = Kind::RunnerChange;
    const NOUN: &'static str = "runner";
    const IS_ASKED: bool = true;
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("/display_name", "display_name"),
        ("/identity/zone", "identity.zone"),
        ("/identity/runner_group_id", "identity.runner_group_id"),
        ("/managed_spec", "managed_spec"),
        ("/profile_bindings", "profile_bindings"),
    ];
    const REQUIRED: &'static [&'static str] = &["identity", "profile_bindings"];

    fn name(&self) -> String {
        self.identity.runner_id.clone()
    }

    fn version(&self) -> String {
        format!("revision {}", self.target_revision)
    }

    fn etag(&self) -> &str {
        &self.etag
    }

    fn document(&self) -> Value {
        present::runner::document(self)
    }

    fn details(&self, wanted: &Value, profiles: &[ProfileTemplate]) -> String {
        let wanted = wanted.get("profile_bindings").unwrap_or(&Value::Null);
        let bindings = Bindings::between(&self.profile_bindings, wanted, profiles);
        format!("Its profiles:\n{bindings}")
    }

    async fn fetch(&self, client: &Client) -> Result<Self, CallError> {
        client.get_runner(&self.id).await
    }

    async fn patch(
        &self,
        body: Value,
        mask: &[&str],
        change: &Change,
        client: &Client,
    ) -> Result<Self, CallError> {
        client.patch_runner(&self.id, body, mask, change).await
    }
}
