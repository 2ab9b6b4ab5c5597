//! What is done about a packet of a sandbox, whatever way it came.
//!
//! Decided at once and without waiting: it is dropped, refused, or put to the
//! upstream servers once it has its places among the questions that wait.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use palisade_model::policy::Dns;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::answer;
use super::directory::{Asker, Directory};
use super::question::{self, Objection, Question, Request};
use super::sandbox_name::{self, SandboxName};
use super::tally::{Cause, Tally};
use super::upstream::Servers;

/// How many questions of all sandboxes may be waiting for an answer.
const IN_FLIGHT_MAX: usize = 1024;
/// How many connections all sandboxes may have to the resolver.
const CONNECTIONS_MAX: usize = 256;

/// What all tasks of the resolver share.
#[derive(Debug)]
pub(super) struct Service {
    directory: Directory,
    pub(super) servers: Servers,
    pub(super) tally: Arc<Tally>,
    in_flight: Arc<Semaphore>,
    connections: Arc<Semaphore>,
}

/// What to do about a packet, decided without waiting.
pub(super) enum Decision {
    Nothing,
    Reply(Box<Request>, Box<Message>),
    Forward(Box<Forward>),
}

/// A question that has its places among those that wait.
pub(super) struct Forward {
    pub(super) question: Question,
    asker: Arc<Asker>,
    _places: [OwnedSemaphorePermit; 2],
}

impl Service {
    pub(super) fn new(directory: Directory, servers: Servers, tally: Arc<Tally>) -> Self {
        Self {
            directory,
            servers,
            tally,
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }

    /// What to do about a packet that came from this address.
    pub(super) fn decide(&self, packet: &[u8], from: IpAddr) -> Decision {
        let asker = match self.identify(from) {
            Ok(asker) => asker,
            Err(cause) => return self.refuse(packet, cause),
        };
        let decision = self.decide_for(&asker, packet);
        if let Err(objection) = &decision
            && objection.cause().is_refusal()
        {
            asker.count_refusal();
        }
        decision.unwrap_or_else(|objection| self.object(objection))
    }

    fn decide_for(&self, asker: &Arc<Asker>, packet: &[u8]) -> Result<Decision, Objection> {
        if !asker.allowance.take(Instant::now()) {
            return Err(Objection::Silence(Cause::Rate));
        }
        let question = question::read(packet)?;
        match asker.dns() {
            Dns::SandboxNamesOnly => self.tell_sandbox(asker, &question),
            Dns::Forward | Dns::Off => {
                question.screen(asker)?;
                self.queue(asker, question)
            }
        }
    }

    /// What is known here, and nothing else: such a sandbox has no use for what
    /// others know.
    fn tell_sandbox(&self, asker: &Asker, question: &Question) -> Result<Decision, Objection> {
        let request = Box::new(question.request.clone());
        if let Some(addresses) = self.directory.look_up_host(asker, &question.query.name) {
            self.tally.answered(0);
            let answer = answer::of_sandbox(question, addresses);
            return Ok(Decision::Reply(request, Box::new(answer)));
        }
        if !sandbox_name::is_within(&question.query.name) {
            return Err(Objection::Reply(
                request,
                ResponseCode::Refused,
                Cause::Mode,
            ));
        }
        let name = SandboxName::read(&question.query.name);
        let addresses = name.and_then(|name| self.directory.look_up(asker, &name));
        let Some(addresses) = addresses else {
            return Err(Objection::Reply(
                request,
                ResponseCode::NXDomain,
                Cause::LocalName,
            ));
        };
        self.tally.answered(0);
        let answer = answer::of_sandbox(question, addresses);
        Ok(Decision::Reply(request, Box::new(answer)))
    }

    /// Puts a question in the line of those that wait for others.
    fn queue(&self, asker: &Arc<Asker>, question: Question) -> Result<Decision, Objection> {
        let own = asker.allowance.in_flight();
        let all = Arc::clone(&self.in_flight).try_acquire_owned().ok();
        match own.zip(all) {
            Some((own, all)) => Ok(Decision::Forward(Box::new(Forward {
                question,
                asker: Arc::clone(asker),
                _places: [own, all],
            }))),
            None => Err(Objection::Silence(Cause::Busy)),
        }
    }

    /// Puts the question to the upstream servers.
    pub(super) async fn forward(&self, forward: &Forward) -> Message {
        let Forward {
            question, asker, ..
        } = forward;
        let Ok(said) = self.servers.ask(question).await else {
            self.tally.refused(Cause::Upstream);
            return answer::of_code(&question.request, ResponseCode::ServFail);
        };
        let (answer, withheld) = answer::of_upstream(question, asker, said);
        self.tally.answered(withheld);
        if withheld > 0 {
            asker.count_refusal();
        }
        answer
    }

    /// The sandbox that has this address, if it may ask at all.
    fn identify(&self, from: IpAddr) -> Result<Arc<Asker>, Cause> {
        let asker = self.directory.find(from).ok_or(Cause::UnknownAsker)?;
        match asker.dns() {
            Dns::Forward | Dns::SandboxNamesOnly => Ok(asker),
            Dns::Off => {
                asker.count_refusal();
                Err(Cause::Mode)
            }
        }
    }

    /// Places for a connection from this address.
    pub(super) fn connection(&self, from: IpAddr) -> Result<[OwnedSemaphorePermit; 2], Cause> {
        let asker = self.identify(from)?;
        let own = asker.allowance.connection().ok_or(Cause::Busy)?;
        let all = Arc::clone(&self.connections).try_acquire_owned();
        Ok([own, all.map_err(|_| Cause::Busy)?])
    }

    /// Refuses whatever the packet asks.
    fn refuse(&self, packet: &[u8], cause: Cause) -> Decision {
        let request = match question::parse(packet) {
            Ok(request) => Box::new(request),
            Err(Objection::Reply(request, ..)) => request,
            Err(Objection::Silence(_)) => return self.drop_for(cause),
        };
        self.object(Objection::Reply(request, ResponseCode::Refused, cause))
    }

    fn object(&self, objection: Objection) -> Decision {
        match objection {
            Objection::Silence(cause) => self.drop_for(cause),
            Objection::Reply(request, code, cause) => {
                self.tally.refused(cause);
                let answer = answer::of_code(&request, code);
                Decision::Reply(request, Box::new(answer))
            }
        }
    }

    pub(super) fn drop_for(&self, cause: Cause) -> Decision {
        self.tally.refused(cause);
        Decision::Nothing
    }
}
