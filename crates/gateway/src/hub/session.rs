//! The connection of one runner, as the rest of the gateway sees it.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use palisade_model::clock::Timestamp;
use palisade_model::id::{RunnerUid, SandboxId};
use palisade_model::name::{OrganizationId, RunnerId};
use palisade_model::policy::Surroundings;
use palisade_model::token::RunnerIdentity;
use palisade_wire::proto::runner_v1 as pb;
use palisade_wire::proto::runner_v1::gateway_message::Message;
use palisade_wire::v1beta2::UsageNow;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio::time;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use uuid::Uuid;

use super::wishes::Wishes;

/// Messages that may wait for the network. Launches carry files, so that it is
/// a small number; what waits beyond it waits as an id.
pub(super) const OUTGOING_MAX: usize = 16;
/// A runner that takes no message for so long is given up.
const SEND_LIMIT: Duration = Duration::from_secs(10);

/// Streams that the runner was asked for and has not opened yet. Whoever asks for one
/// more waits for a turn, so that the time for opening is that of one stream and not
/// of the thousands before it, and so that wishes have their part of the line.
pub(super) const OPENINGS_MAX: usize = 256;
/// Whoever gets no turn for so long is told to come back.
pub(super) const TURN_LIMIT: Duration = Duration::from_secs(20);

/// What goes to a runner, or the status that ends its connection.
pub(super) type Outgoing = mpsc::Sender<Result<pb::GatewayMessage, Status>>;

/// The connection of one runner.
#[derive(Debug)]
pub(crate) struct Session {
    pub(super) identity: RunnerIdentity,
    pub(super) organization: OrganizationId,
    pub(super) uid: RunnerUid,
    pub(super) runner_id: RunnerId,
    pub(super) instance: String,
    pub(super) home: String,
    pub(super) version: String,
    pub(super) connected_at: Timestamp,
    pub(super) wishes: Wishes,
    outgoing: Outgoing,
    openings: Semaphore,
    vitals: Mutex<Vitals>,
    ended: CancellationToken,
}

/// What distinguishes one connection from another.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) identity: RunnerIdentity,
    pub(super) uid: RunnerUid,
    pub(super) runner_id: RunnerId,
    pub(super) instance: String,
    pub(super) home: String,
    pub(super) version: String,
    pub(super) connected_at: Timestamp,
}

#[derive(Debug)]
struct Vitals {
    last_heard: Timestamp,
    usage: HashMap<SandboxId, UsageNow>,
    /// Absent until the runner said it, in words that can be read.
    surroundings: Option<Surroundings>,
}

/// Why a stream is not asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoTurn {
    /// Too many are being opened.
    Busy,
    /// The connection ended.
    Ended,
}

/// The runner does not take what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the runner takes no messages")]
pub(super) struct Deaf;

impl Session {
    pub(super) fn new(opening: Opening, outgoing: Outgoing, ended: CancellationToken) -> Self {
        let Opening {
            identity,
            uid,
            runner_id,
            instance,
            home,
            version,
            connected_at,
        } = opening;
        Self {
            organization: identity.organization.clone(),
            identity,
            uid,
            runner_id,
            instance,
            home,
            version,
            connected_at,
            wishes: Wishes::default(),
            outgoing,
            openings: Semaphore::new(OPENINGS_MAX),
            vitals: Mutex::new(Vitals {
                last_heard: connected_at,
                usage: HashMap::new(),
                surroundings: None,
            }),
            ended,
        }
    }

