//! The output of a main process, streamed.

use super::*;

use palisade_wire::proto::v1beta2::log_stream_request::Request as LogFrame;
use palisade_wire::proto::v1beta2::log_stream_response::Response as LogAnswer;

/// A stream of logs as its client holds it.
pub(super) struct LogStream {
    frames: mpsc::Sender<pb::LogStreamRequest>,
    answers: Streaming<pb::LogStreamResponse>,
}

/// What a client saw of a log.
#[derive(Debug, Default, PartialEq)]
pub(super) struct LogSeen {
    pub(super) text: Vec<u8>,
    pub(super) session: String,
    pub(super) offset: u64,
    pub(super) end: Option<Result<(), String>>,
}

impl LogSeen {
    pub(super) fn take(&mut self, answer: LogAnswer) {
        assert_eq!(self.end, None, "nothing follows the end");
        match answer {
            LogAnswer::Data(data) => {
                assert!(!data.session_id.is_empty() && data.timestamp.is_some());
                let is_first = self.session.is_empty();
                assert!(is_first || self.session == data.session_id, "one session");
                if !is_first {
                    assert_eq!(data.offset, self.offset + data.data.len() as u64);
                }
                self.session = data.session_id;
                self.offset = data.offset;
                self.text.extend_from_slice(&data.data);
            }
            LogAnswer::Complete(_) => self.end = Some(Ok(())),
            LogAnswer::Error(error) => self.end = Some(Err(error.code)),
        }
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap()
    }
}

impl LogStream {
    pub(super) async fn send(&self, frame: LogFrame) {
        let request = Some(frame);
        self.frames
            .send(pb::LogStreamRequest { request })
            .await
            .unwrap();
    }

    pub(super) async fn next(&mut self) -> Result<Option<LogAnswer>, Status> {
        let answer = time::timeout(PATIENCE, self.answers.message()).await;
        let answer = answer.expect("the stream goes on or ends")?;
        Ok(answer.map(|answer| answer.response.expect("every frame says something")))
    }

    /// Reads to the end.
    pub(super) async fn rest(&mut self) -> Result<LogSeen, Status> {
        let mut seen = LogSeen::default();
        while let Some(answer) = self.next().await? {
            seen.take(answer);
        }
        Ok(seen)
    }

    /// Reads until so many bytes came.
    pub(super) async fn bytes(&mut self, count: usize) -> LogSeen {
        let mut seen = LogSeen::default();
        while seen.text.len() < count {
            seen.take(self.next().await.unwrap().expect("the log goes on"));
        }
        seen
    }
}

impl Plane {
    /// Opens a stream and keeps the client's half open.
    pub(super) async fn logs(&self, init: pb::LogStreamInit) -> LogStream {
        let (frames, received) = mpsc::channel(1);
        let mut client = self.client.clone();
        let answers = client.stream_logs(ReceiverStream::new(received)).await;
        let answers = answers.expect("the head is sent at once").into_inner();
        let stream = LogStream { frames, answers };
        stream.send(LogFrame::Init(init)).await;
        stream
    }

    /// Reads a log to its end, with the client's half closed at once.
    pub(super) async fn read_log(&self, init: pb::LogStreamInit) -> Result<LogSeen, Status> {
        let LogStream { frames, answers } = self.logs(init).await;
        drop(frames);
        let (frames, _) = mpsc::channel(1);
        LogStream { frames, answers }.rest().await
    }
}

pub(super) fn of(id: &str) -> pb::LogStreamInit {
    pb::LogStreamInit {
        sandbox_id: id.to_owned(),
        ..Default::default()
    }
}

fn following(id: &str) -> pb::LogStreamInit {
    pb::LogStreamInit {
        follow: true,
        ..of(id)
    }
}

fn lines(from: u32, to: u32) -> String {
    (from..to).map(|line| format!("line {line}\n")).collect()
}

fn chunk(offset: u64, data: &'static str) -> LogChunk {
    LogChunk {
        offset,
        at: Timestamp::from_micros(1_798_113_600_000_001),
        data: data.into(),
    }
}

