//! The published description of the interface, made from its types.

use axum::Json;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use palisade_wire::document::to_yaml;
use palisade_wire::rest::{
    ApplyUpdateAnswer, Denials, LimitSet, ListChangesAnswer, ListManagedRunnersAnswer,
    ListProfileRevisionsAnswer, ListProfileTemplatesAnswer, ListSecretsAnswer,
    PlacementExplanation, PlacementPreview, ProfileDenials, ProfileRevision, ProfileTemplate,
    PutSecretBody, QuotaLimits, QuotaReport, ResolvedProfile, Runner, RunnerNetwork, StartQueue,
    StoredSecret, Usage,
};
use palisade_wire::status::Status;
use palisade_wire::transcode;
use serde_json::Value;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

/// The interface as an `OpenAPI` document.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Palisade",
        description = "Profiles, runners and bindings under /v1beta2/sandbox; sandboxes and discovery beside it. Every answer that is no success is a google.rpc.Status."
    ),
    paths(
        paths::create_profile, paths::list_profiles, paths::get_profile, paths::update_profile,
        paths::delete_profile, paths::get_profile_denials, paths::list_revisions, paths::get_revision,
        paths::create_runner, paths::list_runners, paths::get_runner, paths::update_runner,
        paths::delete_runner, paths::undrain_runner, paths::apply_update, paths::roll_back, paths::profile_usage,
        paths::resolved, paths::preview_profile, paths::runner_usage, paths::preview_runner,
        paths::put_secret, paths::list_secrets, paths::delete_secret,
        paths::explain, paths::get_queue, paths::get_quota, paths::get_quota_limits, paths::set_quota_of_each_user,
        paths::set_quota_of_user, paths::remove_quota_of_user, paths::get_runner_network,
        paths::get_sandbox_denials, paths::list_changes, paths::healthz, paths::livez, paths::readyz,
    ),
    modifiers(&Token),
    security(("token" = [])),
)]
pub struct OpenApiDocument;

impl OpenApiDocument {
    /// The description as JSON, with what the gateway serves beside this.
    pub fn value() -> Value {
        let mut document = serde_json::to_value(Self::openapi()).unwrap_or_default();
        for (pointer, more) in [
            ("/paths", transcode::paths()),
            ("/components/schemas", transcode::components()),
        ] {
            if let Some(Value::Object(known)) = document.pointer_mut(pointer) {
                known.extend(more);
            }
        }
        document
    }

    /// The description as text, as it is kept beside the code.
    pub fn text() -> String {
        let mut text = serde_json::to_string_pretty(&Self::value()).unwrap_or_default();
        text.push('\n');
        text
    }
}

struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        if let Some(components) = openapi.components.as_mut() {
            components.add_security_scheme("token", scheme);
        }
    }
}

pub(super) async fn json() -> Response {
    Json(OpenApiDocument::value()).into_response()
}

pub(super) async fn yaml() -> Response {
    let text = to_yaml(&OpenApiDocument::value());
    ([(CONTENT_TYPE, "application/yaml")], text).into_response()
}

/// One function for each operation, for what is written above it.
///
/// They stand apart from the handlers, whose answers are built by hand and
/// which would drown in these lines; a test asks the router for each path.
#[expect(dead_code, reason = "only their attributes are used")]
mod paths {
    use super::{
        ApplyUpdateAnswer, Denials, LimitSet, ListChangesAnswer, ListManagedRunnersAnswer,
        ListProfileRevisionsAnswer, ListProfileTemplatesAnswer, ListSecretsAnswer,
        PlacementExplanation, PlacementPreview, ProfileDenials, ProfileRevision, ProfileTemplate,
        PutSecretBody, QuotaLimits, QuotaReport, ResolvedProfile, Runner, RunnerNetwork,
        StartQueue, Status, StoredSecret, Usage,
    };

    /// What most changes may say.
    #[derive(utoipa::IntoParams)]
    #[into_params(parameter_in = Query)]
    struct ValidateOnly {
        /// Check everything and change nothing
        #[param(rename = "validateOnly")]
        is_dry_run: Option<bool>,
    }

