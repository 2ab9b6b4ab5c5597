//! Clients that lose their stream of a command, and come back to it or not.

use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use super::*;

/// A way to the server that can be cut, or go silent.
pub(super) struct Cable {
    pub(super) client: Client,
    cut: CancellationToken,
    silent: CancellationToken,
}

impl Cable {
    pub(super) async fn to(plane: &Plane, address: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let way = listener.local_addr().unwrap();
        let (cut, silent) = (CancellationToken::new(), CancellationToken::new());
        let (is_cut, is_silent) = (cut.clone(), silent.clone());
        plane.data.means.tasks.spawn(async move {
            let carried = carry(listener, address, is_silent);
            is_cut.run_until_cancelled(carried).await;
        });
        Self {
            client: connect(way).await,
            cut,
            silent,
        }
    }

    pub(super) fn cut(&self) {
        self.cut.cancel();
    }

    pub(super) fn fall_silent(&self) {
        self.silent.cancel();
    }
}

/// Carries one connection until it is to fall silent, and holds it then.
async fn carry(listener: TcpListener, address: SocketAddr, silent: CancellationToken) {
    let (mut near, _) = listener.accept().await.unwrap();
    let mut far = TcpStream::connect(address).await.unwrap();
    let carried = silent.run_until_cancelled(copy_bidirectional(&mut near, &mut far));
    if carried.await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// A started command whose client can be cut off.
pub(super) struct Worn {
    pub(super) hand: Hand,
    pub(super) cable: Cable,
    pub(super) stream: ExecStream,
    pub(super) strings: Strings,
    pub(super) session: String,
}

impl Plane {
    pub(super) async fn worn(&self) -> Worn {
        self.worn_at(self.address).await
    }

    pub(super) async fn worn_at(&self, address: SocketAddr) -> Worn {
        let mut hand = self.puppet();
        let cable = Cable::to(self, address).await;
        let mut stream = stream_of(&cable.client).await;
        stream.send(init(&hand.id, words(&["sh"]))).await;
        let (_, strings) = hand.exec().await;
        strings.tell(ExecEvent::Started).await;
        let session = session_of(&mut stream).await;
        Worn {
            hand,
            cable,
            stream,
            strings,
            session,
        }
    }

    async fn resume(&self, worn: &Worn) -> ExecStream {
        let stream = self.empty_stream().await;
        stream.send(resuming(&worn.hand.id, &worn.session)).await;
        stream
    }

    /// What a stream ends with that resumes nothing.
    async fn refusal(&self, id: &str, session: &str, caller: &[(&'static str, &str)]) -> Seen {
        let (frames, received) = mpsc::channel(1);
        let mut request = Request::new(ReceiverStream::new(received));
        for (key, name) in caller {
            request.metadata_mut().insert(*key, name.parse().unwrap());
        }
        let request_init = Some(resuming(id, session));
        let first = pb::ExecStreamRequest {
            request: request_init,
        };
        frames.send(first).await.unwrap();
        let answers = self.client.clone().stream_exec(request).await.unwrap();
        Seen::of(&mut answers.into_inner()).await.unwrap()
    }

    pub(super) async fn wait_until_parked(&self, id: &str, count: usize) {
        let id = id.parse().unwrap();
        let parked = time::timeout(PATIENCE, async {
            while self.data.exec_sessions.parked(id) != count {
                time::sleep(Duration::from_millis(5)).await;
            }
        });
        parked.await.expect("the commands are kept");
    }
}

async fn session_of(stream: &mut ExecStream) -> String {
    let Answer::Ready(ready) = stream.next().await else {
        panic!("ready comes first");
    };
    ready.session_id
}

pub(super) async fn output_of(stream: &mut ExecStream) -> pb::ExecStreamOutput {
    let Answer::Output(output) = stream.next().await else {
        panic!("output comes");
    };
    output
}

fn resuming(id: &str, session: &str) -> ExecFrame {
    ExecFrame::Init(pb::ExecStreamInit {
        sandbox_id: id.to_owned(),
        resume_session_id: session.to_owned(),
        ..Default::default()
    })
}

fn not_found() -> Vec<Result<i32, String>> {
    vec![Err("SESSION_NOT_FOUND".to_owned())]
}

async fn killed(strings: &Strings) {
    let killed = time::timeout(PATIENCE, strings.events.closed()).await;
    killed.expect("the command is killed");
}

/// Reads to the end of a resumed stream, which has no ready.
async fn rest(stream: &mut ExecStream) -> Seen {
    let mut seen = Seen {
        ready: 1,
        ..Seen::default()
    };
    while let Some(answer) = next(&mut stream.answers).await.unwrap() {
        seen.take(answer);
    }
    seen
}

#[tokio::test]
async fn a_client_that_was_cut_off_goes_on_with_its_command() {
    let plane = Plane::new().await;
    let mut worn = plane.worn().await;
    worn.strings.tell(ExecEvent::Stdout("one".into())).await;
    let first = output_of(&mut worn.stream).await;
    worn.cable.cut();
    plane.wait_until_parked(&worn.hand.id, 1).await;
    worn.strings.tell(ExecEvent::Stderr("two".into())).await;
    let mut resumed = plane.resume(&worn).await;
    let again = output_of(&mut resumed).await;
    assert_eq!(again, first, "the same frame, with its instant");
    let second = output_of(&mut resumed).await;
    assert_eq!(second.data, "two");
    assert_eq!(
        second.stream_type(),
        pb::exec_stream_output::StreamType::Stderr
    );
    resumed.send(stdin("in")).await;
    let input = worn.strings.input().await;
    assert_eq!(input, Some(ExecInput::Stdin("in".into())));
    worn.strings.tell(ExecEvent::Stdout("three".into())).await;
    worn.strings.tell(ExecEvent::Exit(Exit(3))).await;
    let seen = rest(&mut resumed).await;
    assert_eq!(seen.stdout, ["three"]);
    assert_eq!(seen.ends, [Ok(3)]);
    assert_eq!(
        plane
            .data
            .exec_sessions
            .parked(worn.hand.id.parse().unwrap()),
        0
    );
}

#[tokio::test]
async fn what_a_command_wrote_while_nobody_was_there_and_its_exit_are_told_later() {
    let plane = Plane::new().await;
    let worn = plane.worn().await;
    worn.cable.cut();
    plane.wait_until_parked(&worn.hand.id, 1).await;
    for text in ["a", "b"] {
        worn.strings.tell(ExecEvent::Stdout(text.into())).await;
    }
    worn.strings.tell(ExecEvent::Exit(Exit(-1))).await;
    // The end may be lost on its way as well, and is told to each stream once.
    for _ in 0..2 {
        let seen = rest(&mut plane.resume(&worn).await).await;
        assert_eq!(seen.stdout, ["a", "b"]);
        assert_eq!(seen.ends, [Ok(-1)]);
    }
}

#[tokio::test]
async fn a_client_that_was_cut_off_at_the_very_end_gets_the_end_once_more() {
    let plane = Plane::new().await;
    let mut worn = plane.worn().await;
    worn.strings.tell(ExecEvent::Stdout("all".into())).await;
    worn.strings.tell(ExecEvent::Exit(Exit(0))).await;
    let first = rest(&mut worn.stream).await;
    let again = rest(&mut plane.resume(&worn).await).await;
    assert_eq!(again, first);
}

#[tokio::test]
async fn a_cut_is_no_end_of_input() {
    let plane = Plane::new().await;
    let mut worn = plane.worn().await;
    worn.stream.send(stdin("half")).await;
    assert_eq!(
        worn.strings.input().await,
        Some(ExecInput::Stdin("half".into()))
    );
    worn.cable.cut();
    plane.wait_until_parked(&worn.hand.id, 1).await;
    assert!(worn.strings.inputs.try_recv().is_err(), "nothing was said");
    let resumed = plane.resume(&worn).await;
    drop(resumed.frames);
    assert_eq!(worn.strings.input().await, Some(ExecInput::Close));
}

#[tokio::test]
async fn a_client_that_said_all_and_is_cut_off_can_come_back() {
    let plane = Plane::new().await;
    let mut worn = plane.worn().await;
    let (frames, _) = mpsc::channel(1);
    worn.stream.frames = frames;
    assert_eq!(worn.strings.input().await, Some(ExecInput::Close));
    worn.cable.cut();
    plane.wait_until_parked(&worn.hand.id, 1).await;
    let mut resumed = plane.resume(&worn).await;
    worn.strings.tell(ExecEvent::Exit(Exit(0))).await;
    assert_eq!(rest(&mut resumed).await.ends, [Ok(0)]);
}

#[tokio::test]
async fn a_client_that_cancels_kills_its_command_at_once_whether_it_said_all_or_not() {
    let plane = Plane::new().await;
    for has_said_all in [true, false] {
        let mut worn = plane.worn().await;
        if has_said_all {
            let (frames, _) = mpsc::channel(1);
            worn.stream.frames = frames;
            assert_eq!(worn.strings.input().await, Some(ExecInput::Close));
        }
        drop(worn.stream);
        killed(&worn.strings).await;
        assert!(worn.strings.inputs.try_recv().is_err(), "no end of input");
        let seen = plane.refusal(&worn.hand.id, &worn.session, &[]).await;
        assert_eq!(seen.ends, not_found());
    }
}

#[tokio::test]
async fn a_connection_that_died_in_silence_is_cut_and_no_cancellation() {
    let plane = Plane::new().await;
    let keep_alive = Duration::from_millis(200);
    let server = Server::builder()
        .http2_keepalive_interval(Some(keep_alive))
        .http2_keepalive_timeout(Some(keep_alive));
    let address = serve_with(&plane.data, server).await;
    for has_said_all in [true, false] {
        let mut worn = plane.worn_at(address).await;
        if has_said_all {
            let (frames, _) = mpsc::channel(1);
            worn.stream.frames = frames;
            assert_eq!(worn.strings.input().await, Some(ExecInput::Close));
        }
        worn.cable.fall_silent();
        plane.wait_until_parked(&worn.hand.id, 1).await;
        assert!(worn.strings.inputs.try_recv().is_err(), "no end of input");
        let mut resumed = plane.resume(&worn).await;
        worn.strings.tell(ExecEvent::Exit(Exit(0))).await;
        assert_eq!(rest(&mut resumed).await.ends, [Ok(0)]);
        worn.cable.cut();
    }
}

#[tokio::test]
async fn a_second_stream_takes_the_command_over_and_the_first_is_told() {
    let plane = Plane::new().await;
    let mut worn = plane.worn().await;
    worn.strings.tell(ExecEvent::Stdout("one".into())).await;
    output_of(&mut worn.stream).await;
    let mut second = plane.resume(&worn).await;
    assert_eq!(output_of(&mut second).await.data, "one");
    let seen = rest(&mut worn.stream).await;
    assert_eq!(seen.ends, [Err("SESSION_TAKEN_OVER".to_owned())]);
    worn.strings.tell(ExecEvent::Exit(Exit(0))).await;
    assert_eq!(rest(&mut second).await.ends, [Ok(0)]);
}

#[tokio::test]
async fn a_session_opens_only_to_its_user_in_its_sandbox_and_by_its_whole_name() {
    let plane = Plane::new().await;
    let worn = plane.worn().await;
    worn.cable.cut();
    plane.wait_until_parked(&worn.hand.id, 1).await;
    let (id, session) = (&worn.hand.id, &worn.session);
    let other_sandbox = plane.puppet().id;
    let key = &session[..32];
    let guess = format!("{key}{}", "0".repeat(64));
    for (id, session, caller) in [
        (id, session.as_str(), &[("organization", "other")][..]),
        (id, session, &[("user", "eve")]),
        (&other_sandbox, session, &[]),
        (&"not-an-id".to_owned(), session, &[]),
        (id, key, &[]),
        (id, guess.as_str(), &[]),
        (id, "x", &[]),
    ] {
        let seen = plane.refusal(id, session, caller).await;
        assert_eq!(seen.ends, not_found(), "{id} {session} {caller:?}");
    }
    let mut resumed = plane.resume(&worn).await;
    worn.strings.tell(ExecEvent::Exit(Exit(0))).await;
    assert_eq!(rest(&mut resumed).await.ends, [Ok(0)], "nobody broke it");
}

#[tokio::test]
async fn a_command_that_nobody_comes_back_to_is_killed() {
    let limits = SessionLimits {
        kept: Duration::from_millis(300),
        ..session_limits()
    };
    let plane = Plane::with(10, limits).await;
    let worn = plane.worn().await;
    worn.cable.cut();
    killed(&worn.strings).await;
    let seen = plane.refusal(&worn.hand.id, &worn.session, &[]).await;
    assert_eq!(seen.ends, not_found());
    assert_eq!(plane.data.exec_sessions.len(), 0);
}

#[tokio::test]
async fn without_time_to_keep_them_nothing_is_kept() {
    let limits = SessionLimits {
        kept: Duration::ZERO,
        ..session_limits()
    };
    let plane = Plane::with(10, limits).await;
    let worn = plane.worn().await;
    worn.cable.cut();
    killed(&worn.strings).await;
}

#[tokio::test]
async fn the_deadline_of_a_client_that_was_cut_off_still_kills_its_command() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let cable = Cable::to(&plane, plane.address).await;
    let (frames, received) = mpsc::channel(1);
    let mut request = Request::new(ReceiverStream::new(received));
    request.set_timeout(Duration::from_secs(2));
    let request_init = Some(init(&hand.id, words(&["sleep", "infinity"])));
    let first = pb::ExecStreamRequest {
        request: request_init,
    };
    frames.send(first).await.unwrap();
    let answers = cable.client.clone().stream_exec(request).await.unwrap();
    let answers = answers.into_inner();
    let (_, strings) = hand.exec().await;
    strings.tell(ExecEvent::Started).await;
    let mut stream = ExecStream { frames, answers };
    session_of(&mut stream).await;
    cable.cut();
    plane.wait_until_parked(&hand.id, 1).await;
    killed(&strings).await;
}

#[tokio::test]
async fn a_command_without_a_client_is_killed_with_the_token_of_who_began_it() {
    let plane = Plane::new().await;
    let worn = plane.worn().await;
    worn.cable.cut();
    plane.wait_until_parked(&worn.hand.id, 1).await;
    plane.data.means.visits.end(context("acme").caller.token);
    killed(&worn.strings).await;
    plane.wait_until_parked(&worn.hand.id, 0).await;
}

#[tokio::test]
async fn a_server_that_stops_keeps_no_command() {
    let plane = Plane::new().await;
    let worn = plane.worn().await;
    worn.cable.cut();
    plane.wait_until_parked(&worn.hand.id, 1).await;
    plane.data.means.stop.cancel();
    killed(&worn.strings).await;
}

#[tokio::test]
async fn one_sandbox_has_so_many_commands_without_a_client_and_no_more() {
    let limits = SessionLimits {
        parked_per_sandbox_max: 1,
        ..session_limits()
    };
    let plane = Plane::with(10, limits).await;
    let mut worn = plane.worn().await;
    let mut second = stream_of(&worn.cable.client).await;
    second.send(init(&worn.hand.id, words(&["sh"]))).await;
    let (_, strings) = worn.hand.exec().await;
    strings.tell(ExecEvent::Started).await;
    session_of(&mut second).await;
    worn.cable.cut();
    plane.wait_until_parked(&worn.hand.id, 1).await;
    let one = time::timeout(PATIENCE, async {
        tokio::select! {
            () = strings.events.closed() => (),
            () = worn.strings.events.closed() => (),
        }
    });
    one.await.expect("the other one is killed");
    assert_eq!(
        plane
            .data
            .exec_sessions
            .parked(worn.hand.id.parse().unwrap()),
        1
    );
}

fn small_window() -> SessionLimits {
    SessionLimits {
        window_bytes: 64 * 1024,
        ..session_limits()
    }
}

#[tokio::test]
async fn a_command_without_a_client_waits_when_its_window_is_full_and_nothing_is_lost() {
    let plane = Plane::with(10, small_window()).await;
    let worn = plane.worn().await;
    worn.cable.cut();
    plane.wait_until_parked(&worn.hand.id, 1).await;
    let mut written = 0;
    loop {
        let event = ExecEvent::Stdout(vec![b'y'; 16 * 1024].into());
        match time::timeout(Duration::from_millis(300), worn.strings.events.send(event)).await {
            Ok(sent) => sent.unwrap(),
            Err(_) => break,
        }
        written += 1;
        assert!(
            written < 40,
            "the window and the queue are full long before"
        );
    }
    let mut resumed = plane.resume(&worn).await;
    let finish = worn.strings.tell(ExecEvent::Exit(Exit(0)));
    let (seen, ()) = tokio::join!(rest(&mut resumed), finish);
    assert_eq!(seen.stdout.concat().len(), written * 16 * 1024);
    assert_eq!(seen.ends, [Ok(0)]);
}

impl Strings {
    /// Waits until everything that was told is taken.
    async fn until_taken(&self) {
        let taken = time::timeout(PATIENCE, async {
            while self.events.capacity() < EXEC_QUEUE_MAX {
                tokio::task::yield_now().await;
            }
        });
        taken.await.expect("somebody listens");
    }
}

#[tokio::test]
async fn output_that_fell_out_of_the_window_is_told_as_a_gap() {
    let plane = Plane::with(10, small_window()).await;
    for has_ended in [false, true] {
        let mut worn = plane.worn().await;
        for _ in 0..8 {
            let event = ExecEvent::Stdout(vec![b'y'; 16 * 1024].into());
            worn.strings.tell(event).await;
            output_of(&mut worn.stream).await;
        }
        worn.cable.cut();
        plane.wait_until_parked(&worn.hand.id, 1).await;
        if has_ended {
            worn.strings.tell(ExecEvent::Exit(Exit(0))).await;
            worn.strings.until_taken().await;
        }
        let seen = rest(&mut plane.resume(&worn).await).await;
        let expected = if has_ended {
            "STREAM_TRUNCATED"
        } else {
            "REPLAY_GAP"
        };
        assert_eq!(seen.ends, [Err(expected.to_owned())]);
        killed(&worn.strings).await;
    }
}

#[tokio::test]
async fn resuming_takes_no_other_field() {
    let plane = Plane::new().await;
    let stream = plane.empty_stream().await;
    let frame = ExecFrame::Init(pb::ExecStreamInit {
        sandbox_id: plane.puppet().id,
        command: words(&["sh"]),
        resume_session_id: "s".to_owned(),
        ..Default::default()
    });
    stream.send(frame).await;
    let mut answers = stream.answers;
    let status = Seen::of(&mut answers).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}
