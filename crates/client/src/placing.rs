//! Calls about what placement would do, and about what is in use.

use palisade_wire::rest::{PlacementExplanation, PlacementPreview, ResolvedProfile, Usage};
use reqwest::Method;
use serde_json::{Value, json};

use crate::call::{Call, Client};
use crate::error::CallError;
use crate::profiles::{BASE, PROFILES};
use crate::runners::RUNNERS;

impl Client {
    /// Tells where a request for a sandbox would go now, and why. The request is
    /// a `StartSandboxRequest` without files, secrets, buckets and volumes.
    pub async fn explain_placement(
        &self,
        request: &Value,
    ) -> Result<PlacementExplanation, CallError> {
        let path = [BASE[0], BASE[1], "placement", "explain"];
        self.read(Call {
            body: Some(request),
            ..Call::new(Method::POST, &path)
        })
        .await
    }

    /// Tells what a profile is on a runner that binds it, and which layer each
    /// field came from.
    pub async fn resolved_profile(
        &self,
        profile: &str,
        runner: &str,
    ) -> Result<ResolvedProfile, CallError> {
        let path = [BASE[0], BASE[1], PROFILES, profile, "resolved"];
        self.read(Call {
            query: vec![("runner", runner.to_owned())],
            ..Call::new(Method::GET, &path)
        })
        .await
    }

    /// Tells what runners would make of a profile after a change.
    pub async fn preview_profile(
        &self,
        id: &str,
        profile: &Value,
    ) -> Result<PlacementPreview, CallError> {
        let body = json!({ "profileTemplate": profile });
        let path = [BASE[0], BASE[1], PROFILES, id, "preview"];
        self.read(Call {
            body: Some(&body),
            ..Call::new(Method::POST, &path)
        })
        .await
    }

    /// Tells what a runner would make of its profiles after a change.
    pub async fn preview_runner(
        &self,
        id: &str,
        runner: &Value,
    ) -> Result<PlacementPreview, CallError> {
        let body = json!({ "runner": runner });
        let path = [BASE[0], BASE[1], RUNNERS, id, "preview"];
        self.read(Call {
            body: Some(&body),
            ..Call::new(Method::POST, &path)
        })
        .await
    }

    /// Tells who binds a profile, and which sandboxes live under it.
    pub async fn profile_usage(&self, id: &str) -> Result<Usage, CallError> {
        let path = [BASE[0], BASE[1], PROFILES, id, "usage"];
        self.read(Call::new(Method::GET, &path)).await
    }

    /// Tells which profiles a runner binds, which sandboxes live on it, and how
    /// its deletion goes.
    pub async fn runner_usage(&self, id: &str) -> Result<Usage, CallError> {
        let path = [BASE[0], BASE[1], RUNNERS, id, "usage"];
        self.read(Call::new(Method::GET, &path)).await
    }
}
