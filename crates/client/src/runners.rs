//! Calls about runners.

use std::time::Duration;

use palisade_wire::rest::{ApplyUpdateAnswer, ListManagedRunnersAnswer, Runner, RunnerNetwork};
use reqwest::Method;
use serde_json::{Value, json};

use crate::call::{Call, Client};
use crate::error::CallError;
use crate::profiles::{BASE, Change, PAGE_SIZE, page};

pub(crate) const RUNNERS: &str = "managed-runners";

/// Which runners a list is to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunnerFilter {
    /// Those of this cluster, by name.
    pub cluster: Option<String>,
    /// Those in this zone.
    pub zone: Option<String>,
}

/// What becomes of the sandboxes that live on a runner that is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// While there are any, the runner stays.
    Refuse,
    /// They may end by themselves for so long; whole seconds count.
    Drain(Duration),
    /// They are ended now.
    Force,
}

impl Client {
    /// Adds a runner, given in the spelling of the wire.
    ///
    /// `id` is the id that it gets, unless the runner itself says so.
    pub async fn create_runner(
        &self,
        id: Option<&str>,
        runner: Value,
        change: &Change,
    ) -> Result<Runner, CallError> {
        let mut body = json!({ "runner": runner });
        if let Some(id) = id {
            body["runnerId"] = id.into();
        }
        let path = [BASE[0], BASE[1], RUNNERS];
        self.write(Call {
            query: change.query(),
            body: Some(&body),
            ..Call::new(Method::POST, &path)
        })
        .await
    }

    /// Returns one runner, by uid or by the id that its operator chose.
    pub async fn get_runner(&self, id: &str) -> Result<Runner, CallError> {
        let path = [BASE[0], BASE[1], RUNNERS, id];
        self.read(Call::new(Method::GET, &path)).await
    }

    /// Returns a part of the runners that pass a filter.
    pub async fn list_runners_page(
        &self,
        filter: &RunnerFilter,
        size: usize,
        token: &str,
    ) -> Result<ListManagedRunnersAnswer, CallError> {
        let RunnerFilter { cluster, zone } = filter;
        let mut query = page(size, token);
        query.extend(cluster.clone().map(|cluster| ("cluster", cluster)));
        query.extend(zone.clone().map(|zone| ("zone", zone)));
        let path = [BASE[0], BASE[1], RUNNERS];
        self.read(Call {
            query,
            ..Call::new(Method::GET, &path)
        })
        .await
    }

    /// Returns all runners that pass a filter, in the order of their ids.
    pub async fn list_runners(&self, filter: &RunnerFilter) -> Result<Vec<Runner>, CallError> {
        let mut runners = Vec::new();
        let mut token = String::new();
        loop {
            let page = self.list_runners_page(filter, PAGE_SIZE, &token).await?;
            runners.extend(page.managed_runners);
            token = page.next_page_token;
            if token.is_empty() {
                return Ok(runners);
            }
        }
    }

    /// Changes the fields of a runner that `runner` holds.
    pub async fn update_runner(
        &self,
        id: &str,
        runner: Value,
        change: &Change,
    ) -> Result<Runner, CallError> {
        let body = json!({ "runner": runner });
        self.edit(&[BASE[0], BASE[1], RUNNERS, id], &body, change)
            .await
    }

    /// Changes the fields of a runner that `mask` names, to what `runner`
    /// holds; what it lacks of them gets its default.
    pub async fn patch_runner(
        &self,
        id: &str,
        runner: Value,
        mask: &[&str],
        change: &Change,
    ) -> Result<Runner, CallError> {
        let body = json!({ "runner": runner, "updateMask": mask.join(",") });
        self.edit(&[BASE[0], BASE[1], RUNNERS, id], &body, change)
            .await
    }

    /// Deletes a runner; returns it if it is not gone yet.
    ///
    /// One on which sandboxes live is left as it is, unless they are to end.
    pub async fn delete_runner(
        &self,
        id: &str,
        ending: Ending,
        change: &Change,
    ) -> Result<Option<Runner>, CallError> {
        let mut query = change.query();
        match ending {
            Ending::Refuse => {}
            Ending::Drain(most) => query.push(("drain", most.as_secs().to_string())),
            Ending::Force => query.push(("force", "true".to_owned())),
        }
        let path = [BASE[0], BASE[1], RUNNERS, id];
        let left: Runner = self
            .write(Call {
                query,
                if_match: change.etag.as_deref(),
                ..Call::new(Method::DELETE, &path)
            })
            .await?;
        Ok((!left.id.is_empty()).then_some(left))
    }

    /// Takes the drain of a runner back; returns the runner.
    pub async fn undrain_runner(&self, id: &str) -> Result<Runner, CallError> {
        let path = [BASE[0], BASE[1], RUNNERS, id, "undrain"];
        self.write(Call::new(Method::POST, &path)).await
    }

    /// Returns what a runner makes of the network of a profile that it binds, and
    /// what lies around its sandboxes.
    pub async fn get_runner_network(
        &self,
        id: &str,
        profile: &str,
    ) -> Result<RunnerNetwork, CallError> {
        let path = [BASE[0], BASE[1], RUNNERS, id, "network"];
        self.read(Call {
            query: vec![("profile", profile.to_owned())],
            ..Call::new(Method::GET, &path)
        })
        .await
    }

    /// Returns the version of the server, if it tells.
    pub async fn server_version(&self) -> Result<Option<String>, CallError> {
        let health: Value = self.read(Call::new(Method::GET, &["healthz"])).await?;
        let version = health.get("version").and_then(Value::as_str);
        Ok(version.map(str::to_owned))
    }

    /// Asks a runner to update itself.
    pub async fn apply_update(&self, id: &str) -> Result<ApplyUpdateAnswer, CallError> {
        let path = [BASE[0], BASE[1], RUNNERS, id, "apply-update"];
        self.write(Call::new(Method::POST, &path)).await
    }
}
