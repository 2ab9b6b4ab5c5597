//! A router on a port of its own, servers in the place of sandboxes, and clients
//! that send exactly what they are told.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use palisade_http_router::{Caller, Limits, Route, Router, Side, Visitor, Ways};
use palisade_model::id::SandboxId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub(crate) const HOST: &str = "box.example.com";
/// The longest that anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A router that serves until it is dropped.
pub(crate) struct Place {
    pub(crate) router: Router,
    pub(crate) address: SocketAddr,
    /// The door of the caller.
    pub(crate) inside: SocketAddr,
    pub(crate) caller: Caller,
    pub(crate) tasks: TaskTracker,
    /// What strangers may not have.
    private: Arc<Mutex<BTreeSet<SandboxId>>>,
    stop: CancellationToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Place {
    pub(crate) async fn new(limits: Limits) -> Self {
        let stop = CancellationToken::new();
        let caller = Caller {
            sandbox: SandboxId::new(Uuid::now_v7()),
            room: Arc::new(Semaphore::new(2)),
            gone: CancellationToken::new(),
        };
        let private = Arc::new(Mutex::new(BTreeSet::new()));
        let ways = ways(&caller, Arc::clone(&private));
        let router = Router::new(limits, ways, stop.clone());
        let tasks = TaskTracker::new();
        let mut doors = Vec::new();
        for side in [Side::Outside, Side::Inside] {
            let listener = TcpListener::bind("127.0.0.1:0")
                .await
                .expect("loopback works");
            doors.push(listener.local_addr().expect("it is bound"));
            tasks.spawn(router.clone().serve(listener, side));
        }
        Self {
            router,
            address: doors[0],
            inside: doors[1],
            caller,
            tasks,
            private,
            stop,
        }
    }

    /// Keeps a sandbox from strangers.
    pub(crate) fn close_to_strangers(&self, sandbox: SandboxId) {
        let mut private = self.private.lock().expect("nobody panicked");
        private.insert(sandbox);
    }

    /// Routes a name to an address.
    pub(crate) fn route(&self, host: &str, target: SocketAddr) -> SandboxId {
        let sandbox = SandboxId::new(Uuid::now_v7());
        let route = Route { sandbox, target };
        let host = host.parse().expect("it is a name");
        self.router
            .routes()
            .insert(host, route)
            .expect("the name is free");
        sandbox
    }

    /// A server that gives every connection to `serve`.
    pub(crate) async fn server<F>(
        &self,
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> SocketAddr
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback works");
        let address = listener.local_addr().expect("it is bound");
        let tasks = self.tasks.clone();
        let stop = self.stop.clone();
        self.tasks.spawn(stop.run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client may go at any time.
                tasks.spawn(serve(stream));
            }
        }));
        address
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address)
            .await
            .expect("loopback works")
    }

    /// Sends one request on a connection that ends with the answer.
    pub(crate) async fn ask(&self, request: &str) -> String {
        self.ask_at(self.address, request).await
    }

    /// Likewise at another door.
    pub(crate) async fn ask_at(&self, door: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(door).await.expect("loopback works");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("loopback works");
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        timeout(PATIENCE, read)
            .await
            .expect("it answers")
            .expect("it ends");
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub(crate) async fn get(&self, host: &str, more: &str) -> String {
        let head =
            format!("GET /a?b=c HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{more}\r\n");
        self.ask(&head).await
    }
}

/// Whoever comes from inside is one caller; strangers get what is not private.
fn ways(caller: &Caller, private: Arc<Mutex<BTreeSet<SandboxId>>>) -> Ways {
    let caller = caller.clone();
    Ways {
        identify: Arc::new(move |_| (!caller.gone.is_cancelled()).then(|| caller.clone())),
        admit: Arc::new(move |visitor, route| match visitor {
            Visitor::Stranger => {
                let private = private.lock().expect("nobody panicked");
                !private.contains(&route.sandbox)
            }
            Visitor::Sandbox(_) => true,
        }),
        connect: Arc::new(|_, route| Box::pin(TcpStream::connect(route.target))),
    }
}

/// Reads until a head has ended.
pub(crate) async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let read = async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        io::Result::Ok(())
    };
    timeout(PATIENCE, read)
        .await
        .expect("a head arrives")
        .expect("it is whole");
    String::from_utf8(head).expect("a head is text")
}

/// A server that answers every request with what it heard, and a name.
pub(crate) async fn echo(mut stream: TcpStream, name: &'static str) -> io::Result<()> {
    loop {
        let heard = head(&mut stream).await;
        let text = format!("{name}\n{heard}");
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        );
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// An address at which nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback works");
    listener.local_addr().expect("it is bound")
}
