//! Streams on which nothing is said for long, in time that is not real.

use futures_util::StreamExt as _;

use super::disorder::{caller, plane_with};
use super::*;

const DAY: Duration = Duration::from_hours(24);

/// A plane without a socket, and a sandbox in it.
fn quiet_plane() -> (DataPlane, Hand) {
    let known = Arc::new(Known {
        fake: Fake::open(Arc::new(World::default())),
        puppets: Mutex::default(),
    });
    let hand = known.puppet_that(Phase::Running, None);
    (plane_with(known), hand)
}

#[tokio::test(start_paused = true)]
async fn a_command_may_say_nothing_for_a_day() {
    let (data, mut hand) = quiet_plane();
    let (frames, received) = mpsc::channel(2);
    let frame = |request| {
        Ok(pb::ExecStreamRequest {
            request: Some(request),
        })
    };
    let first = frame(init(&hand.id, words(&["cat"])));
    frames.send(first).await.unwrap();
    let answers = data.exec_stream(caller(), ReceiverStream::new(received));
    let mut answers = answers.unwrap();
    let (_, mut strings) = hand.exec().await;
    strings.tell(ExecEvent::Started).await;
    answers.next().await.unwrap().unwrap();
    for _ in 0..2 {
        time::sleep(DAY).await;
        frames.send(frame(stdin("still here"))).await.unwrap();
        let Some(ExecInput::Stdin(data)) = strings.input().await else {
            panic!("input comes");
        };
        strings.tell(ExecEvent::Stdout(data)).await;
        answers.next().await.unwrap().unwrap();
    }
    strings.tell(ExecEvent::Exit(Exit(0))).await;
    let last = answers.next().await.unwrap().unwrap().response;
    assert!(matches!(last, Some(Answer::Exit(_))), "{last:?}");
    assert!(answers.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_log_may_say_nothing_for_a_day() {
    let (data, mut hand) = quiet_plane();
    let first = pb::LogStreamRequest {
        request: Some(pb::log_stream_request::Request::Init(pb::LogStreamInit {
            sandbox_id: hand.id.clone(),
            follow: true,
            ..Default::default()
        })),
    };
    let frames = futures_util::stream::iter([Ok(first)]).chain(futures_util::stream::pending());
    let mut answers = data.log_stream(caller(), frames).unwrap();
    let (_, log) = hand.log().await;
    time::sleep(DAY).await;
    let chunk = LogChunk {
        offset: 0,
        at: Timestamp::EPOCH,
        data: "late\n".into(),
    };
    log.send(Ok(chunk)).await.unwrap();
    answers.next().await.unwrap().unwrap();
    time::sleep(DAY).await;
    drop(log);
    let last = answers.next().await.unwrap().unwrap().response;
    let is_complete = matches!(last, Some(pb::log_stream_response::Response::Complete(_)));
    assert!(is_complete, "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_told_so_after_a_while() {
    let (data, mut hand) = quiet_plane();
    let first = pb::ExecStreamRequest {
        request: Some(init(&hand.id, words(&["yes"]))),
    };
    let frames = futures_util::stream::iter([Ok(first)]).chain(futures_util::stream::pending());
    let answers = data.exec_stream(caller(), frames).unwrap();
    let (_, strings) = hand.exec().await;
    strings.tell(ExecEvent::Started).await;
    let event = || ExecEvent::Stdout("y".into());
    while strings.events.send(event()).await.is_ok() {}
    let seen: Vec<_> = answers.collect().await;
    let last = seen.last().unwrap().as_ref().unwrap().response.as_ref();
    let Some(Answer::Error(error)) = last else {
        panic!("an error is last, not {last:?}");
    };
    assert_eq!(error.code, "STREAM_BACKPRESSURE");
}
