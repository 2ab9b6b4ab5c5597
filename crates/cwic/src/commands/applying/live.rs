//! What there is on the server, as far as documents are about it.

use std::collections::HashMap;

use palisade_client::{Client, RunnerFilter};
use palisade_wire::rest::{ProfileTemplate, Runner};
use serde_json::Value;

use crate::error::CliError;
use crate::input::Document;
use crate::present;

/// A profile or a runner as the server answers it.
#[derive(Clone, Debug)]
pub(super) enum Thing {
    Profile(Box<ProfileTemplate>),
    Runner(Box<Runner>),
}

impl Thing {
    /// Its id, by which it can be changed.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Profile(profile) => &profile.id,
            Self::Runner(runner) => &runner.id,
        }
    }

    /// What people can change about it, as they write it.
    pub(super) fn document(&self) -> Value {
        match self {
            Self::Profile(profile) => present::profile::document(profile),
            Self::Runner(runner) => present::runner::document(runner),
        }
    }
}

/// All profiles and runners, by the names that documents use.
#[derive(Debug, Default)]
pub(super) struct Live {
    profiles: HashMap<String, Thing>,
    runners: HashMap<String, Thing>,
}

impl Live {
    /// Reads what the documents need.
    pub(super) async fn load(documents: &[Document], client: &Client) -> Result<Self, CliError> {
        let mut live = Self::default();
        if documents.iter().any(|document| !document.is_runner()) {
            let profiles = client.list_profiles().await;
            let profiles =
                profiles.map_err(|error| CliError::call("profiles were not listed", &error))?;
            let named = profiles.into_iter().map(|profile| {
                let name = profile.display_name.clone();
                (name, Thing::Profile(Box::new(profile)))
            });
            live.profiles = named.collect();
        }
        if documents.iter().any(Document::is_runner) {
            let runners = client.list_runners(&RunnerFilter::default()).await;
            let runners =
                runners.map_err(|error| CliError::call("runners were not listed", &error))?;
            let named = runners.into_iter().map(|runner| {
                let name = runner.identity.runner_id.clone();
                (name, Thing::Runner(Box::new(runner)))
            });
            live.runners = named.collect();
        }
        Ok(live)
    }

    /// What the document is about, if there is such a thing.
    pub(super) fn find(&self, document: &Document) -> Option<&Thing> {
        let things = if document.is_runner() {
            &self.runners
        } else {
            &self.profiles
        };
        things.get(document.name())
    }
}
