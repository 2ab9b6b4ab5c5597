//! Clients that do not keep to the protocol.

use futures_util::{StreamExt as _, stream};
use palisade_wire::proto::v1beta2::exec_stream_response::Response;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::*;
use crate::data::departure::Departure;
use crate::data::streaming::Caller;

async fn ends_with(plane: &Plane, frames: Vec<ExecFrame>) -> Vec<Result<i32, String>> {
    let mut hand = plane.puppet();
    let mut stream = plane.stream(&hand.id, words(&["sh"])).await;
    let (_, strings) = hand.exec().await;
    strings.tell(ExecEvent::Started).await;
    for frame in frames {
        stream.send(frame).await;
    }
    let seen = Seen::of(&mut stream.answers).await.unwrap();
    let killed = time::timeout(PATIENCE, strings.events.closed()).await;
    killed.expect("the command is killed");
    seen.ends
}

#[tokio::test]
async fn a_frame_that_has_no_place_ends_the_command_with_an_error_frame() {
    let plane = Plane::new().await;
    let resize = |width| ExecFrame::Resize(pb::ExecStreamResize { width, height: 1 });
    for frames in [
        vec![init("x", words(&["ls"]))],
        vec![close(), stdin("x")],
        vec![resize(1)],
        vec![resize(70_000)],
    ] {
        let expected = [Err("INVALID_REQUEST".to_owned())];
        assert_eq!(
            ends_with(&plane, frames.clone()).await,
            expected,
            "{frames:?}"
        );
    }
}

#[tokio::test]
async fn a_frame_of_an_unknown_kind_ends_the_command_with_an_error_frame() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let mut stream = plane.stream(&hand.id, words(&["sh"])).await;
    let (_, _strings) = hand.exec().await;
    stream
        .frames
        .send(pb::ExecStreamRequest { request: None })
        .await
        .unwrap();
    let seen = Seen::of(&mut stream.answers).await.unwrap();
    assert_eq!(seen.ends, [Err("INVALID_REQUEST".to_owned())]);
}

#[tokio::test]
async fn a_stream_that_does_not_begin_with_init_is_refused() {
    let plane = Plane::new().await;
    for frame in [Some(stdin("x")), None] {
        let mut stream = plane.empty_stream().await;
        if let Some(frame) = frame {
            stream.send(frame).await;
        }
        drop(stream.frames);
        let status = Seen::of(&mut stream.answers).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        assert_eq!(
            details.bad_request().unwrap().field_violations[0].field,
            "init"
        );
    }
}

#[tokio::test]
async fn a_request_with_wrong_fields_names_them() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::RunUntilStopped).await;
    let status = plane.run(&id, Vec::new()).await.unwrap_err();
    let details = status.get_error_details();
    assert_eq!(
        details.bad_request().unwrap().field_violations[0].field,
        "command"
    );
    let nobody = plane.run("", words(&["ls"])).await.unwrap_err();
    let details = nobody.get_error_details();
    assert_eq!(
        details.bad_request().unwrap().field_violations[0].field,
        "sandbox_id"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_says_nothing_is_given_up() {
    let data = plane_without_socket();
    let answers = data.exec_stream(caller(), stream::pending()).unwrap();
    let seen: Vec<_> = answers.collect().await;
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].as_ref().unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_frame_beyond_the_limit_ends_the_stream() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let mut stream = plane.stream(&hand.id, words(&["cat"])).await;
    let (_, strings) = hand.exec().await;
    let too_large = vec![0; crate::gateway::MESSAGE_BYTES_MAX + 1];
    let _ = stream
        .frames
        .send(pb::ExecStreamRequest {
            request: Some(stdin(too_large)),
        })
        .await;
    let status = Seen::of(&mut stream.answers).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_error_details();
    let reason = &details.error_info().unwrap().reason;
    assert_eq!(reason, Reason::RequestTooLarge.as_str());
    let killed = time::timeout(PATIENCE, strings.events.closed()).await;
    killed.expect("the command is killed");
}

