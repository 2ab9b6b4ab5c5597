//! Runners as they would be after a write, to be judged before it.

use palisade_model::id::{ClusterId, RunnerUid};
use palisade_model::profile::Revision;
use palisade_model::reason::Reason;
use palisade_model::runner::{Bindings, Cluster, Runner};
use palisade_model::tenant::Principal;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use palisade_store::runner::ClusterChoice;
use palisade_wire::runner_document::{ClusterRef, RunnerDraft};
use palisade_wire::spelling::Origin;

use crate::error::{ApiError, ApiResult};
use crate::page;
use crate::plane::ControlPlane;

/// A runner that does not exist yet, and how the store is to find its cluster.
pub(super) struct Candidate {
    pub(super) runner: Runner,
    pub(super) cluster: ClusterChoice,
}

impl ControlPlane {
    /// The runner that a draft would make.
    pub(super) async fn candidate(
        &self,
        caller: &Principal,
        draft: RunnerDraft,
        bindings: Bindings,
        origin: &Origin,
    ) -> ApiResult<Candidate> {
        let RunnerDraft {
            id,
            display_name,
            zone,
            cluster,
            group,
            settings,
            bindings: _,
        } = draft;
        let (cluster, choice) = self.cluster(caller, cluster, origin).await?;
        let now = self.now();
        let runner = Runner {
            uid: RunnerUid::new(self.ids.uuid()),
            organization: caller.organization.clone(),
            display_name,
            id,
            zone,
            cluster,
            group,
            settings,
            bindings,
            revision: Revision::FIRST,
            created_at: now,
            updated_at: now,
            deleting_since: None,
            drain_until: None,
        };
        Ok(Candidate {
            runner,
            cluster: choice,
        })
    }

    /// The cluster that a draft names. A name may be new, an id may not.
    async fn cluster(
        &self,
        caller: &Principal,
        cluster: ClusterRef,
        origin: &Origin,
    ) -> ApiResult<(Cluster, ClusterChoice)> {
        match cluster {
            ClusterRef::Name(name) => {
                let id_if_new = ClusterId::new(self.ids.uuid());
                let cluster = Cluster {
                    id: id_if_new,
                    name: name.clone(),
                };
                Ok((cluster, ClusterChoice::Named { name, id_if_new }))
            }
            ClusterRef::Id(id) => match self.known_cluster(caller, id).await? {
                Some(cluster) => Ok((cluster, ClusterChoice::Known(id))),
                None => Err(no_cluster(id, origin)),
            },
        }
    }

    async fn known_cluster(&self, caller: &Principal, id: ClusterId) -> ApiResult<Option<Cluster>> {
        let organization = &caller.organization;
        let clusters = page::all(|page| self.store.list_clusters(organization, page)).await?;
        Ok(clusters.into_iter().find(|cluster| cluster.id == id))
    }
}

fn no_cluster(id: ClusterId, origin: &Origin) -> ApiError {
    let path = FieldPath::root().key("identity").key("cluster_id");
    let what = format!(
        "names the cluster {id}, which the organization does not have; give cluster_name instead"
    );
    let violation = Violation::new(path, ViolationKind::Invalid, what);
    ApiError::fields(Reason::InvalidRequest, vec![violation], origin)
}
