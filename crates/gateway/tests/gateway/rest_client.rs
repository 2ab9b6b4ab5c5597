//! A client of the calls as REST.

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use palisade_model::token::PresentedToken;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time;

use crate::rig::{GatewayProcess, PATIENCE};

/// What came back.
pub(crate) struct Answered {
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) json: Value,
}

impl Answered {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl GatewayProcess {
    pub(crate) async fn rest(
        &self,
        token: Option<&PresentedToken>,
        verb: &str,
        path: &str,
        body: Option<Value>,
    ) -> Answered {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let bearer = token.map(|token| format!("Bearer {}", token.reveal()));
        let bearer = bearer.as_ref().map(|bearer| ("authorization", &**bearer));
        self.ask((verb, path), bearer.as_slice(), body).await
    }

    /// Sends these headers and this body, whatever they are.
    pub(crate) async fn ask(
        &self,
        (verb, path): (&str, &str),
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answered {
        let request = Request::builder().method(verb).uri(path);
        let mut request = request.header("host", "x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let sent = time::timeout(PATIENCE, self.send(request)).await;
        sent.expect("an answer comes")
    }

    /// Sends a head and so much of a body whose rest never comes; what came back, as it
    /// came.
    pub(crate) async fn unfinished(
        &self,
        token: &PresentedToken,
        path: &str,
        (length, begun): (u64, &[u8]),
    ) -> String {
        let bearer = token.reveal();
        let headers = format!("authorization: Bearer {bearer}\r\ncontent-length: {length}\r\n");
        self.said(path, &headers, begun).await
    }

    /// Sends a head and a body, whole or not, before anything is read; what came back,
    /// as it came.
    pub(crate) async fn said(&self, path: &str, headers: &str, body: &[u8]) -> String {
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut answer = Vec::new();
        let talk = async {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body).await?;
            stream.read_to_end(&mut answer).await
        };
        let talked = time::timeout(PATIENCE, talk).await;
        talked.expect("an answer comes").unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Answered {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let answer = async {
            let answer = sender.send_request(request).await.unwrap();
            let (parts, body) = answer.into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            Answered {
                status: parts.status.as_u16(),
                headers: parts.headers,
                json: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            }
        };
        tokio::select! {
            answer = answer => answer,
            ended = connection => panic!("the connection ended before the answer: {ended:?}"),
        }
    }
}
