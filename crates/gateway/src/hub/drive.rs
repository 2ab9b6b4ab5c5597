//! The loop that tells one runner what it must know.
//!
//! Inputs: ids of sandboxes to look at, and removals that are due. Outputs:
//! messages to the runner. Each look reads the record and decides anew, so that
//! a look too many does no harm. It ends with the connection.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use palisade_model::clock::Timestamp;
use palisade_model::id::SandboxId;
use palisade_model::sandbox::{Status, StopWish};
use palisade_store::sandbox::{LaunchError, Standing};
use palisade_store::{Fault, GetError};
use palisade_wire::proto::runner_v1 as pb;
use palisade_wire::proto::runner_v1::gateway_message::Message;
use palisade_wire::runner::{PROTOCOL, launch_message};
use tokio::time;
use tracing::{error, warn};

use super::Hub;
use super::homes::is_lost;
use super::join::Loss;
use super::plan::{Say, Told, plan};
use super::secrets;
use super::session::{Deaf, Session};
use super::wishes::Wish;
use crate::follow::each;

/// A look without any wish, in case the clock was moved.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How long a store that is away is left alone.
const PAUSE: Duration = Duration::from_millis(500);

/// Tells one runner what it must know.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) hub: Hub,
    pub(super) session: Arc<Session>,
    /// Dropped when a sandbox is removed, so that it is never larger than what
    /// the runner holds.
    told: HashMap<SandboxId, Told>,
}

/// Why a look had no outcome.
pub(super) enum Failed {
    Runner(Deaf),
    Store(Fault),
    /// The values of secrets cannot be read for now.
    Secrets,
}

impl Driver {
    pub(super) fn new(hub: Hub, session: Arc<Session>) -> Self {
        Self {
            hub,
            session,
            told: HashMap::new(),
        }
    }

    /// Greets the runner and tells it what it should hold.
    pub(super) async fn welcome(&mut self, held: &BTreeSet<SandboxId>) -> Result<(), Loss> {
        let interval = self.hub.inner.tools.config.heartbeat.as_millis();
        let welcome = pb::Welcome {
            protocol: PROTOCOL,
            runner_id: self.session.runner_id.to_string(),
            heartbeat_interval_ms: u32::try_from(interval).unwrap_or(u32::MAX),
        };
        self.session.send(Message::Welcome(welcome)).await?;
        let desired = loop {
            match self.desired(held).await {
                Ok(desired) => break desired,
                Err(fault) => self.store_failed(&fault).await,
            }
        };
        let sandbox_ids = desired.iter().map(ToString::to_string).collect();
        let desired = pb::Desired { sandbox_ids };
        self.session.send(Message::Desired(desired)).await?;
        Ok(())
    }

    /// What the runner should hold: all that lives, and of what is over that
    /// whose logs are still kept. What has started and is not there is over.
    async fn desired(&mut self, held: &BTreeSet<SandboxId>) -> Result<BTreeSet<SandboxId>, Fault> {
        let (tools, session) = (&self.hub.inner.tools, &self.session);
        let (organization, uid) = (&session.organization, session.uid);
        let live = |page| {
            tools
                .store
                .list_sandboxes_of_runner(organization, uid, page)
        };
        let live = each(live, |sandbox| {
            self.hub.inner.picture.note(&sandbox);
            let may_lack = secrets::may_lack(&sandbox);
            Some((sandbox.id, sandbox.status, may_lack))
        });
        let (mut desired, mut lost) = (BTreeSet::new(), Vec::new());
        for (id, status, may_lack) in live.await? {
            if is_lost(&status, held.contains(&id)) {
                lost.push(id);
                continue;
            }
            // What is held and has not started yet may wait for its secrets.
            let launch = held.contains(&id) && !may_lack;
            self.told.insert(
                id,
                Told {
                    launch,
                    ..Told::default()
                },
            );
            if !launch || status.stop.is_some() || !status.is_as_paused_as_wished() {
                session.wishes.look(id);
            }
            desired.insert(id);
        }
        self.hub.give_up(session, &lost).await?;
        for id in held.difference(&desired.clone()) {
            if let Some(until) = self.kept_until(*id).await? {
                session.wishes.remove_at(*id, until);
                desired.insert(*id);
            }
        }
        Ok(desired)
    }

    /// Until when the logs of a sandbox that is over are kept, if they are.
    async fn kept_until(&self, id: SandboxId) -> Result<Option<Timestamp>, Fault> {
        let tools = &self.hub.inner.tools;
        let organization = &self.session.organization;
        let status = match tools.store.get_standing(organization, id).await {
            Ok(Standing { runner, status }) if runner == self.session.uid => status,
            Ok(_) | Err(GetError::NotFound) => return Ok(None),
            Err(GetError::Fault(fault)) => return Err(fault),
        };
        let until = status
            .ended_at
            .map(|ended| ended.saturating_add(tools.config.logs_kept));
        Ok(until.filter(|until| *until > tools.now()))
    }

