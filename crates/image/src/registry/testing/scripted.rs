//! A server on a free port of this machine that answers as a test tells it,
//! with half an answer if need be.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The path, with the query.
    pub(crate) path: String,
    /// By name in lower case.
    pub(crate) headers: HashMap<String, String>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What a request gets.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    head: String,
    body: Vec<u8>,
    end: End,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    /// Nothing more comes, until the client goes.
    Hold,
    /// The body again and again, until the client goes.
    Repeat,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self {
            head: format!("HTTP/1.1 {status} it\r\nconnection: close\r\n"),
            body: Vec::new(),
            end: End::Close,
        }
    }

    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let length = body.len().to_string();
        let reply = Self::status(200).header("content-length", &length);
        Self { body, ..reply }
    }

    pub(crate) fn to(address: &str) -> Self {
        Self::status(307).header("location", address)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head.extend([name, ": ", value, "\r\n"]);
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Only the beginning, then the end of the connection.
    pub(crate) fn cut(mut self, bytes: usize) -> Self {
        self.body.truncate(bytes);
        self
    }

    pub(crate) fn hold(mut self) -> Self {
        self.end = End::Hold;
        self
    }

    pub(crate) fn repeat(mut self) -> Self {
        self.end = End::Repeat;
        self
    }

    async fn write(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        stream.write_all(self.head.as_bytes()).await?;
        stream.write_all(b"\r\n").await?;
        stream.write_all(&self.body).await?;
        stream.flush().await?;
        match self.end {
            End::Close => stream.shutdown().await,
            End::Hold => stream.read(&mut [0]).await.map(drop),
            End::Repeat => loop {
                stream.write_all(&self.body).await?;
            },
        }
    }
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;

/// The server; it ends with the value.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    _stop: DropGuard,
}

impl Scripted {
    pub(crate) async fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (seen, ended, script) = (
            requests.clone(),
            stop.clone(),
            Arc::<Script>::from(Box::new(script) as Box<Script>),
        );
        let connections = tasks.clone();
        tasks.spawn(ended.clone().run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let work = answer(stream, seen.clone(), script.clone());
                connections.spawn(ended.clone().run_until_cancelled_owned(work));
            }
        }));
        Self {
            address,
            requests,
            _stop: stop.drop_guard(),
        }
    }

    /// A name in this registry.
    pub(crate) fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }

    /// What has been asked for so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Requests whose path holds `text`.
    pub(crate) fn requests_for(&self, text: &str) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| request.path.contains(text));
        requests
    }
}

async fn answer(mut stream: TcpStream, seen: Arc<Mutex<Vec<Request>>>, script: Arc<Script>) {
    let Some(request) = read(&mut stream).await else {
        return;
    };
    seen.lock().unwrap().push(request.clone());
    // The client may go in the middle; that is its right.
    let _ = script(&request).write(&mut stream).await;
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(head).ok()?;
    let mut lines = text.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers = lines.filter_map(|line| line.split_once(": "));
    Some(Request {
        path,
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
    })
}