pub(super) fn caller() -> Caller {
    Caller {
        context: context("acme"),
        deadline: None,
        departure: Departure::default(),
    }
}

fn plane_without_socket() -> DataPlane {
    let world = Arc::new(World::default());
    plane_with(Arc::new(Known {
        fake: Fake::open(world),
        puppets: Mutex::default(),
    }))
}

pub(super) fn plane_with(known: Arc<Known>) -> DataPlane {
    let means = Means {
        clock: Arc::new(TestClock(time::Instant::now())),
        ids: Arc::new(TestIds),
        visits: Visits::default(),
        tasks: TaskTracker::new(),
        stop: CancellationToken::new(),
        call_time: PATIENCE,
        streams_max: 10,
        unread_max: Duration::from_mins(10),
        session_limits: session_limits(),
    };
    DataPlane::over(means, known)
}

/// What a client may send, in any order and number.
fn frame(id: String) -> impl Strategy<Value = Result<pb::ExecStreamRequest, Status>> {
    let commands = vec![
        fake::command(&Job::Cat),
        fake::command(&Job::PrintBoth(1)),
        fake::command(&Job::PrintBytes(300_000)),
        Vec::new(),
        words(&["a\0"]),
    ];
    let ids = vec![id.clone(), id.clone(), id, String::new(), "x".to_owned()];
    let init = (
        proptest::sample::select(ids),
        proptest::sample::select(commands),
        any::<(bool, u32, u32)>(),
        prop_oneof![4 => Just(String::new()), 1 => Just("s".to_owned())],
    );
    let init = init.prop_map(
        |(sandbox_id, command, (tty, tty_width, tty_height), resume)| {
            ExecFrame::Init(pb::ExecStreamInit {
                sandbox_id,
                command,
                tty,
                tty_width: tty_width % 70_000,
                tty_height: tty_height % 70_000,
                env: HashMap::new(),
                resume_session_id: resume,
            })
        },
    );
    let stdin = proptest::collection::vec(any::<u8>(), 0..64).prop_map(stdin);
    let resize = any::<(u32, u32)>()
        .prop_map(|(width, height)| ExecFrame::Resize(pb::ExecStreamResize { width, height }));
    let frame = prop_oneof![
        4 => init.prop_map(Some),
        6 => stdin.prop_map(Some),
        1 => resize.prop_map(Some),
        1 => Just(Some(close())),
        1 => Just(None),
    ];
    prop_oneof![
        20 => frame.prop_map(|request| Ok(pb::ExecStreamRequest { request })),
        1 => Just(Err(Status::cancelled("reset"))),
    ]
}

fn is_end(answer: &Result<pb::ExecStreamResponse, Status>) -> bool {
    match answer.as_ref().map(|answer| answer.response.as_ref()) {
        Ok(Some(Response::Exit(_) | Response::Error(_))) | Err(_) => true,
        Ok(Some(Response::Output(_) | Response::Ready(_))) => false,
        Ok(None) => panic!("every frame says something"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_frames_in_any_order_end_in_exactly_one_end(
        frames in proptest::collection::vec(frame("0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d".to_owned()), 0..12),
    ) {
        let runtime = Runtime::new().unwrap();
        let answers: Vec<_> = runtime.block_on(async {
            let data = plane_without_socket();
            let mut launch = sample_launch();
            launch.id = "0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d".parse().unwrap();
            launch.workload.image = fake::IMAGE.parse().unwrap();
            launch.workload.command = fake::command(&Job::RunUntilStopped);
            let world = Arc::new(World::default());
            let fake = Fake::open(world);
            fake.ensure(&launch).await.unwrap();
            let puppets = Mutex::default();
            let data = DataPlane::over(data.means.clone(), Arc::new(Known { fake, puppets }));
            let answers = data.exec_stream(caller(), stream::iter(frames)).unwrap();
            time::timeout(PATIENCE, answers.collect()).await.expect("the stream ends")
        });
        let ends = answers.iter().filter(|answer| is_end(answer)).count();
        prop_assert_eq!(ends, 1);
        prop_assert!(answers.last().is_some_and(is_end));
    }
}
