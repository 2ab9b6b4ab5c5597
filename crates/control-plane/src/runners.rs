//! What can be done with runners.

use palisade_model::name::{ClusterName, RunnerId, Zone};
use palisade_model::reason::Reason;
use palisade_model::runner::Runner;
use palisade_model::tenant::Principal;
use palisade_model::violation::did_you_mean;
use palisade_store::{GetError, Page, PageRequest, PageSize, RunnerRef};

use crate::error::{ApiError, ApiResult};
use crate::etag;
use crate::plane::ControlPlane;

mod candidate;
mod delete;
mod network;
mod write;

pub(crate) use delete::Ending;

/// The name of the present state of the configuration of a runner.
pub(crate) fn etag_of(runner: &Runner) -> String {
    etag::of(runner.uid.as_uuid(), runner.revision)
}

/// Which runners are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunnerFilter {
    /// Those of this cluster.
    pub(crate) cluster: Option<ClusterName>,
    /// Those in this zone, without regard to case.
    pub(crate) zone: Option<Zone>,
}

impl RunnerFilter {
    fn admits(&self, runner: &Runner) -> bool {
        let cluster = (self.cluster.as_ref()).is_none_or(|name| *name == runner.cluster.name);
        let zone = (self.zone.as_ref())
            .is_none_or(|zone| zone.as_str().eq_ignore_ascii_case(runner.zone.as_str()));
        cluster && zone
    }
}

impl ControlPlane {
    /// One runner, by uid or by the id that its operator chose.
    pub(crate) async fn get_runner(&self, caller: &Principal, text: &str) -> ApiResult<Runner> {
        let Ok(reference) = text.parse::<RunnerRef>() else {
            return Err(self.no_runner(caller, text).await);
        };
        match self
            .store
            .get_runner(&caller.organization, &reference)
            .await
        {
            Ok(runner) => Ok(runner),
            Err(GetError::NotFound) => Err(self.no_runner(caller, text).await),
            Err(GetError::Fault(fault)) => Err(fault.into()),
        }
    }

    /// A part of the runners, in the order of their ids.
    pub(crate) async fn list_runners(
        &self,
        caller: &Principal,
        filter: &RunnerFilter,
        page: PageRequest<RunnerId>,
    ) -> ApiResult<Page<Runner, RunnerId>> {
        let wanted = page.size.get();
        let mut after = page.after;
        let mut items: Vec<Runner> = Vec::new();
        loop {
            let request = PageRequest {
                after,
                size: PageSize::MAX,
            };
            let found = self
                .store
                .list_runners(&caller.organization, request)
                .await?;
            let admitted = found
                .items
                .into_iter()
                .filter(|runner| filter.admits(runner));
            items.extend(admitted);
            after = found.next;
            if items.len() > wanted {
                items.truncate(wanted);
                let next = items.last().map(|runner| runner.id.clone());
                return Ok(Page { items, next });
            }
            if after.is_none() {
                return Ok(Page { items, next: None });
            }
        }
    }

    /// The refusal of a reference that finds nothing, with the nearest id.
    async fn no_runner(&self, caller: &Principal, text: &str) -> ApiError {
        let shown = text.chars().take(64).collect::<String>();
        let page = PageRequest::first(PageSize::MAX);
        let listed = self.store.list_runners(&caller.organization, page).await;
        let runners = listed.map(|page| page.items).unwrap_or_default();
        let near = did_you_mean(&shown, runners.iter().map(|runner| runner.id.as_str()));
        let hint = near.map(|id| format!("; did you mean {id}?"));
        let message = format!(
            "the organization has no runner {shown:?}{}",
            hint.unwrap_or_default()
        );
        ApiError::new(Reason::RunnerNotFound, message)
    }
}
