//! Logs at an API server that answers as it is told to.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::client::Body;
use palisade_backend::{AttachError, LogQuery, View};
use palisade_model::clock::{Clock, Timestamp};
use palisade_model::id::SandboxId;
use serde_json::json;
use uuid::Uuid;

use super::super::Target;
use super::open;
use crate::naming;
use crate::settings::Settings;
use crate::shared::Shared;

type Answered = UnsyncBoxBody<Bytes, std::io::Error>;

const ID: SandboxId = SandboxId::new(Uuid::nil());

#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH
    }
}

/// What the server answers next.
enum Answer {
    /// A stream that ends.
    Ends(String),
    /// A stream that breaks off.
    Breaks(String),
    /// The same as the first, and the sandbox is over by then.
    EndsOver(String),
    /// This status; the sandbox is over by then.
    OverAnd(u16),
    /// This status.
    Status(u16),
}

/// A server, and what it was asked for.
struct Server {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<String>>,
    shared: Mutex<Option<Arc<Shared>>>,
}

impl Server {
    fn answer(&self, uri: String) -> Response<Answered> {
        self.asked.lock().unwrap().push(uri);
        let next = self.answers.lock().unwrap().pop_front();
        match next.expect("no more is asked for") {
            Answer::Ends(text) => stream_of(text, false),
            Answer::Breaks(text) => stream_of(text, true),
            Answer::EndsOver(text) => {
                self.end();
                stream_of(text, false)
            }
            Answer::OverAnd(code) => {
                self.end();
                status(code)
            }
            Answer::Status(code) => status(code),
        }
    }

    /// Has the cluster show that the sandbox is over.
    fn end(&self) {
        let shared = self.shared.lock().unwrap();
        let shared = shared.as_ref().unwrap();
        shared.find_or_make(ID).see(|seen| {
            seen.lost = Some(View::Failed {
                at: Timestamp::EPOCH,
                reason: String::new(),
            });
        });
        shared.hints.hint(ID);
    }
}

fn stream_of(text: String, breaks: bool) -> Response<Answered> {
    let first = Ok(Frame::data(Bytes::from(text)));
    let broken = Err(std::io::Error::other("it breaks off"));
    let frames = [first].into_iter().chain(breaks.then_some(broken));
    let body = StreamBody::new(stream::iter(frames));
    Response::new(body.boxed_unsync())
}

fn status(code: u16) -> Response<Answered> {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "message": "no", "reason": "any", "metadata": {},
    });
    let mut answer = stream_of(body.to_string(), false);
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    answer
}

fn target(answers: impl IntoIterator<Item = Answer>) -> (Target, Arc<Server>) {
    let server = Arc::new(Server {
        answers: Mutex::new(answers.into_iter().collect()),
        asked: Mutex::default(),
        shared: Mutex::default(),
    });
    let here = Arc::clone(&server);
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = here.answer(request.uri().to_string());
        async { Ok::<_, Infallible>(answer) }
    });
    let client = Client::new(service, "default");
    let shared = Shared::new(client, Settings::default(), Arc::new(Still));
    shared.find_or_make(ID);
    *server.shared.lock().unwrap() = Some(Arc::clone(&shared));
    (Target::new(&shared, "default", ID), server)
}

fn pod(state: &serde_json::Value) -> Pod {
    let main = json!({
        "name": naming::MAIN_CONTAINER, "state": state, "image": "", "imageID": "",
        "ready": true, "restartCount": 0,
    });
    serde_json::from_value(json!({ "status": { "containerStatuses": [main] } })).unwrap()
}

/// A line, a nanosecond after the one before by its number.
fn line(number: u32) -> String {
    format!("2026-11-26T18:00:00.9{number:08}Z line {number}\n")
}

fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(line).collect()
}