#[tokio::test]
async fn a_log_is_read_to_its_end_while_the_sandbox_runs() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::PrintLines(3)).await;
    let seen = plane.read_log(of(&id)).await.unwrap();
    assert_eq!(
        (seen.text(), seen.end.clone()),
        (lines(0, 3).as_str(), Some(Ok(())))
    );
    assert_eq!(
        seen.offset,
        seen.text.len() as u64,
        "offsets count from zero"
    );
}

#[tokio::test]
async fn a_log_can_be_read_after_the_sandbox_ended() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::PrintLinesAndExit(2)).await;
    plane.wait_for(&id, View::is_over).await;
    for init in [of(&id), following(&id)] {
        let seen = plane.read_log(init).await.unwrap();
        assert_eq!(
            (seen.text(), seen.end.clone()),
            (lines(0, 2).as_str(), Some(Ok(())))
        );
    }
}

#[tokio::test]
async fn output_of_commands_is_no_log() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::RunUntilStopped).await;
    plane
        .run(&id, fake::command(&Job::PrintBoth(0)))
        .await
        .unwrap();
    let seen = plane.read_log(of(&id)).await.unwrap();
    assert_eq!((seen.text(), seen.end.clone()), ("", Some(Ok(()))));
}

#[tokio::test]
async fn the_last_lines_are_whole_lines_and_offsets_still_count_from_zero() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::PrintLines(20)).await;
    let init = pb::LogStreamInit {
        tail_lines: 2,
        ..of(&id)
    };
    let seen = plane.read_log(init).await.unwrap();
    assert_eq!(seen.text(), lines(18, 20));
    assert_eq!(seen.offset, seen.text.len() as u64);
}

#[tokio::test]
async fn what_was_written_before_an_instant_can_be_left_out() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let init = pb::LogStreamInit {
        since_time: Some(prost_types_timestamp(7)),
        ..of(&hand.id)
    };
    let mut stream = plane.logs(init).await;
    let (query, log) = hand.log().await;
    let expected = LogQuery {
        since: Some(Timestamp::from_micros(7_000_000)),
        ..LogQuery::default()
    };
    assert_eq!(query, expected);
    drop(log);
    assert_eq!(stream.rest().await.unwrap().end, Some(Ok(())));
}

fn prost_types_timestamp(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}

#[tokio::test]
async fn following_begins_with_the_backlog_and_ends_with_the_main_process() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::PrintLines(3)).await;
    let mut stream = plane.logs(following(&id)).await;
    assert_eq!(stream.bytes(lines(0, 3).len()).await.text(), lines(0, 3));
    plane
        .known
        .fake
        .stop(id.parse().unwrap(), PATIENCE)
        .await
        .unwrap();
    assert_eq!(stream.rest().await.unwrap().end, Some(Ok(())));
}

#[tokio::test]
async fn a_log_whose_sandbox_goes_while_it_is_followed_is_complete() {
    let plane = Plane::new().await;
    for gone in [AttachError::NotFound, AttachError::NotRunning] {
        let mut hand = plane.puppet();
        let mut stream = plane.logs(following(&hand.id)).await;
        let (_, log) = hand.log().await;
        log.send(Ok(chunk(0, "text"))).await.unwrap();
        log.send(Err(gone)).await.unwrap();
        let seen = stream.rest().await.unwrap();
        assert_eq!((seen.text(), seen.end.clone()), ("text", Some(Ok(()))));
    }
}

#[tokio::test]
async fn each_chunk_of_a_log_is_a_frame_that_waits_for_no_other() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let mut stream = plane.logs(following(&hand.id)).await;
    let (_, log) = hand.log().await;
    for (offset, text) in [(40, "a"), (41, "b\n"), (43, "\u{fffd}")] {
        log.send(Ok(chunk(offset, text))).await.unwrap();
        let Some(LogAnswer::Data(data)) = stream.next().await.unwrap() else {
            panic!("data comes");
        };
        assert_eq!(data.data, text);
    }
}

