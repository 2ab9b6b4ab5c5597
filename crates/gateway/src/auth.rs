//! Who is calling: tokens checked against the store.
//!
//! Records of tokens are remembered for a short while, so that a call costs no
//! read of the store; the secret is compared every time, in constant time. A
//! token that was revoked is forgotten with the change that says so, and at the
//! latest after [`REMEMBERED`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use palisade_model::clock::Timestamp;
use palisade_model::id::TokenId;
use palisade_model::refusal::Refusal;
use palisade_model::tenant::Principal;
use palisade_model::token::{PresentedToken, RunnerIdentity, TokenError, TokenRecord};
use palisade_store::GetError;
use palisade_wire::headers::bearer;

use crate::error::{ApiError, ApiResult};
use crate::tools::Tools;

/// How long a record is used without asking the store again.
const REMEMBERED: Duration = Duration::from_secs(30);
/// The most records that are remembered; one more and all are forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// Checks tokens. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    tools: Tools,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Debug, Default)]
struct Memory {
    records: HashMap<TokenId, Remembered>,
    /// Grows whenever something is forgotten, so that a read that began before
    /// does not bring it back.
    epoch: u64,
}

#[derive(Clone, Debug)]
struct Remembered {
    record: Arc<TokenRecord>,
    until: Timestamp,
}

impl Gate {
    pub(crate) fn new(tools: Tools) -> Self {
        Self {
            tools,
            memory: Arc::default(),
        }
    }

    /// The caller, if the headers hold a valid token of one.
    pub(crate) async fn caller(&self, headers: &HeaderMap) -> ApiResult<Principal> {
        let presented = presented(headers)?;
        let record = self.record(presented.id()).await?;
        let caller = presented.caller(&record, self.tools.now());
        caller.map_err(refused)
    }

    /// The runner, if the headers hold a valid join token.
    pub(crate) async fn runner(&self, headers: &HeaderMap) -> ApiResult<RunnerIdentity> {
        let presented = presented(headers)?;
        let record = self.record(presented.id()).await?;
        let runner = presented.runner(&record, self.tools.now());
        runner.map_err(refused)
    }

    /// Whether a token that let somebody in would still do so.
    pub(crate) async fn holds(&self, id: TokenId) -> ApiResult<()> {
        let record = self.record(id).await?;
        record.check(self.tools.now()).map_err(refused)
    }

    /// Asks the store about a token the next time.
    pub(crate) fn forget(&self, id: TokenId) {
        let mut memory = self.lock();
        memory.epoch += 1;
        memory.records.remove(&id);
    }

    /// Asks the store about every token the next time.
    pub(crate) fn forget_all(&self) {
        let mut memory = self.lock();
        memory.epoch += 1;
        memory.records.clear();
    }

    async fn record(&self, id: TokenId) -> ApiResult<Arc<TokenRecord>> {
        let now = self.tools.now();
        let epoch = {
            let memory = self.lock();
            if let Some(known) = memory.records.get(&id).filter(|known| now < known.until) {
                return Ok(known.record.clone());
            }
            memory.epoch
        };
        let record = match self.tools.store.find_token(id).await {
            Ok(record) => Arc::new(record),
            Err(GetError::NotFound) => return Err(refused(TokenError::WrongSecret)),
            Err(GetError::Fault(fault)) => return Err(fault.into()),
        };
        self.remember(&record, now.saturating_add(REMEMBERED), epoch);
        Ok(record)
    }

    fn remember(&self, record: &Arc<TokenRecord>, until: Timestamp, epoch: u64) {
        let mut memory = self.lock();
        if memory.epoch != epoch {
            return;
        }
        if memory.records.len() >= REMEMBERED_MAX {
            memory.records.clear();
        }
        let record = record.clone();
        memory
            .records
            .insert(record.id, Remembered { record, until });
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn presented(headers: &HeaderMap) -> ApiResult<PresentedToken> {
    let authorization = headers.get(AUTHORIZATION);
    let token = bearer(authorization.and_then(|value| value.to_str().ok()));
    token.map_err(ApiError::from)
}

fn refused(error: TokenError) -> ApiError {
    Refusal::from(error).into()
}
