//! Asking the upstream servers, over sockets of the host.
//!
//! Each question has a socket, a source port and an id of its own, and only an
//! answer from the server's address with that id and that very question counts.
//! A server that is silent, refuses or fails is followed by the next one; the
//! one that answered last is asked first.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::time::timeout;
use tracing::warn;

use super::answer::PAYLOAD_MAX;
use super::config::{Config, ConfigError, Upstreams};
use super::question::Question;
use super::tally::Tally;
use crate::network::Outward;

/// A single server is asked this often.
const ATTEMPTS_MIN: usize = 2;
/// So many packets that answer nothing mean that somebody is guessing: from then
/// on the question is asked over a connection, where guessing does not help.
const GUESSES_MAX: u32 = 8;
/// Longer than any datagram that is asked for.
const RECEIVE_LEN: usize = 4096;

/// The servers, and the way to them.
#[derive(Debug)]
pub(super) struct Servers {
    source: Upstreams,
    current: RwLock<Arc<[SocketAddr]>>,
    /// Whether the last look for servers found none, which is told once.
    is_lost: AtomicBool,
    preferred: AtomicUsize,
    attempt: Duration,
    outward: Outward,
    tally: Arc<Tally>,
}

/// No server had a usable answer in time.
#[derive(Debug)]
pub(super) struct Unanswered;

/// What came of one exchange by datagrams.
enum Heard {
    Answer(Message),
    /// It has to be asked again over a connection.
    TooMuch,
}

impl Servers {
    pub(super) fn new(
        config: Config,
        outward: Outward,
        tally: Arc<Tally>,
    ) -> Result<Self, ConfigError> {
        let servers = Self {
            source: config.upstreams,
            current: RwLock::new(Arc::default()),
            is_lost: AtomicBool::new(false),
            preferred: AtomicUsize::new(0),
            attempt: config.attempt,
            outward,
            tally,
        };
        match &servers.source {
            Upstreams::Fixed(_) => servers.set(servers.source.read()?),
            // A host may be offline now and not be later.
            Upstreams::File(_) => servers.reread(),
        }
        Ok(servers)
    }

    /// Looks whether the host asks other servers by now.
    pub(super) fn reread(&self) {
        match self.source.read() {
            Ok(servers) => {
                self.is_lost.store(false, Ordering::Relaxed);
                self.set(servers);
            }
            // Just being rewritten, or the host is offline: the old ones stay.
            Err(error) => {
                if !self.is_lost.swap(true, Ordering::Relaxed) {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "no DNS servers were found; keeping those known before, if any"
                    );
                }
            }
        }
    }

    /// Whom questions are put to.
    pub(super) fn current(&self) -> Arc<[SocketAddr]> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    fn set(&self, servers: Vec<SocketAddr>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if **current != *servers {
            *current = servers.into();
        }
    }

    /// Asks one after the other. Takes three times the time of an attempt at most.
    pub(super) async fn ask(&self, question: &Question) -> Result<Message, Unanswered> {
        let servers = self.current();
        let limit = self.attempt * 3;
        match timeout(limit, self.ask_each(&servers, question)).await {
            Ok(answer) => answer.ok_or(Unanswered),
            Err(_) => Err(Unanswered),
        }
    }

    async fn ask_each(&self, servers: &[SocketAddr], question: &Question) -> Option<Message> {
        let preferred = self.preferred.load(Ordering::Relaxed);
        let places = (0..servers.len().max(ATTEMPTS_MIN)).map(|turn| preferred.wrapping_add(turn));
        for place in places {
            let server = *servers.get(place % servers.len().max(1))?;
            if let Ok(answer) = self.ask_one(server, question).await
                && is_usable(&answer)
            {
                self.preferred
                    .store(place % servers.len(), Ordering::Relaxed);
                return Some(answer);
            }
        }
        None
    }

    async fn ask_one(&self, server: SocketAddr, question: &Question) -> io::Result<Message> {
        let exchange = self.by_datagram(server, question);
        match timeout(self.attempt, exchange).await?? {
            Heard::Answer(answer) => Ok(answer),
            Heard::TooMuch => timeout(self.attempt, self.by_stream(server, question)).await?,
        }
    }

    async fn by_datagram(&self, server: SocketAddr, question: &Question) -> io::Result<Heard> {
        let id = random_id()?;
        let socket = UdpSocket::from_std(self.outward.datagrams(server).await?)?;
        socket.send(&packet(id, question)?).await?;
        let mut buffer = [0; RECEIVE_LEN];
        for _ in 0..GUESSES_MAX {
            let len = socket.recv(&mut buffer).await?;
            match accept(buffer.get(..len).unwrap_or_default(), id, &question.query) {
                Some(answer) if answer.metadata.truncation => return Ok(Heard::TooMuch),
                Some(answer) => return Ok(Heard::Answer(answer)),
                None => self.tally.ignored(),
            }
        }
        Ok(Heard::TooMuch)
    }

    async fn by_stream(&self, server: SocketAddr, question: &Question) -> io::Result<Message> {
        let id = random_id()?;
        let socket = TcpSocket::from_std_stream(self.outward.stream(server).await?);
        let mut stream = socket.connect(server).await?;
        let packet = packet(id, question)?;
        let len = u16::try_from(packet.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        stream
            .write_all(&[&len.to_be_bytes(), packet.as_slice()].concat())
            .await?;
        let len = stream.read_u16().await?;
        let mut answer = vec![0; len.into()];
        stream.read_exact(&mut answer).await?;
        accept(&answer, id, &question.query).ok_or_else(|| {
            self.tally.ignored();
            io::ErrorKind::InvalidData.into()
        })
    }
}

/// The packet that puts the question to a server.
fn packet(id: u16, question: &Question) -> io::Result<Vec<u8>> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.metadata.checking_disabled = question.request.metadata.checking_disabled;
    message.queries.push(question.query.clone());
    // What else the asker's options say is between it and this resolver.
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD_MAX);
    let wants_signatures = |extension: super::question::Extension| extension.dnssec_ok;
    edns.set_dnssec_ok(question.request.extension.is_some_and(wants_signatures));
    message.edns = Some(edns);
    message.to_vec().map_err(io::Error::other)
}

/// The message in a packet, if it answers this question.
pub(super) fn accept(packet: &[u8], id: u16, query: &Query) -> Option<Message> {
    // Looked at before the rest is read, which makes room for what it promises.
    let [id0, id1, _, _, q0, q1, ..] = *packet else {
        return None;
    };
    if [id0, id1] != id.to_be_bytes() || [q0, q1] != [0, 1] {
        return None;
    }
    let message = Message::from_vec(packet).ok()?;
    let is_answer = message.metadata.message_type == MessageType::Response
        && message.metadata.op_code == OpCode::Query
        && message.queries.first() == Some(query);
    is_answer.then_some(message)
}

/// Whether another server need not be asked.
fn is_usable(answer: &Message) -> bool {
    [ResponseCode::NoError, ResponseCode::NXDomain].contains(&answer.metadata.response_code)
}

fn random_id() -> io::Result<u16> {
    let [a, b, ..] = getrandom::u32().map_err(io::Error::other)?.to_ne_bytes();
    Ok(u16::from_ne_bytes([a, b]))
}
