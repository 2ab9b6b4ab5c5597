//! A resolver with somebody who asks and somebody to ask.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use palisade_model::id::{ProfileId, SandboxId};
use palisade_model::policy::{Standing, Surroundings};
use palisade_model::profile::EgressMode;
use palisade_model::sandbox::Owner;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::super::{Cause, Config, Directory, Resolver, RunError, Tally, Upstreams};
use crate::network::{Addresses, Listening, Outward};

/// Far more than anything takes here.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Who asks.
pub(super) const ASKER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 9, 9, 9));

/// The sandbox that asks.
pub(super) const ASKER_ID: SandboxId = SandboxId::new(Uuid::from_u128(9));
pub(super) const ASKER_ADDRESSES: Addresses = Addresses {
    v4: Ipv4Addr::new(127, 9, 9, 9),
    v6: None,
};

/// How often a port is looked for that is free for both protocols.
const TRIES: u32 = 100;

/// How a question came to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Datagram,
    Stream,
}

type Behaviour = dyn Fn(&Message, Way) -> Vec<Vec<u8>> + Send + Sync;
type Seen = Arc<Mutex<BTreeSet<(u16, u16)>>>;

/// A server that answers as it is told.
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    asked: Arc<AtomicUsize>,
    /// Where datagrams came from, and with which id.
    pub(super) seen: Seen,
    _tasks: JoinSet<()>,
}

impl Upstream {
    /// `behave` turns a question into the packets that are sent back.
    pub(super) async fn new(
        behave: impl Fn(&Message, Way) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let behave: Arc<Behaviour> = Arc::new(behave);
        let asked = Arc::new(AtomicUsize::new(0));
        let seen = Arc::new(Mutex::new(BTreeSet::new()));
        let (listener, socket) = bound().await;
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        let counts = (Arc::clone(&asked), Arc::clone(&seen));
        tasks.spawn(answer_datagrams(socket, Arc::clone(&behave), counts));
        tasks.spawn(answer_streams(listener, behave));
        Self {
            address,
            asked,
            seen,
            _tasks: tasks,
        }
    }

    /// Answers every question with these records.
    pub(super) async fn saying(data: impl IntoIterator<Item = RData>) -> Self {
        let data = data.into_iter().collect::<Vec<_>>();
        Self::new(move |question, _| vec![answer(question, &data).to_vec().unwrap()]).await
    }