    /// What those of something present may say.
    #[derive(utoipa::IntoParams)]
    #[into_params(parameter_in = Header)]
    struct IfMatch {
        /// The etag that the change was made from
        #[param(rename = "If-Match")]
        etag: Option<String>,
    }

    /// Wait for changes of profiles, runners and sandboxes
    ///
    /// Without a place it is answered at once, with the one to begin at: take
    /// that, read what is of interest, and ask for what is behind it.
    #[utoipa::path(
        get, path = "/v1beta2/sandbox/changes", tag = "changes",
        params(
            ("after" = Option<String>, Query, description = "The place of the answer before"),
            ("waitSeconds" = Option<u32>, Query, description = "How long to wait if there are none, at most 25"),
        ),
        responses(
            (status = 200, body = ListChangesAnswer), (status = 400, body = Status), (status = 401, body = Status),
            (status = 429, description = "Too many wait already", body = Status),
        ),
    )]
    fn list_changes() {}

    /// Create a profile
    #[utoipa::path(
        post, path = "/v1beta2/sandbox/profile-templates", tag = "profiles",
        params(ValidateOnly),
        request_body(content = ProfileTemplate, description = "The profile, or {\"profileTemplate\": profile}"),
        responses(
            (status = 200, body = ProfileTemplate, headers(("ETag", description = "Names the present state"))),
            (status = 400, body = Status), (status = 401, body = Status), (status = 403, body = Status),
            (status = 409, description = "The display name is taken", body = Status), (status = 429, body = Status),
        ),
    )]
    fn create_profile() {}

    /// List profiles, in the order of their display names
    #[utoipa::path(
        get, path = "/v1beta2/sandbox/profile-templates", tag = "profiles",
        params(
            ("pageSize" = Option<u32>, Query, description = "At most 1000; 0 means 100"),
            ("pageToken" = Option<String>, Query, description = "From the page before"),
        ),
        responses((status = 200, body = ListProfileTemplatesAnswer), (status = 400, body = Status), (status = 401, body = Status)),
    )]
    fn list_profiles() {}

    /// Get a profile
    #[utoipa::path(
        get, path = "/v1beta2/sandbox/profile-templates/{id}", tag = "profiles",
        params(("id" = String, Path, description = "Its id or display name")),
        responses((status = 200, body = ProfileTemplate), (status = 401, body = Status), (status = 404, body = Status)),
    )]
    fn get_profile() {}

    /// Update a profile
    ///
    /// Without a mask, the fields that the body holds are replaced.
    #[utoipa::path(
        patch, path = "/v1beta2/sandbox/profile-templates/{id}", tag = "profiles",
        params(
            ("id" = String, Path, description = "Its id or display name"),
            ("updateMask" = Option<String>, Query, description = "Any of description, labels, spec"),
            ValidateOnly, IfMatch,
        ),
        request_body(content = ProfileTemplate, description = "The profile, or {\"profileTemplate\": profile, \"updateMask\": paths}"),
        responses(
            (status = 200, body = ProfileTemplate), (status = 400, body = Status), (status = 401, body = Status),
            (status = 403, body = Status), (status = 404, body = Status),
            (status = 409, description = "The profile changed since it was read", body = Status),
        ),
    )]
    fn update_profile() {}

    /// Delete a profile that no runner binds
    #[utoipa::path(
        delete, path = "/v1beta2/sandbox/profile-templates/{id}", tag = "profiles",
        params(
            ("id" = String, Path, description = "Its id or display name"),
            ValidateOnly,
            ("If-Match" = Option<String>, Header, description = "The etag that was read"),
        ),
        responses(
            (status = 200, body = Value), (status = 401, body = Status), (status = 403, body = Status),
            (status = 404, body = Status), (status = 409, description = "Runners bind it", body = Status),
        ),
    )]
    fn delete_profile() {}

    /// List the revisions of a profile, the newest first
    #[utoipa::path(
        get, path = "/v1beta2/sandbox/profile-templates/{id}/revisions", tag = "profiles",
        params(
            ("id" = String, Path, description = "Its id or display name; of a deleted profile, its id"),
            ("pageSize" = Option<u32>, Query, description = "At most 1000; 0 means 100"),
            ("pageToken" = Option<String>, Query, description = "From the page before"),
        ),
        responses((status = 200, body = ListProfileRevisionsAnswer), (status = 401, body = Status), (status = 404, body = Status)),
    )]
    fn list_revisions() {}

    /// Get a profile as it was at one revision
    #[utoipa::path(
        get, path = "/v1beta2/sandbox/profile-templates/{id}/revisions/{revision}", tag = "profiles",
        params(
            ("id" = String, Path, description = "Its id or display name; of a deleted profile, its id"),
            ("revision" = u32, Path, description = "The number of the revision"),
        ),
        responses((status = 200, body = ProfileRevision), (status = 401, body = Status), (status = 404, body = Status)),
    )]
    fn get_revision() {}

    /// Go back to what an earlier revision said, as a new revision
    #[utoipa::path(
        post, path = "/v1beta2/sandbox/profile-templates/{id}/revisions/{revision}/rollback", tag = "profiles",
        params(
            ("id" = String, Path, description = "Its id or display name"),
            ("revision" = u32, Path, description = "The number of the earlier revision"),
            ValidateOnly,
            ("If-Match" = Option<String>, Header, description = "The etag that was read"),
        ),
        responses(
            (status = 200, body = ProfileTemplate), (status = 400, body = Status), (status = 401, body = Status),
            (status = 403, body = Status), (status = 404, body = Status),
            (status = 409, description = "The profile changed since it was read", body = Status),
        ),
    )]
    fn roll_back() {}

    /// Tell who binds a profile, and which sandboxes live under it
    #[utoipa::path(
        get, path = "/v1beta2/sandbox/profile-templates/{id}/usage", tag = "profiles",
        params(("id" = String, Path, description = "Its id or display name")),
        responses((status = 200, body = Usage), (status = 401, body = Status), (status = 404, body = Status)),
    )]
    fn profile_usage() {}

    /// Tell what a profile is on one runner, and which layer each field came from
    #[utoipa::path(
        get, path = "/v1beta2/sandbox/profile-templates/{id}/resolved", tag = "profiles",
        params(
            ("id" = String, Path, description = "Its id or display name"),
            ("runner" = String, Query, description = "The uid of the runner, or the id that its operator chose"),
        ),
        responses(
            (status = 200, body = ResolvedProfile), (status = 400, description = "The runner does not bind it, or its layers do not go together", body = Status),
            (status = 401, body = Status), (status = 404, body = Status),
        ),
    )]
    fn resolved() {}

    /// Tell what runners would make of a profile after a change, and change nothing
    #[utoipa::path(
        post, path = "/v1beta2/sandbox/profile-templates/{id}/preview", tag = "profiles",
        params(
            ("id" = String, Path, description = "Its id or display name"),
            ("updateMask" = Option<String>, Query, description = "Any of description, labels, spec"),
            IfMatch,
        ),
        request_body(content = ProfileTemplate, description = "As for an update"),
        responses(
            (status = 200, body = PlacementPreview), (status = 400, body = Status), (status = 401, body = Status),
            (status = 403, body = Status), (status = 404, body = Status),
        ),
    )]
    fn preview_profile() {}

    /// Tell which profiles a runner binds, and which sandboxes live on it
    #[utoipa::path(
        get, path = "/v1beta2/sandbox/managed-runners/{id}/usage", tag = "runners",
        params(("id" = String, Path, description = "Its uid, or the id that its operator chose")),
        responses((status = 200, body = Usage), (status = 401, body = Status), (status = 404, body = Status)),
    )]
    fn runner_usage() {}

    /// Tell what a runner would make of its profiles after a change, and change nothing
    #[utoipa::path(
        post, path = "/v1beta2/sandbox/managed-runners/{id}/preview", tag = "runners",
        params(
            ("id" = String, Path, description = "Its uid, or the id that its operator chose"),
            ("updateMask" = Option<String>, Query, description = "As for an update"),
            IfMatch,
        ),
        request_body(content = Runner, description = "As for an update"),
        responses(
            (status = 200, body = PlacementPreview), (status = 400, body = Status), (status = 401, body = Status),
            (status = 403, body = Status), (status = 404, body = Status),
        ),
    )]
    fn preview_runner() {}

    /// Tell where a request for a sandbox would go now, and why
    ///
    /// The body is a `StartSandboxRequest` without files, secrets, buckets and
    /// volumes. It is judged as a launch by the caller would be; nothing is
    /// started or set aside.
    #[utoipa::path(
        post, path = "/v1beta2/sandbox/placement/explain", tag = "placement",
        request_body(content = Object, description = "The request"),
        responses((status = 200, body = PlacementExplanation), (status = 400, body = Status), (status = 401, body = Status)),
    )]
    fn explain() {}

    /// List the starts that wait for room
    ///
    /// Members see their own, administrators those of all; the next one is first.
    #[utoipa::path(
        get, path = "/v1beta2/sandbox/queue", tag = "quotas",
        responses((status = 200, body = StartQueue), (status = 400, body = Status), (status = 401, body = Status)),
    )]
    fn get_queue() {}

    /// Tell what an organization and a user may have, and what they do have
    #[utoipa::path(
        get, path = "/v1beta2/sandbox/quota", tag = "quotas",
        params(("user" = Option<String>, Query, description = "Another user than the caller; for administrators")),
        responses((status = 200, body = QuotaReport), (status = 400, body = Status), (status = 401, body = Status), (status = 403, body = Status)),
    )]
    fn get_quota() {}

    /// Tell what was set for the organization and for its users; for administrators
    #[utoipa::path(
        get, path = "/v1beta2/sandbox/quota/limits", tag = "quotas",
        responses(
            (status = 200, body = QuotaLimits, headers(("ETag", description = "Names the present state"))),
            (status = 401, body = Status), (status = 403, body = Status),
        ),
    )]
    fn get_quota_limits() {}

    /// Replace the limits of every user that has none of his own
    ///
    /// What the body leaves out is not limited. No limit may be beyond that of the
    /// organization, which only whoever runs the platform sets.
    #[utoipa::path(
        put, path = "/v1beta2/sandbox/quota/limits/each-user", tag = "quotas",
        params(
            ValidateOnly, IfMatch,
        ),
        request_body(content = LimitSet),
        responses(
            (status = 200, body = QuotaLimits, headers(("ETag", description = "Names the present state"))),
            (status = 400, description = "A limit is beyond that of the organization, among others", body = Status),
            (status = 401, body = Status), (status = 403, body = Status),
            (status = 409, description = "The quota changed since it was read", body = Status),
        ),
    )]
    fn set_quota_of_each_user() {}

    /// Replace the limits of one user, which stand in the place of those of every user
    #[utoipa::path(
        put, path = "/v1beta2/sandbox/quota/limits/users/{user}", tag = "quotas",
        params(
            ("user" = String, Path, description = "The name of the user"),
            ValidateOnly, IfMatch,
        ),
        request_body(content = LimitSet),
        responses(
            (status = 200, body = QuotaLimits, headers(("ETag", description = "Names the present state"))),
            (status = 400, description = "A limit is beyond that of the organization, among others", body = Status),
            (status = 401, body = Status), (status = 403, body = Status),
            (status = 409, description = "The quota changed since it was read", body = Status),
        ),
    )]
    fn set_quota_of_user() {}

    /// Take the limits of one user away, so that those of every user hold
    #[utoipa::path(
        delete, path = "/v1beta2/sandbox/quota/limits/users/{user}", tag = "quotas",
        params(
            ("user" = String, Path, description = "The name of the user"),
            ValidateOnly, IfMatch,
        ),
        responses(
            (status = 200, body = QuotaLimits, headers(("ETag", description = "Names the present state"))),
            (status = 400, body = Status), (status = 401, body = Status), (status = 403, body = Status),
            (status = 409, description = "The quota changed since it was read", body = Status),
        ),
    )]
    fn remove_quota_of_user() {}

    /// Put the value of a secret into a store, or replace it
    #[utoipa::path(
        put, path = "/v1beta2/sandbox/secret-stores/{store}/secrets", tag = "secrets",
        params(("store" = String, Path, description = "The name of a store that this server keeps")),
        request_body(content = PutSecretBody),
        responses(
            (status = 200, description = "The secret without its value", body = StoredSecret), (status = 400, body = Status),
            (status = 401, body = Status), (status = 403, body = Status), (status = 404, body = Status),
            (status = 429, description = "The store is full", body = Status),
        ),
    )]
    fn put_secret() {}

    /// List the secrets of a store, without their values
    #[utoipa::path(
        get, path = "/v1beta2/sandbox/secret-stores/{store}/secrets", tag = "secrets",
        params(
            ("store" = String, Path, description = "The name of a store that this server keeps"),
            ("pageSize" = Option<u32>, Query, description = "How many at most; 100 by default, 1000 at most"),
            ("pageToken" = Option<String>, Query, description = "The nextPageToken of the page before"),
        ),
        responses((status = 200, body = ListSecretsAnswer), (status = 400, body = Status), (status = 401, body = Status), (status = 403, body = Status), (status = 404, body = Status)),
    )]
    fn list_secrets() {}

    /// Delete a secret for good
    #[utoipa::path(
        delete, path = "/v1beta2/sandbox/secret-stores/{store}/secrets", tag = "secrets",
        params(
            ("store" = String, Path, description = "The name of a store that this server keeps"),
            ("path" = String, Query, description = "Which secret"),
            ("field" = Option<String>, Query, description = "Its field, if it is one"),
        ),
        responses((status = 200), (status = 400, body = Status), (status = 401, body = Status), (status = 403, body = Status), (status = 404, body = Status)),
    )]
    fn delete_secret() {}

    /// Count what was refused to the sandboxes of a profile on the network
    #[utoipa::path(
        get, path = "/v1beta2/sandbox/profile-templates/{id}/denials", tag = "profiles",
        params(("id" = String, Path, description = "Its id or display name")),
        responses((status = 200, body = ProfileDenials), (status = 401, body = Status), (status = 404, body = Status)),
    )]
    fn get_profile_denials() {}

    /// Tell what was refused to a sandbox on the network
    #[utoipa::path(
        get, path = "/v1beta2/sandbox/sandboxes/{id}/denials", tag = "sandboxes",
        params(("id" = String, Path, description = "Its id")),
        responses(
            (status = 200, body = Denials), (status = 401, body = Status), (status = 404, body = Status),
            (status = 501, description = "The runner of the sandbox cannot tell what it refuses", body = Status),
        ),
    )]
    fn get_sandbox_denials() {}

    /// Create a runner
    #[utoipa::path(
        post, path = "/v1beta2/sandbox/managed-runners", tag = "runners",
        params(ValidateOnly),
        request_body(content = Runner, description = "The runner, or {\"runnerId\": id, \"runner\": runner}"),
        responses(
            (status = 200, body = Runner), (status = 400, body = Status), (status = 401, body = Status),
            (status = 403, body = Status), (status = 409, description = "The id is taken, or the cluster has a runner", body = Status),
        ),
    )]
    fn create_runner() {}

    /// List runners, in the order of their ids
    #[utoipa::path(
        get, path = "/v1beta2/sandbox/managed-runners", tag = "runners",
        params(
            ("pageSize" = Option<u32>, Query, description = "At most 1000; 0 means 100"),
            ("pageToken" = Option<String>, Query, description = "From the page before"),
            ("cluster" = Option<String>, Query, description = "Only those of this cluster, by name"),
            ("zone" = Option<String>, Query, description = "Only those in this zone"),
        ),
        responses((status = 200, body = ListManagedRunnersAnswer), (status = 400, body = Status), (status = 401, body = Status)),
    )]
    fn list_runners() {}

    /// Get a runner
    #[utoipa::path(
        get, path = "/v1beta2/sandbox/managed-runners/{id}", tag = "runners",
        params(("id" = String, Path, description = "Its uid, or the id that its operator chose")),
        responses((status = 200, body = Runner), (status = 401, body = Status), (status = 404, body = Status)),
    )]
    fn get_runner() {}

    /// Update a runner; its list of bindings is replaced as a whole
    #[utoipa::path(
        patch, path = "/v1beta2/sandbox/managed-runners/{id}", tag = "runners",
        params(
            ("id" = String, Path, description = "Its uid, or the id that its operator chose"),
            ("updateMask" = Option<String>, Query, description = "Any of display_name, identity.zone, identity.runner_group_id, managed_spec and what is in it, profile_bindings"),
            ValidateOnly, IfMatch,
        ),
        request_body(content = Runner, description = "The runner, or {\"runner\": runner, \"updateMask\": paths}"),
        responses(
            (status = 200, body = Runner), (status = 400, body = Status), (status = 401, body = Status),
            (status = 403, body = Status), (status = 404, body = Status),
            (status = 409, description = "The runner changed since it was read, or is being deleted", body = Status),
        ),
    )]
    fn update_runner() {}

    /// Delete a runner
    ///
    /// One on which sandboxes live is deleted only by force or after a drain: it
    /// is answered as it is, takes no new sandbox, and is gone once they ended.
    #[utoipa::path(
        delete, path = "/v1beta2/sandbox/managed-runners/{id}", tag = "runners",
        params(
            ("id" = String, Path, description = "Its uid, or the id that its operator chose"),
            ("force" = Option<bool>, Query, description = "End the sandboxes that live on it now"),
            ("drain" = Option<u32>, Query, description = "Let the sandboxes that live on it end by themselves for so many seconds, then end them"),
            ValidateOnly,
            ("If-Match" = Option<String>, Header, description = "The etag that was read"),
        ),
        responses(
            (status = 200, body = Runner), (status = 401, body = Status), (status = 403, body = Status),
            (status = 404, body = Status), (status = 409, description = "Sandboxes live on it", body = Status),
        ),
    )]
    fn delete_runner() {}

    /// Take the drain of a runner back
    ///
    /// Until its end has come, the runner is kept and takes sandboxes again.
    #[utoipa::path(
        post, path = "/v1beta2/sandbox/managed-runners/{id}/undrain", tag = "runners",
        params(("id" = String, Path, description = "Its uid, or the id that its operator chose")),
        responses(
            (status = 200, body = Runner), (status = 401, body = Status), (status = 403, body = Status), (status = 404, body = Status),
            (status = 409, description = "Its sandboxes end now", body = Status),
        ),
    )]
    fn undrain_runner() {}

    /// Apply an update to a runner
    #[utoipa::path(
        post, path = "/v1beta2/sandbox/managed-runners/{id}/apply-update", tag = "runners",
        params(("id" = String, Path, description = "Its uid, or the id that its operator chose")),
        responses((status = 200, body = ApplyUpdateAnswer), (status = 401, body = Status), (status = 404, body = Status)),
    )]
    fn apply_update() {}

    /// Get what a runner makes of the network of a profile, and what lies around it
    #[utoipa::path(
        get, path = "/v1beta2/sandbox/managed-runners/{id}/network", tag = "runners",
        params(
            ("id" = String, Path, description = "Its uid, or the id that its operator chose"),
            ("profile" = String, Query, description = "The id or name of a profile that it binds"),
        ),
        responses(
            (status = 200, body = RunnerNetwork), (status = 400, body = Status), (status = 401, body = Status),
            (status = 403, body = Status), (status = 404, body = Status),
            (status = 503, description = "The runner is not connected", body = Status),
        ),
    )]
    fn get_runner_network() {}

    /// Say that the process answers
    #[utoipa::path(get, path = "/healthz", tag = "probes", security(()), responses((status = 200, body = Value)))]
    fn healthz() {}

    /// Say that the process answers
    #[utoipa::path(get, path = "/livez", tag = "probes", security(()), responses((status = 200, body = Value)))]
    fn livez() {}

    /// Say whether the store answers too
    #[utoipa::path(
        get, path = "/readyz", tag = "probes", security(()),
        responses((status = 200, body = Value), (status = 503, body = Status)),
    )]
    fn readyz() {}
}
