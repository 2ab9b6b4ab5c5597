//! Calls about profiles.

use palisade_wire::rest::{
    ListProfileRevisionsAnswer, ListProfileTemplatesAnswer, ProfileRevision, ProfileTemplate,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::call::{Call, Client};
use crate::error::CallError;

pub(crate) const BASE: [&str; 2] = ["v1beta2", "sandbox"];

pub(crate) const PROFILES: &str = "profile-templates";

/// How many items one page has.
pub(crate) const PAGE_SIZE: usize = 200;

/// How a change is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Whether everything is to be checked and nothing to be changed.
    pub is_dry_run: bool,
    /// The state that the change was made from, by its etag.
    pub etag: Option<String>,
}

impl Change {
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        let dry_run = ("validateOnly", "true".to_owned());
        self.is_dry_run.then_some(dry_run).into_iter().collect()
    }
}

impl Client {
    /// Adds a profile, given in the spelling of the wire.
    pub async fn create_profile(
        &self,
        profile: Value,
        change: &Change,
    ) -> Result<ProfileTemplate, CallError> {
        let body = json!({ "profileTemplate": profile });
        let path = [BASE[0], BASE[1], PROFILES];
        self.write(Call {
            query: change.query(),
            body: Some(&body),
            ..Call::new(Method::POST, &path)
        })
        .await
    }

    /// Returns one profile, by id or display name.
    pub async fn get_profile(&self, id: &str) -> Result<ProfileTemplate, CallError> {
        let path = [BASE[0], BASE[1], PROFILES, id];
        self.read(Call::new(Method::GET, &path)).await
    }

    /// Returns a part of the profiles.
    pub async fn list_profiles_page(
        &self,
        size: usize,
        token: &str,
    ) -> Result<ListProfileTemplatesAnswer, CallError> {
        let path = [BASE[0], BASE[1], PROFILES];
        self.read(Call {
            query: page(size, token),
            ..Call::new(Method::GET, &path)
        })
        .await
    }

    /// Returns all profiles, in the order of their display names.
    pub async fn list_profiles(&self) -> Result<Vec<ProfileTemplate>, CallError> {
        let mut profiles = Vec::new();
        let mut token = String::new();
        loop {
            let page = self.list_profiles_page(PAGE_SIZE, &token).await?;
            profiles.extend(page.profile_templates);
            token = page.next_page_token;
            if token.is_empty() {
                return Ok(profiles);
            }
        }
    }

    /// Changes the fields of a profile that `profile` holds.
    pub async fn update_profile(
        &self,
        id: &str,
        profile: Value,
        change: &Change,
    ) -> Result<ProfileTemplate, CallError> {
        let body = json!({ "profileTemplate": profile });
        self.edit(&[BASE[0], BASE[1], PROFILES, id], &body, change)
            .await
    }

    /// Changes the fields of a profile that `mask` names, to what `profile`
    /// holds; what it lacks of them is emptied.
    pub async fn patch_profile(
        &self,
        id: &str,
        profile: Value,
        mask: &[&str],
        change: &Change,
    ) -> Result<ProfileTemplate, CallError> {
        let body = json!({ "profileTemplate": profile, "updateMask": mask.join(",") });
        self.edit(&[BASE[0], BASE[1], PROFILES, id], &body, change)
            .await
    }

    /// Deletes a profile that no runner binds.
    pub async fn delete_profile(&self, id: &str, change: &Change) -> Result<(), CallError> {
        let path = [BASE[0], BASE[1], PROFILES, id];
        let call = Call {
            query: change.query(),
            if_match: change.etag.as_deref(),
            ..Call::new(Method::DELETE, &path)
        };
        self.write::<Value>(call).await.map(|_| ())
    }

    /// Returns a part of the revisions of a profile, the newest first.
    pub async fn list_profile_revisions_page(
        &self,
        id: &str,
        size: usize,
        token: &str,
    ) -> Result<ListProfileRevisionsAnswer, CallError> {
        let path = [BASE[0], BASE[1], PROFILES, id, "revisions"];
        self.read(Call {
            query: page(size, token),
            ..Call::new(Method::GET, &path)
        })
        .await
    }

    /// Makes a profile say again what it said at an earlier revision.
    pub async fn rollback_profile(
        &self,
        id: &str,
        revision: u32,
        change: &Change,
    ) -> Result<ProfileTemplate, CallError> {
        let revision = revision.to_string();
        let path = [
            BASE[0],
            BASE[1],
            PROFILES,
            id,
            "revisions",
            &revision,
            "rollback",
        ];
        self.write(Call {
            query: change.query(),
            if_match: change.etag.as_deref(),
            ..Call::new(Method::POST, &path)
        })
        .await
    }

    /// Returns a profile as it was at one revision.
    pub async fn get_profile_revision(
        &self,
        id: &str,
        revision: u32,
    ) -> Result<ProfileRevision, CallError> {
        let revision = revision.to_string();
        let path = [BASE[0], BASE[1], PROFILES, id, "revisions", &revision];
        self.read(Call::new(Method::GET, &path)).await
    }
}

pub(crate) fn page(size: usize, token: &str) -> Vec<(&'static str, String)> {
    let mut query = vec![("pageSize", size.to_string())];
    if !token.is_empty() {
        query.push(("pageToken", token.to_owned()));
    }
    query
}