    /// Hears everything and says nothing.
    pub(super) async fn silent() -> Self {
        Self::new(|_, _| Vec::new()).await
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// A resolver that is being served.
pub(super) struct Stage {
    pub(super) resolver: SocketAddr,
    pub(super) directory: Directory,
    pub(super) tally: Arc<Tally>,
    pub(super) stop: CancellationToken,
    pub(super) tasks: JoinSet<Result<(), RunError>>,
}

impl Stage {
    pub(super) fn new(mode: &EgressMode, upstreams: &[&Upstream]) -> Self {
        let addresses = upstreams.iter().map(|upstream| upstream.address);
        Self::with(mode, Upstreams::Fixed(addresses.collect()))
    }

    pub(super) fn with(mode: &EgressMode, upstreams: Upstreams) -> Self {
        let directory = Directory::default();
        directory.surround(Surroundings {
            host: vec!["93.184.216.2/32".parse().unwrap()],
            sandboxes: vec!["10.201.0.0/16".parse().unwrap()],
            control: vec!["151.101.0.9/32".parse().unwrap()],
            cluster: vec!["52.0.0.0/24".parse().unwrap()],
        });
        directory.insert(ASKER_ID, ASKER_ADDRESSES, &standing(mode));
        let listen = || Listening::on([Ipv4Addr::LOCALHOST.into()].into_iter(), 0);
        let listening = (0..TRIES).find_map(|_| listen().ok()).unwrap();
        let resolver = listening.datagrams[0].local_addr().unwrap();
        let config = Config {
            upstreams,
            attempt: Duration::from_millis(400),
        };
        let outward = Outward::here().unwrap();
        let opened = Resolver::new(listening, outward, directory.clone(), config).unwrap();
        let (tally, stop) = (opened.tally(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(opened.run(stop.clone()));
        Self {
            resolver,
            directory,
            tally,
            stop,
            tasks,
        }
    }

    pub(super) fn refused(&self, cause: Cause) -> u64 {
        let counts = self.tally.counts();
        counts.refused.get(&cause).copied().unwrap_or(0)
    }

    /// A socket of the sandbox.
    pub(super) async fn socket(&self) -> UdpSocket {
        let socket = UdpSocket::bind((ASKER, 0)).await.unwrap();
        socket.connect(self.resolver).await.unwrap();
        socket
    }

    /// A connection of the sandbox.
    pub(super) async fn connect(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((ASKER, 0).into()).unwrap();
        socket.connect(self.resolver).await.unwrap()
    }

    pub(super) async fn ask(&self, name: &str, kind: RecordType) -> Message {
        self.put(&question(name, kind)).await
    }

    /// Sends a question and returns the answer, which must come.
    pub(super) async fn put(&self, question: &Message) -> Message {
        let answer = self.exchange(&question.to_vec().unwrap()).await;
        let answer = Message::from_vec(&answer).unwrap();
        assert_eq!(answer.metadata.id, question.metadata.id);
        assert_eq!(answer.metadata.message_type, MessageType::Response);
        answer
    }

    pub(super) async fn exchange(&self, packet: &[u8]) -> Vec<u8> {
        let socket = self.socket().await;
        socket.send(packet).await.unwrap();
        let mut buffer = vec![0; 65536];
        let len = timeout(PATIENCE, socket.recv(&mut buffer))
            .await
            .expect("an answer must come")
            .unwrap();
        buffer.truncate(len);
        buffer
    }

    pub(super) async fn put_by_stream(&self, question: &Message) -> Message {
        let mut stream = self.connect().await;
        send(&mut stream, &question.to_vec().unwrap())
            .await
            .unwrap();
        let answer = timeout(PATIENCE, receive(&mut stream)).await.unwrap();
        Message::from_vec(&answer.expect("an answer must come")).unwrap()
    }
}

/// The standing of ada's sandbox, which exposes nothing.
pub(super) fn standing(mode: &EgressMode) -> Standing {
    Standing {
        owner: Owner {
            organization: "acme".parse().unwrap(),
            user: "ada".parse().unwrap(),
        },
        profile: ProfileId::new(Uuid::from_u128(1)),
        egress: mode.clone(),
        exposed: None,
    }
}

async fn answer_datagrams(
    socket: UdpSocket,
    behave: Arc<Behaviour>,
    (asked, seen): (Arc<AtomicUsize>, Seen),
) {
    let mut buffer = [0; 4096];
    loop {
        let (len, from) = socket.recv_from(&mut buffer).await.unwrap();
        let question = Message::from_vec(&buffer[..len]).unwrap();
        asked.fetch_add(1, Ordering::Relaxed);
        seen.lock()
            .unwrap()
            .insert((from.port(), question.metadata.id));
        for packet in behave(&question, Way::Datagram) {
            // Who asked may have given up.
            let _ = socket.send_to(&packet, from).await;
        }
    }
}

async fn answer_streams(listener: TcpListener, behave: Arc<Behaviour>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let Some(question) = receive(&mut stream).await else {
            continue;
        };
        let question = Message::from_vec(&question).unwrap();
        for packet in behave(&question, Way::Stream) {
            let _ = send(&mut stream, &packet).await;
        }
    }
}

/// The same port for both protocols.
async fn bound() -> (TcpListener, UdpSocket) {
    for _ in 0..TRIES {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()).await {
            return (listener, socket);
        }
    }
    panic!("no port is free for both protocols");
}

pub(super) async fn send(stream: &mut TcpStream, packet: &[u8]) -> std::io::Result<()> {
    let len = u16::try_from(packet.len()).unwrap();
    stream
        .write_all(&[&len.to_be_bytes(), packet].concat())
        .await
}

/// `None` at the end of the connection.
pub(super) async fn receive(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let len = stream.read_u16().await.ok()?;
    let mut packet = vec![0; len.into()];
    stream.read_exact(&mut packet).await.ok()?;
    Some(packet)
}

pub(super) fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message
        .queries
        .push(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

/// The same, by somebody who takes datagrams of this length.
pub(super) fn with_payload(mut question: Message, payload: u16) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(payload);
    question.edns = Some(edns);
    question
}

/// An answer of an upstream server.
pub(super) fn answer(question: &Message, data: &[RData]) -> Message {
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    answer.queries.clone_from(&question.queries);
    let name = &question.queries[0].name;
    answer.answers = data
        .iter()
        .map(|data| Record::from_rdata(name.clone(), 60, data.clone()))
        .collect();
    answer
}

/// An address record.
pub(super) fn address(text: &str) -> RData {
    match text.parse().unwrap() {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}

pub(super) fn alias(name: &str) -> RData {
    RData::CNAME(CNAME(Name::from_ascii(name).unwrap()))
}

/// A record of about this length.
pub(super) fn text(len: usize) -> RData {
    RData::TXT(TXT::new(vec!["x".repeat(200); len / 200]))
}

pub(super) fn addresses(answer: &Message) -> Vec<String> {
    let found = answer
        .answers
        .iter()
        .filter_map(|record| record.data.ip_addr());
    found.map(|address| address.to_string()).collect()
}