    /// Runs until the runner takes no messages any more.
    pub(super) async fn run(mut self) -> Loss {
        loop {
            if let Err(deaf) = self.act_on_all().await {
                return deaf.into();
            }
            let pause = self.pause();
            tokio::select! {
                () = self.session.wishes.news() => {}
                () = time::sleep(pause) => {}
            }
        }
    }

    async fn act_on_all(&mut self) -> Result<(), Deaf> {
        while let Some(wish) = self.session.wishes.take(self.hub.inner.tools.now()) {
            self.act(wish).await?;
        }
        Ok(())
    }

    fn pause(&self) -> Duration {
        let now = self.hub.inner.tools.now();
        let next = self.session.wishes.next_removal();
        next.map_or(LOOK_AGAIN, |at| at.saturating_since(now).min(LOOK_AGAIN))
    }

    fn wish_again(&self, wish: Wish) {
        match wish {
            Wish::Look(id) => self.session.wishes.look(id),
            Wish::Remove(id) => self.session.wishes.remove_at(id, Timestamp::EPOCH),
        }
    }

    async fn act(&mut self, wish: Wish) -> Result<(), Deaf> {
        let acted = match wish {
            Wish::Look(id) => self.look(id).await,
            Wish::Remove(id) => self.remove(id).await,
        };
        match acted {
            Ok(()) => Ok(()),
            Err(Failed::Runner(deaf)) => Err(deaf),
            Err(Failed::Secrets) => {
                self.wish_again(wish);
                time::sleep(PAUSE).await;
                Ok(())
            }
            Err(Failed::Store(fault)) => {
                // A record that is damaged must not hold up the others.
                if fault.may_retry() {
                    self.wish_again(wish);
                }
                self.store_failed(&fault).await;
                Ok(())
            }
        }
    }

    async fn look(&mut self, id: SandboxId) -> Result<(), Failed> {
        // Whoever holds it back looks again when the reply has been sent.
        if self.hub.is_held(id) {
            return Ok(());
        }
        let tools = &self.hub.inner.tools;
        let found = tools.store.get_standing(&self.session.organization, id);
        let Standing { runner, status } = match found.await {
            Ok(standing) => standing,
            Err(GetError::NotFound) => return self.remove(id).await,
            Err(GetError::Fault(fault)) => return Err(Failed::Store(fault)),
        };
        if runner != self.session.uid {
            return Ok(());
        }
        let told = self.told.get(&id).copied().unwrap_or_default();
        match plan(&status, told, tools.now()) {
            Say::Launch => self.launch(id).await,
            Say::Stop(grace) => self.stop(id, &status, grace).await,
            Say::SetPaused(is_paused) => self.set_paused(id, is_paused).await,
            Say::Nothing => Ok(()),
        }
    }

    async fn set_paused(&mut self, id: SandboxId, is_paused: bool) -> Result<(), Failed> {
        let message = pb::SetPaused {
            sandbox_id: id.to_string(),
            is_paused,
        };
        self.send(Message::SetPaused(message)).await?;
        self.told.entry(id).or_default().paused = Some(is_paused);
        Ok(())
    }

    async fn launch(&mut self, id: SandboxId) -> Result<(), Failed> {
        let tools = &self.hub.inner.tools;
        let organization = &self.session.organization;
        let launch = match tools.store.get_launch(organization, id).await {
            Ok(launch) => launch,
            // It ended meanwhile; nothing is left to launch.
            Err(LaunchError::Over | LaunchError::NotFound) => return Ok(()),
            Err(LaunchError::Fault(fault)) => return Err(Failed::Store(fault)),
        };
        let Some(values) = self.values(&launch).await? else {
            return Ok(());
        };
        let message = launch_message(&launch, &values);
        self.send(Message::Launch(message)).await?;
        self.told.entry(id).or_default().launch = true;
        Ok(())
    }

    async fn stop(
        &mut self,
        id: SandboxId,
        status: &Status,
        grace: Duration,
    ) -> Result<(), Failed> {
        let stop = pb::Stop {
            sandbox_id: id.to_string(),
            grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
        };
        self.send(Message::Stop(stop)).await?;
        let by = status.stop.map(|wish| {
            let StopWish { grace, at } = wish;
            at.saturating_add(grace)
        });
        self.told.entry(id).or_default().stop_by = by;
        Ok(())
    }

    async fn remove(&mut self, id: SandboxId) -> Result<(), Failed> {
        let remove = pb::Remove {
            sandbox_id: id.to_string(),
        };
        self.send(Message::Remove(remove)).await?;
        self.told.remove(&id);
        Ok(())
    }

    async fn send(&self, message: Message) -> Result<(), Failed> {
        self.session.send(message).await.map_err(Failed::Runner)
    }

    async fn store_failed(&self, fault: &Fault) {
        let runner = &self.session.runner_id;
        if fault.may_retry() {
            warn!(runner.id = %runner, error = %fault, "could not look at sandboxes; trying again");
        } else {
            error!(runner.id = %runner, error = %fault, "could not look at sandboxes");
        }
        time::sleep(PAUSE).await;
    }
}
