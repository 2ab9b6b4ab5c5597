//! Host names of the HTTP entry point: who gets to whom by them, from inside and from outside,
//! compared with the model.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use palisade_model::policy::{
    Door, EgressRules, Knock, Peers, Standing, Surroundings, Visitor, admits,
};
use palisade_model::profile::{EgressMode, Scope};
use palisade_model::sandbox::Protocol;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::super::services::{EXPOSED, caller, sandbox_addresses, standing};
use super::super::world::{HOST_ADDRESSES, Sandbox, World};
use crate::ingress::Ingress;
use crate::network::Network;
use crate::network::namespace::Namespace;

const PORT: u16 = 8080;
const PATIENCE: Duration = Duration::from_secs(10);
const DOOR: Door = Door {
    protocol: Protocol::Tcp,
    port: EXPOSED,
};

/// An entry point that serves as long as this value lives.
struct Serving {
    ingress: Arc<Ingress>,
    stop: CancellationToken,
    _runtime: Runtime,
}

impl Serving {
    fn on(network: &Network, world: &World) -> Self {
        let stop = CancellationToken::new();
        let listen = SocketAddr::from(([0; 8], PORT));
        let open = || Ingress::open(network, Some(listen), None, stop.clone());
        let ingress = Arc::new(world.host.visit(open).unwrap().unwrap().unwrap());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (handle, serving) = (runtime.handle().clone(), Arc::clone(&ingress));
        thread::spawn(move || handle.block_on(serving.serve()));
        Self {
            ingress,
            stop,
            _runtime: runtime,
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    /// The sandbox answered, with this name.
    Served(String),
    /// The router knows no such name.
    Unknown,
    /// It was not reached.
    Closed,
    Other(String),
}

fn get(from: &Namespace, to: SocketAddr, host: &str) -> Answer {
    ask(from, to, host, "connection: close\r\n")
}

fn ask(from: &Namespace, to: SocketAddr, host: &str, more: &str) -> Answer {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let head = format!("GET / HTTP/1.1\r\nhost: {host}\r\n{more}\r\n");
        stream.write_all(head.as_bytes())?;
        // Not until its end: an answer to a change of protocol leaves it open.
        let mut answer = vec![0; 4096];
        let len = stream.read(&mut answer)?;
        answer.truncate(len);
        if more.contains("close") {
            stream.read_to_end(&mut answer)?;
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    match from.visit(ask).unwrap() {
        Err(_) => Answer::Closed,
        Ok(text) if text.starts_with("HTTP/1.1 200") => {
            let body = text.split("\r\n\r\n").nth(1);
            Answer::Served(body.unwrap_or_default().to_owned())
        }
        Ok(text) if text.starts_with("HTTP/1.1 404") => Answer::Unknown,
        Ok(text) => Answer::Other(text),
    }
}

/// Answers every request with a name, until the process ends.
fn serve_http(name: String) {
    let listener = TcpListener::bind(("0.0.0.0", EXPOSED)).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, name) = (stream.unwrap(), name.clone());
            thread::spawn(move || answer_all(&mut stream, &name));
        }
    });
}