#[tokio::test]
async fn a_client_that_closes_its_half_still_follows() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let stream = plane.logs(following(&hand.id)).await;
    let (_, log) = hand.log().await;
    drop(stream.frames);
    log.send(Ok(chunk(0, "later"))).await.unwrap();
    let (frames, _) = mpsc::channel(1);
    let answers = stream.answers;
    let mut stream = LogStream { frames, answers };
    assert_eq!(stream.bytes(5).await.text(), "later");
}

#[tokio::test]
async fn close_ends_following_and_forgets_the_session() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let mut stream = plane.logs(following(&hand.id)).await;
    let (_, log) = hand.log().await;
    log.send(Ok(chunk(0, "text"))).await.unwrap();
    stream.bytes(4).await;
    stream.send(LogFrame::Close(pb::LogStreamClose {})).await;
    assert_eq!(stream.rest().await.unwrap().end, Some(Ok(())));
    time::timeout(PATIENCE, log.closed())
        .await
        .expect("the log is closed");
    assert_eq!(plane.data.sessions.len(), 0);
}

#[tokio::test]
async fn each_line_begins_with_its_instant_if_asked() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let init = pb::LogStreamInit {
        timestamps: true,
        ..of(&hand.id)
    };
    let mut stream = plane.logs(init).await;
    let (_, log) = hand.log().await;
    for (offset, text) in [(0, "one\ntw"), (6, "o\n"), (8, "three")] {
        log.send(Ok(chunk(offset, text))).await.unwrap();
    }
    drop(log);
    let seen = stream.rest().await.unwrap();
    let at = "2026-12-24T12:00:00.000001Z";
    assert_eq!(seen.text(), format!("{at} one\n{at} two\n{at} three"));
    assert_eq!(seen.offset, seen.text.len() as u64);
}

#[tokio::test]
async fn an_absent_sandbox_has_no_log() {
    let plane = Plane::new().await;
    let status = plane
        .read_log(of(&Uuid::now_v7().to_string()))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(reason(&status), "CWSANDBOX_SANDBOX_NOT_FOUND");
}

#[tokio::test]
async fn a_log_that_is_no_longer_kept_is_told_apart_from_one_that_is_not_there_yet() {
    let plane = Plane::new().await;
    let over = plane.puppet_that(Phase::Completed, Some(AttachError::NotFound));
    let status = plane.read_log(of(&over.id)).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::NotFound, "CWSANDBOX_RESOURCE_NOT_FOUND")
    );
    assert_eq!(fact(&status, "sandbox_id"), Some(over.id));
    for (phase, name) in [(Phase::Creating, "CREATING"), (Phase::Pending, "PENDING")] {
        for error in [AttachError::NotFound, AttachError::NotRunning] {
            let early = plane.puppet_that(phase, Some(error));
            let status = plane.read_log(of(&early.id)).await.unwrap_err();
            assert_eq!(status.code(), Code::FailedPrecondition);
            assert_eq!(reason(&status), "CWSANDBOX_SANDBOX_NOT_RUNNING");
            assert_eq!(fact(&status, "sandbox_id").as_ref(), Some(&early.id));
            assert_eq!(fact(&status, "status").as_deref(), Some(name));
        }
    }
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_with_its_field() {
    let plane = Plane::new().await;
    let init = pb::LogStreamInit {
        tail_lines: -1,
        ..of(&Uuid::now_v7().to_string())
    };
    let status = plane.read_log(init).await.unwrap_err();
    let details = status.get_error_details();
    assert_eq!(
        details.bad_request().unwrap().field_violations[0].field,
        "tail_lines"
    );
}

#[tokio::test]
async fn a_frame_that_has_no_place_ends_the_stream_with_an_error_frame() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let mut stream = plane.logs(following(&hand.id)).await;
    let (_, _log) = hand.log().await;
    stream.send(LogFrame::Init(of("x"))).await;
    let seen = stream.rest().await.unwrap();
    assert_eq!(seen.end, Some(Err("INVALID_REQUEST".to_owned())));
}