/// What is read of such a log, and how it ends; chunks follow on each other.
async fn read(target: Target, follow: bool) -> (String, Result<(), AttachError>) {
    let query = LogQuery {
        follow,
        ..LogQuery::default()
    };
    let running = pod(&json!({ "running": {} }));
    let mut logs = open(target, ID, Some(&running), query).await.unwrap();
    let mut text = String::new();
    while let Some(chunk) = logs.chunks.recv().await {
        match chunk {
            Ok(chunk) => {
                assert_eq!(chunk.offset, text.len() as u64);
                text.push_str(std::str::from_utf8(&chunk.data).unwrap());
            }
            Err(error) => return (text, Err(error)),
        }
    }
    (text, Ok(()))
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_while_the_container_runs_is_taken_up_where_it_was() {
    let (target, server) = target([
        Answer::Ends(lines(0..2)),
        // It breaks off within a line that comes again.
        Answer::Breaks(lines(0..4) + "2026-11-26T18:00:00.9"),
        Answer::EndsOver(lines(1..5) + "2026-11-26T18:00:01Z li"),
        Answer::Ends(lines(0..5) + "2026-11-26T18:00:01Z line 5"),
    ]);
    let expected = "line 0\nline 1\nline 2\nline 3\nline 4\nline 5";
    assert_eq!(read(target, true).await, (expected.to_owned(), Ok(())));
    let asked = server.asked.lock().unwrap().clone();
    let follow = asked.iter().map(|uri| uri.contains("follow=true"));
    assert_eq!(follow.collect::<Vec<_>>(), [true, true, true, false]);
    let since = "sinceTime=2026-11-26T18%3A00%3A00Z";
    let since = asked.iter().map(|uri| uri.contains(since));
    assert_eq!(since.collect::<Vec<_>>(), [false, true, true, true]);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_read_on_is_lost_and_not_complete() {
    let refused = (0..8).map(|_| Answer::Status(503));
    let (target, _) = target([Answer::Ends(line(0))].into_iter().chain(refused));
    let read = read(target, true).await;
    assert_eq!(read, ("line 0\n".to_owned(), Err(AttachError::Lost)));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_goes_with_its_pod_is_complete_unless_it_broke_off() {
    let first = Answer::EndsOver(line(0) + "2026-11-26T18:00:01Z end");
    let (complete, _) = target([first, Answer::Status(404)]);
    let read_of_it = read(complete, true).await;
    assert_eq!(read_of_it, ("line 0\nend".to_owned(), Ok(())));

    let gone = (0..8).map(|_| Answer::OverAnd(404));
    let (broken, _) = target([Answer::Breaks(line(0))].into_iter().chain(gone));
    let read_of_it = read(broken, true).await;
    assert_eq!(read_of_it, ("line 0\n".to_owned(), Err(AttachError::Lost)));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_not_followed_ends_with_its_stream() {
    let text = line(0) + "2026-11-26T18:00:01Z end";
    let (whole, _) = target([Answer::Ends(text.clone())]);
    assert_eq!(read(whole, false).await, ("line 0\nend".to_owned(), Ok(())));
    let (broken, _) = target([Answer::Breaks(text)]);
    let read = read(broken, false).await;
    assert_eq!(read, ("line 0\n".to_owned(), Err(AttachError::Lost)));
}

#[tokio::test]
async fn what_has_not_begun_has_no_log_that_could_be_complete() {
    let waiting = pod(&json!({ "waiting": {} }));
    let (target, server) = target([]);
    let open = |target: &Target| {
        let target = target.clone();
        async { open(target, ID, Some(&waiting), LogQuery::default()).await }
    };
    let refused = open(&target).await.unwrap_err();
    assert_eq!(refused, AttachError::NotRunning);
    server.end();
    assert_eq!(open(&target).await.unwrap().chunks.recv().await, None);
}

#[tokio::test]
async fn a_reader_is_told_when_the_backend_closes() {
    let (target, _) = target([Answer::Ends(line(0))]);
    let shared = Arc::clone(&target.shared);
    let running = pod(&json!({ "running": {} }));
    let query = LogQuery {
        follow: true,
        ..LogQuery::default()
    };
    let mut logs = open(target, ID, Some(&running), query).await.unwrap();
    assert!(logs.chunks.recv().await.unwrap().is_ok());
    shared.closing.cancel();
    let told = logs.chunks.recv().await;
    assert_eq!(told, Some(Err(AttachError::Draining)));
}
