//! What the router adds to a request, beside the same request without it.
//!
//! Fifty clients with a connection each ask at a pace that leaves the processors
//! room, now directly and now through the router, so that both figures come from
//! the same minute of the same machine. Prints Markdown and judges nothing.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use palisade_http_router::{Limits, Route, Router, Side, Ways};
use palisade_model::id::SandboxId;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

const HOST: &str = "box.example.com";
const CLIENTS: usize = 50;
const ROUNDS: usize = 20;
const ASKS: usize = 20;
/// How long a client pauses between two requests.
const PACE: Duration = Duration::from_millis(50);

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Client = SendRequest<Empty<Bytes>>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let target = server(&tasks, &stop).await?;
    let ways = Ways {
        identify: Arc::new(|_| None),
        admit: Arc::new(|_, _| true),
        connect: Arc::new(|_, route| Box::pin(TcpStream::connect(route.target))),
    };
    let router = Router::new(Limits::default(), ways, stop.clone());
    let sandbox = SandboxId::new(Uuid::now_v7());
    router
        .routes()
        .insert(HOST.parse()?, Route { sandbox, target })?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let front = listener.local_addr()?;
    tasks.spawn(router.serve(listener, Side::Outside));

    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        without.extend(round(&tasks, target).await?);
        with.extend(round(&tasks, front).await?);
    }
    stop.cancel();
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{CLIENTS} connections, {} requests each way.\n",
        with.len()
    )?;
    writeln!(out, "| request | p50 | p99 |\n|---|---|---|")?;
    let (without, with) = (sorted(without), sorted(with));
    for (name, all) in [("direct", &without), ("through the router", &with)] {
        writeln!(out, "| {name} | {} | {} |", at(all, 50), at(all, 99))?;
    }
    let median = |all: &[Duration]| all[all.len() / 2];
    let added = median(&with).saturating_sub(median(&without));
    writeln!(
        out,
        "\nThe router adds {:.3} ms.",
        added.as_secs_f64() * 1e3
    )?;
    Ok(())
}

fn sorted(mut all: Vec<Duration>) -> Vec<Duration> {
    all.sort();
    all
}

fn at(sorted: &[Duration], percent: usize) -> String {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    format!("{:.3} ms", sorted[rank - 1].as_secs_f64() * 1e3)
}

/// Every client asks several times, all at once.
async fn round(tasks: &TaskTracker, address: SocketAddr) -> Result<Vec<Duration>, Failure> {
    let clients = try_join_all((0..CLIENTS).map(|_| client(tasks, address))).await?;
    let all = clients.into_iter().zip(0_u32..);
    let share = PACE / u32::try_from(CLIENTS)?;
    let asked = try_join_all(all.map(|(client, place)| ask(client, share * place))).await?;
    Ok(asked.into_iter().flatten().collect())
}

async fn client(tasks: &TaskTracker, address: SocketAddr) -> Result<Client, Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tasks.spawn(async move { drop(connection.await) });
    Ok(sender)
}

async fn ask(mut client: Client, first: Duration) -> Result<Vec<Duration>, Failure> {
    let mut pace = time::interval_at(Instant::now() + first, PACE);
    let mut took = Vec::with_capacity(ASKS);
    for asked in 0..=ASKS {
        let request = Request::get("/").header("host", HOST).body(Empty::new())?;
        client.ready().await?;
        pace.tick().await;
        let began = Instant::now();
        let answer = client.send_request(request).await?;
        let text = answer.into_body().collect().await?.to_bytes();
        // The first opens the connection behind the router.
        if asked > 0 {
            took.push(began.elapsed());
        }
        assert_eq!(text.len(), 1024);
    }
    Ok(took)
}

async fn server(tasks: &TaskTracker, stop: &CancellationToken) -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let connections = tasks.clone();
    let accept = async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Without it they are only later.
            let _ = stream.set_nodelay(true);
            connections.spawn(serve(stream));
        }
    };
    tasks.spawn(stop.clone().run_until_cancelled_owned(accept));
    Ok(address)
}

async fn serve(stream: TcpStream) {
    let service = service_fn(|_| async {
        let body = Full::new(Bytes::from_static(&[b'x'; 1024]));
        Ok::<_, Infallible>(Response::new(body))
    });
    let connection = hyper::server::conn::http1::Builder::new();
    // A client may go at any time.
    let _ = connection
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
