//! Clients that lost their stream of logs and go on in another one.

use super::logs::{LogSeen, LogStream, of};
use super::*;

use palisade_wire::proto::v1beta2::log_stream_response::Response as LogAnswer;

const TEXT: &[u8] = b"0123456789\nabcdefghij\n";

fn at(offset: u64) -> LogChunk {
    let start = usize::try_from(offset - 100).unwrap();
    LogChunk {
        offset,
        at: Timestamp::from_micros(1_798_113_600_000_000),
        data: Bytes::from_static(&TEXT[start..]),
    }
}

fn resuming(id: &str, session: &str, offset: u64) -> pb::LogStreamInit {
    pb::LogStreamInit {
        resume_session_id: session.to_owned(),
        resume_offset: offset,
        // Not looked at when a session is resumed.
        tail_lines: -1,
        ..of(id)
    }
}

/// A session that delivered all of the text, and whose stream is held.
async fn session(plane: &Plane, hand: &mut Hand, timestamps: bool) -> (LogStream, LogSeen) {
    let init = pb::LogStreamInit {
        follow: true,
        timestamps,
        ..of(&hand.id)
    };
    let mut stream = plane.logs(init).await;
    let (_, log) = hand.log().await;
    log.send(Ok(at(100))).await.unwrap();
    let seen = stream.bytes(TEXT.len()).await;
    // The log stays open for as long as its stream.
    plane
        .data
        .means
        .tasks
        .spawn(async move { log.closed().await });
    (stream, seen)
}

#[tokio::test]
async fn an_unknown_session_is_told_in_band_and_the_status_is_ok() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::PrintLines(1)).await;
    let seen = plane.read_log(resuming(&id, "never-was", 0)).await.unwrap();
    assert_eq!(seen.end, Some(Err("SESSION_NOT_FOUND".to_owned())));
}

#[tokio::test]
async fn a_session_goes_on_behind_the_bytes_that_the_client_has() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let (stream, first) = session(&plane, &mut hand, false).await;
    drop(stream);
    let mut resumed = plane.logs(resuming(&hand.id, &first.session, 5)).await;
    let (query, log) = hand.log().await;
    let expected = LogQuery {
        from_offset: Some(100),
        follow: true,
        ..LogQuery::default()
    };
    assert_eq!(query, expected);
    log.send(Ok(at(100))).await.unwrap();
    drop(log);
    let seen = resumed.rest().await.unwrap();
    assert_eq!(seen.text, &TEXT[5..]);
    assert_eq!(
        (seen.session, seen.offset),
        (first.session, TEXT.len() as u64)
    );
    assert_eq!(seen.end, Some(Ok(())));
}

#[tokio::test]
async fn a_session_with_instants_goes_on_at_the_same_places() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let (stream, _) = session(&plane, &mut hand, true).await;
    drop(stream);
    let (stream, first) = session(&plane, &mut hand, true).await;
    drop(stream);
    let middle = 40;
    let mut resumed = plane.logs(resuming(&hand.id, &first.session, middle)).await;
    let (_, log) = hand.log().await;
    log.send(Ok(at(100))).await.unwrap();
    drop(log);
    let seen = resumed.rest().await.unwrap();
    let from = usize::try_from(middle).unwrap();
    assert_eq!(
        seen.text,
        first.text[from..],
        "the same bytes at the same places"
    );
    assert_eq!(seen.offset, first.offset);
}

#[tokio::test]
async fn a_place_that_was_never_delivered_is_refused() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let (_stream, first) = session(&plane, &mut hand, false).await;
    let init = resuming(&hand.id, &first.session, first.offset + 1);
    let seen = plane.read_log(init).await.unwrap();
    assert_eq!(seen.end, Some(Err("INVALID_RESUME_OFFSET".to_owned())));
}

#[tokio::test]
async fn a_part_that_is_no_longer_kept_is_a_gap() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let (stream, first) = session(&plane, &mut hand, false).await;
    drop(stream);
    let mut resumed = plane.logs(resuming(&hand.id, &first.session, 0)).await;
    let (_, log) = hand.log().await;
    let gap = AttachError::LogGap { first_kept: 1_000 };
    log.send(Err(gap)).await.unwrap();
    assert_eq!(
        resumed.rest().await.unwrap().end,
        Some(Err("REPLAY_GAP".to_owned()))
    );
}

#[tokio::test]
async fn a_session_is_known_to_nobody_else() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let (stream, first) = session(&plane, &mut hand, false).await;
    drop(stream);
    let other = plane.puppet();
    let seen = plane
        .read_log(resuming(&other.id, &first.session, 0))
        .await
        .unwrap();
    assert_eq!(seen.end, Some(Err("SESSION_NOT_FOUND".to_owned())));
    for (key, name) in [("organization", "other"), ("user", "eve")] {
        let frames = [resuming(&hand.id, &first.session, 0)].map(|init| pb::LogStreamRequest {
            request: Some(pb::log_stream_request::Request::Init(init)),
        });
        let mut request = Request::new(tokio_stream::iter(frames));
        request.metadata_mut().insert(key, name.parse().unwrap());
        let opened = plane.client.clone().stream_logs(request).await;
        let mut answers = opened.unwrap().into_inner();
        let answer = time::timeout(PATIENCE, answers.message()).await;
        let answer = answer.expect("it is refused").unwrap().unwrap();
        let Some(LogAnswer::Error(error)) = answer.response else {
            panic!("a session of another {key} is not found");
        };
        assert_eq!(error.code, "SESSION_NOT_FOUND");
    }
}

#[tokio::test]
async fn a_stream_whose_session_went_on_elsewhere_ends() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let (mut stream, first) = session(&plane, &mut hand, false).await;
    let _resumed = plane.logs(resuming(&hand.id, &first.session, 0)).await;
    let (_, _log) = hand.log().await;
    let end = stream.rest().await.unwrap().end;
    assert_eq!(end, Some(Err("SESSION_TAKEN_OVER".to_owned())));
}

#[tokio::test]
async fn a_runner_that_is_lost_is_a_status_and_the_session_can_go_on() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let init = pb::LogStreamInit {
        follow: true,
        ..of(&hand.id)
    };
    let mut stream = plane.logs(init).await;
    let (_, log) = hand.log().await;
    log.send(Ok(at(100))).await.unwrap();
    let first = stream.bytes(TEXT.len()).await;
    log.send(Err(AttachError::Lost)).await.unwrap();
    let status = stream.rest().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(reason(&status), "CWSANDBOX_RUNNER_UNAVAILABLE");
    assert_eq!(fact(&status, "runner_id").as_deref(), Some("local"));
    let mut resumed = plane
        .logs(resuming(&hand.id, &first.session, first.offset))
        .await;
    let (query, log) = hand.log().await;
    assert_eq!(query.from_offset, Some(100));
    log.send(Ok(at(100))).await.unwrap();
    drop(log);
    assert_eq!(
        resumed.rest().await.unwrap().text(),
        "",
        "nothing comes twice"
    );
}

#[tokio::test]
async fn a_session_that_was_read_to_its_end_can_be_resumed_too() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::PrintLinesAndExit(3)).await;
    plane.wait_for(&id, View::is_over).await;
    let first = plane.read_log(of(&id)).await.unwrap();
    let seen = plane
        .read_log(resuming(&id, &first.session, 7))
        .await
        .unwrap();
    assert_eq!(
        (seen.text(), seen.end.clone()),
        ("line 1\nline 2\n", Some(Ok(())))
    );
}
