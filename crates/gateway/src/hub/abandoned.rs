//! What a runner holds although it was deleted: the sandboxes of a runner object that
//! is gone.
//!
//! A runner that was away when its object was deleted still runs what was closed
//! without it. It is told to wait, since its cluster has no object, and to remove just
//! this. The records decide, and never their absence: a runner that was given the
//! token of another organization, cluster or server holds sandboxes that are unknown
//! here and may be live elsewhere.

use std::collections::BTreeMap;

use palisade_model::id::{RunnerUid, SandboxId};
use palisade_model::name::OrganizationId;
use palisade_store::sandbox::Standing;
use palisade_store::{Fault, GetError, RunnerRef, Store};

/// Of what a runner holds, the sandboxes that are over and whose runner object was
/// deleted.
pub(super) async fn of(
    store: &dyn Store,
    organization: &OrganizationId,
    held: &[String],
) -> Result<Vec<String>, Fault> {
    let mut objects = Objects::new(store, organization);
    let mut abandoned = Vec::new();
    for id in held.iter().filter_map(|id| id.parse().ok()) {
        if objects.have_abandoned(id).await? {
            abandoned.push(id.to_string());
        }
    }
    Ok(abandoned)
}

/// Which runner objects there are, looked up once each.
struct Objects<'a> {
    store: &'a dyn Store,
    organization: &'a OrganizationId,
    deleted: BTreeMap<RunnerUid, bool>,
}

impl<'a> Objects<'a> {
    fn new(store: &'a dyn Store, organization: &'a OrganizationId) -> Self {
        Self {
            store,
            organization,
            deleted: BTreeMap::new(),
        }
    }

    async fn have_abandoned(&mut self, id: SandboxId) -> Result<bool, Fault> {
        match self.store.get_standing(self.organization, id).await {
            Ok(Standing { runner, status }) if status.state.is_terminal() => {
                self.is_deleted(runner).await
            }
            Ok(_) | Err(GetError::NotFound) => Ok(false),
            Err(GetError::Fault(fault)) => Err(fault),
        }
    }

    async fn is_deleted(&mut self, runner: RunnerUid) -> Result<bool, Fault> {
        if let Some(known) = self.deleted.get(&runner) {
            return Ok(*known);
        }
        let reference = RunnerRef::from(runner);
        let found = self.store.get_runner(self.organization, &reference).await;
        let is_deleted = match found {
            Ok(_) => false,
            Err(GetError::NotFound) => true,
            Err(GetError::Fault(fault)) => return Err(fault),
        };
        self.deleted.insert(runner, is_deleted);
        Ok(is_deleted)
    }
}