fn answer_all(stream: &mut TcpStream, name: &str) {
    let mut heard = Vec::new();
    let mut byte = [0];
    while let Ok(1) = stream.read(&mut byte) {
        heard.push(byte[0]);
        if heard.ends_with(b"\r\n\r\n") {
            heard.clear();
            let len = name.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {len}\r\n\r\n{name}");
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn host(sandbox: &Sandbox) -> String {
    format!("{}.box.test", sandbox.id)
}

/// A sandbox of ada of acme with a host name for such a scope.
fn target(network: &Network, serving: &Serving, scope: Scope) -> Sandbox {
    target_of(network, serving, "acme", scope)
}

/// Likewise, of another organization.
fn target_of(network: &Network, serving: &Serving, whose: &str, scope: Scope) -> Sandbox {
    let sandbox = caller(network, standing(whose, "ada", 1, Some(scope)));
    let name = host(&sandbox);
    sandbox.namespace.visit(move || serve_http(name)).unwrap();
    let address = sandbox_addresses(network, &sandbox)[0];
    let at = SocketAddr::new(address, EXPOSED);
    serving
        .ingress
        .open_to(sandbox.id, &host(&sandbox), at)
        .unwrap();
    sandbox
}

fn callers(network: &Network) -> Vec<Sandbox> {
    let mut standings = Vec::new();
    for (organization, user, profile) in [
        ("acme", "ada", 1),
        ("acme", "ada", 2),
        ("acme", "bob", 1),
        ("acme", "bob", 2),
        ("evil", "ada", 1),
    ] {
        for egress in [
            EgressMode::Org,
            EgressMode::User,
            EgressMode::Profile,
            EgressMode::Internet,
            EgressMode::None,
        ] {
            standings.push(Standing {
                egress,
                ..standing(organization, user, profile, None)
            });
        }
    }
    let standings = standings.into_iter();
    standings
        .map(|standing| caller(network, standing))
        .collect()
}

/// What the model says of a caller that comes to a host name.
fn predicted(standing: &Standing, target: &Sandbox) -> Answer {
    let rules = EgressRules::new(&standing.egress, &Surroundings::default());
    if rules.peers == Peers::None {
        return Answer::Closed;
    }
    let verdict = standing.reaches(&target.standing, Knock::At(DOOR));
    if verdict.is_allowed() {
        Answer::Served(host(target))
    } else {
        Answer::Unknown
    }
}

#[test]
fn a_host_name_leads_exactly_those_to_a_sandbox_whom_the_model_admits() {
    let world = World::new();
    let network = world.open();
    let serving = Serving::on(&network, &world);
    let callers = callers(&network);
    let entries = network
        .resolver()
        .iter()
        .map(|ip| SocketAddr::new(ip, PORT));
    let entries = entries.collect::<Vec<_>>();
    assert_eq!(entries.len(), 2);
    let mut count = 0;
    for scope in Scope::ALL {
        let target = target(&network, &serving, scope);
        for caller in &callers {
            for entry in &entries {
                let seen = get(&caller.namespace, *entry, &host(&target));
                let expected = predicted(&caller.standing, &target);
                assert_eq!(seen, expected, "{scope:?} {:?}", caller.standing);
                count += 1;
            }
            // The host stays closed to them, whatever listens there.
            let at_host = SocketAddr::new(HOST_ADDRESSES[0].parse().unwrap(), PORT);
            let seen = get(&caller.namespace, at_host, &host(&target));
            assert_eq!(seen, Answer::Closed, "{:?}", caller.standing);
            count += 1;
        }
        count += compare_outside(&world, &target);
        serving.ingress.close_to(target.id);
        network.detach(target.id).unwrap();
    }
    println!("{count} probes, all equal to the model");
}

/// Those outside are strangers, whatever way they come.
fn compare_outside(world: &World, target: &Sandbox) -> usize {
    let exposed = target.standing.exposed.as_ref();
    let knock = Knock::At(DOOR);
    let verdict = admits(target.standing.party(), exposed, knock, Visitor::Stranger);
    let expected = if verdict.is_allowed() {
        Answer::Served(host(target))
    } else {
        Answer::Unknown
    };
    let addresses = HOST_ADDRESSES.map(|ip| SocketAddr::new(ip.parse().unwrap(), PORT));
    for to in addresses {
        let seen = get(&world.outside, to, &host(target));
        assert_eq!(seen, expected, "{to}");
    }
    addresses.len()
}

#[test]
fn what_a_caller_does_at_the_entry_point_ends_when_its_policy_does() {
    let world = World::new();
    let network = world.open();
    let serving = Serving::on(&network, &world);
    let target = target(&network, &serving, Scope::Org);
    let member = caller(&network, standing("acme", "bob", 2, None));
    let entry = SocketAddr::new(network.resolver().v4.into(), PORT);
    let connect = || TcpStream::connect_timeout(&entry, PATIENCE);
    let mut stream = member.namespace.visit(connect).unwrap().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let name = host(&target);
    // Whether an answer comes on the connection that is open.
    let mut asks = || -> std::io::Result<()> {
        let head = format!("GET / HTTP/1.1\r\nhost: {name}\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        let (mut answer, mut byte) = (Vec::new(), [0]);
        while !answer.ends_with(name.as_bytes()) {
            stream.read_exact(&mut byte)?;
            answer.push(byte[0]);
        }
        Ok(())
    };
    asks().unwrap();
    asks().unwrap();
    member.change(&network, EgressMode::User).unwrap();
    asks().unwrap_err();
    assert_eq!(
        get(&member.namespace, entry, &host(&target)),
        Answer::Unknown
    );
    network.detach(member.id).unwrap();
    network.detach(target.id).unwrap();
    let next = caller(&network, standing("acme", "ada", 1, None));
    assert_eq!(get(&next.namespace, entry, &host(&target)), Answer::Unknown);
}

#[test]
fn the_entry_point_is_no_way_to_anything_else_inside_of_the_router() {
    let world = World::new();
    let network = world.open();
    let _serving = Serving::on(&network, &world);
    let member = caller(&network, standing("acme", "ada", 1, None));
    let other = caller(&network, standing("acme", "ada", 1, Some(Scope::Org)));
    let uplink = network.layout.router();
    let closed = network
        .resolver()
        .iter()
        .map(|ip| SocketAddr::new(ip, PORT + 1))
        // Where strangers come, and the addresses of other sandboxes.
        .chain(uplink.iter().map(|ip| SocketAddr::new(ip, PORT)))
        .chain(
            sandbox_addresses(&network, &other)
                .into_iter()
                .map(|ip: IpAddr| SocketAddr::new(ip, PORT)),
        );
    for to in closed {
        assert_eq!(get(&member.namespace, to, "x.test"), Answer::Closed, "{to}");
    }
    assert!(network.denials(member.id).unwrap() >= 4);
}

#[test]
fn no_websocket_leads_to_a_sandbox_of_another_tenant() {
    let world = World::new();
    let network = world.open();
    let serving = Serving::on(&network, &world);
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n\
                   sec-websocket-version: 13\r\n";
    let entry = SocketAddr::new(network.resolver().v4.into(), PORT);
    let thief = caller(&network, standing("evil", "ada", 1, None));
    let own = target_of(&network, &serving, "evil", Scope::Any);
    for scope in Scope::ALL {
        let target = target(&network, &serving, scope);
        for more in [
            upgrade.to_owned(),
            // Whose it says that it is.
            format!(
                "{upgrade}x-forwarded-host: {}\r\nx-forwarded-for: 10.201.0.4\r\n",
                host(&target)
            ),
        ] {
            assert_eq!(
                ask(&thief.namespace, entry, &host(&target), &more),
                Answer::Unknown
            );
        }
        // A connection that was let in for one name asks for another.
        let both = format!(
            "\r\nGET / HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n",
            host(&target)
        );
        let seen = ask(&thief.namespace, entry, &host(&own), &both);
        let Answer::Served(body) = seen else {
            panic!("its own sandbox is open to it: {seen:?}");
        };
        assert!(
            body.contains("404") && !body.contains(&host(&target)),
            "{body}"
        );
        network.detach(target.id).unwrap();
    }
}