    /// Sends a message once there is room; cancel safe.
    pub(super) async fn send(&self, message: Message) -> Result<(), Deaf> {
        let message = pb::GatewayMessage {
            message: Some(message),
        };
        match time::timeout(SEND_LIMIT, self.outgoing.reserve()).await {
            Ok(Ok(room)) => {
                room.send(Ok(message));
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(Deaf),
        }
    }

    /// Waits for a turn to ask for a stream, which lasts until it is dropped.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, NoTurn> {
        let turn = time::timeout(TURN_LIMIT, self.openings.acquire());
        tokio::select! {
            biased;
            () = self.ended() => Err(NoTurn::Ended),
            turn = turn => match turn {
                Ok(Ok(turn)) => Ok(turn),
                // Nobody closes it.
                Ok(Err(_)) => Err(NoTurn::Ended),
                Err(_) => Err(NoTurn::Busy),
            },
        }
    }

    /// Says that no new sandboxes will come; the runner need not act on it, so
    /// that a full queue is no harm.
    pub(super) fn drain(&self) {
        let message = pb::GatewayMessage {
            message: Some(Message::Drain(pb::Drain {})),
        };
        let _ = self.outgoing.try_send(Ok(message));
    }

    /// Ends the connection.
    pub(super) fn end(&self) {
        self.ended.cancel();
    }

    /// Waits until the connection ended, or is about to.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Whether this is a later start of the runner than the other one.
    ///
    /// Only instances that are `UUIDv7` tell; of others, the one that came last
    /// counts as the later.
    pub(super) fn is_newer_than(&self, other: &Self) -> bool {
        let started = |instance: &str| {
            let id = Uuid::try_parse(instance).ok()?;
            (id.get_version_num() == 7).then_some(id)
        };
        match (started(&self.instance), started(&other.instance)) {
            (Some(this), Some(other)) => this > other,
            (None, _) | (_, None) => false,
        }
    }

    pub(super) fn heard(&self, now: Timestamp) {
        self.vitals().last_heard = now;
    }

    pub(super) fn last_heard(&self) -> Timestamp {
        self.vitals().last_heard
    }

    pub(super) fn put_usage(&self, usage: HashMap<SandboxId, UsageNow>) {
        self.vitals().usage = usage;
    }

    pub(super) fn usage(&self, id: SandboxId) -> Option<UsageNow> {
        self.vitals().usage.get(&id).copied()
    }

    /// Takes in what the runner says of what lies around its sandboxes.
    pub(super) fn put_surroundings(&self, surroundings: Option<Surroundings>) {
        self.vitals().surroundings = surroundings;
    }

    pub(super) fn surroundings(&self) -> Option<Surroundings> {
        self.vitals().surroundings.clone()
    }

    fn vitals(&self) -> MutexGuard<'_, Vitals> {
        self.vitals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use palisade_model::id::TokenId;

    use super::*;

    fn session() -> (Session, CancellationToken) {
        let ended = CancellationToken::new();
        let opening = Opening {
            identity: RunnerIdentity {
                organization: "acme".parse().unwrap(),
                cluster: "local".parse().unwrap(),
                token: TokenId::new(Uuid::nil()),
            },
            uid: RunnerUid::new(Uuid::nil()),
            runner_id: "local".parse().unwrap(),
            instance: String::new(),
            home: String::new(),
            version: String::new(),
            connected_at: Timestamp::EPOCH,
        };
        let (outgoing, _) = mpsc::channel(1);
        (Session::new(opening, outgoing, ended.clone()), ended)
    }

    #[tokio::test(start_paused = true)]
    async fn openings_wait_for_their_turn_and_not_for_ever() {
        let (session, ended) = session();
        let mut turns = Vec::new();
        for _ in 0..OPENINGS_MAX {
            turns.push(session.turn().await.unwrap());
        }
        let before = time::Instant::now();
        assert_eq!(session.turn().await.unwrap_err(), NoTurn::Busy);
        assert_eq!(before.elapsed(), TURN_LIMIT);
        let freed = async {
            time::sleep(TURN_LIMIT / 2).await;
            turns.pop();
        };
        let (turn, ()) = tokio::join!(session.turn(), freed);
        assert!(turn.is_ok());
        ended.cancel();
        assert_eq!(session.turn().await.unwrap_err(), NoTurn::Ended);
    }
}
