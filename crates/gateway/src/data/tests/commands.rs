//! Commands whose input and output are streamed.

use super::*;

#[tokio::test]
async fn a_command_is_ready_then_writes_then_exits_and_the_status_is_ok() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::RunUntilStopped).await;
    let seen = plane
        .run(&id, fake::command(&Job::PrintBoth(5)))
        .await
        .unwrap();
    let expected = Seen {
        ready: 1,
        stdout: vec!["out\n".into()],
        stderr: vec!["err\n".into()],
        ends: vec![Ok(5)],
    };
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn the_command_and_its_environment_are_taken_as_they_are() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let stream = plane.empty_stream().await;
    let command = words(&["sh", "-c", "echo  $A", ""]);
    let frame = ExecFrame::Init(pb::ExecStreamInit {
        sandbox_id: hand.id.clone(),
        command: command.clone(),
        env: HashMap::from([("A".to_owned(), "b c".to_owned())]),
        ..Default::default()
    });
    stream.send(frame).await;
    let (spec, _strings) = hand.exec().await;
    assert_eq!(spec.command, command);
    assert_eq!(spec.environment["A"], "b c");
    assert_eq!(spec.terminal, None);
}

#[tokio::test]
async fn closing_the_client_s_half_is_the_end_of_input_and_no_cancellation() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let mut stream = plane.stream(&hand.id, words(&["cat"])).await;
    let (_, mut strings) = hand.exec().await;
    drop(stream.frames);
    assert_eq!(strings.input().await, Some(ExecInput::Close));
    strings.tell(ExecEvent::Started).await;
    strings.tell(ExecEvent::Stdout("late".into())).await;
    strings.tell(ExecEvent::Exit(Exit(0))).await;
    let seen = Seen::of(&mut stream.answers).await.unwrap();
    assert_eq!(
        (seen.stdout, seen.ends),
        (vec![Bytes::from("late")], vec![Ok(0)])
    );
}

#[tokio::test]
async fn close_is_the_end_of_input_and_the_command_goes_on() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::RunUntilStopped).await;
    let mut stream = plane.stream(&id, fake::command(&Job::Cat)).await;
    for word in ["one ", "two"] {
        stream.send(stdin(word)).await;
    }
    stream.send(close()).await;
    let seen = Seen::of(&mut stream.answers).await.unwrap();
    assert_eq!(seen.stdout.concat(), b"one two");
    assert_eq!(seen.ends, [Ok(0)]);
}

#[tokio::test]
async fn the_exit_is_told_while_the_client_keeps_its_input_open() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::RunUntilStopped).await;
    let mut stream = plane.stream(&id, fake::command(&Job::ExitWith(4))).await;
    let seen = Seen::of(&mut stream.answers).await.unwrap();
    assert_eq!(seen.ends, [Ok(4)]);
    drop(stream.frames);
}

#[tokio::test]
async fn each_read_is_a_frame_of_its_own() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::RunUntilStopped).await;
    let lines = plane
        .run(&id, fake::command(&Job::PrintLinesAndExit(10)))
        .await
        .unwrap();
    let expected: Vec<Bytes> = (0..10)
        .map(|line| format!("line {line}\n").into())
        .collect();
    assert_eq!(lines.stdout, expected);
}

#[tokio::test]
async fn a_frame_is_sent_when_it_is_read_and_waits_for_no_other() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let mut stream = plane.stream(&hand.id, words(&["sh"])).await;
    let (_, strings) = hand.exec().await;
    strings.tell(ExecEvent::Started).await;
    assert!(matches!(stream.next().await, Answer::Ready(_)));
    for text in ["a", "b", "c"] {
        strings.tell(ExecEvent::Stdout(text.into())).await;
        let Answer::Output(output) = stream.next().await else {
            panic!("output comes");
        };
        assert_eq!(output.data, text);
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_survive_in_both_directions() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::RunUntilStopped).await;
    let mut stream = plane.stream(&id, fake::command(&Job::Cat)).await;
    let bytes: Vec<u8> = (0..=255).rev().collect();
    stream.send(stdin(bytes.clone())).await;
    drop(stream.frames);
    let seen = Seen::of(&mut stream.answers).await.unwrap();
    assert_eq!(seen.stdout.concat(), bytes);
}

#[tokio::test]
async fn input_frames_of_one_mebibyte_arrive_whole_and_in_order() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::RunUntilStopped).await;
    let stream = plane.stream(&id, fake::command(&Job::Cat)).await;
    let frames: Vec<Bytes> = (0..8_u8)
        .map(|fill| vec![fill; 1024 * 1024].into())
        .collect();
    let ExecStream {
        frames: sender,
        mut answers,
    } = stream;
    let send = async {
        for frame in &frames {
            let request = Some(stdin(frame.clone()));
            sender
                .send(pb::ExecStreamRequest { request })
                .await
                .unwrap();
        }
    };
    let (seen, ()) = tokio::join!(read(&mut answers, 8 * 1024 * 1024), send);
    assert!(seen == frames.concat(), "the bytes differ");
}

#[tokio::test]
async fn a_terminal_has_the_size_of_init_and_changes_it() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let stream = plane.empty_stream().await;
    let frame = ExecFrame::Init(pb::ExecStreamInit {
        sandbox_id: hand.id.clone(),
        command: words(&["/bin/bash"]),
        tty: true,
        tty_width: 120,
        tty_height: 40,
        ..Default::default()
    });
    stream.send(frame).await;
    let (spec, mut strings) = hand.exec().await;
    let size = |width, height| palisade_backend::Terminal { width, height };
    assert_eq!(spec.terminal, Some(size(120, 40)));
    let (width, height) = (10, 5);
    stream
        .send(ExecFrame::Resize(pb::ExecStreamResize { width, height }))
        .await;
    stream.send(stdin("\x03")).await;
    assert_eq!(strings.input().await, Some(ExecInput::Resize(size(10, 5))));
    assert_eq!(strings.input().await, Some(ExecInput::Stdin("\x03".into())));
}

#[tokio::test]
async fn a_command_that_is_not_found_exits_with_127() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::RunUntilStopped).await;
    let seen = plane
        .run(&id, fake::command(&Job::NoSuchProgram))
        .await
        .unwrap();
    assert_eq!(seen.ends, [Ok(127)]);
}

#[tokio::test]
async fn a_command_that_could_not_be_started_is_an_error_frame() {
    let plane = Plane::new().await;
    let message = "the working directory is gone".to_owned();
    let refusal = AttachError::ExecFailed { message };
    let hand = plane.puppet_that(Phase::Running, Some(refusal));
    let seen = plane.run(&hand.id, words(&["ls"])).await.unwrap();
    assert_eq!(seen.ends, [Err("EXEC_FAILED".to_owned())]);
}

#[tokio::test]
async fn an_absent_sandbox_and_one_that_does_not_run_are_statuses() {
    let plane = Plane::new().await;
    let absent = Uuid::now_v7().to_string();
    for id in [absent.as_str(), "not-an-id"] {
        let status = plane.run(id, words(&["ls"])).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(reason(&status), "CWSANDBOX_SANDBOX_NOT_FOUND");
    }
    let over = plane.sandbox(&Job::ExitWith(0)).await;
    plane.wait_for(&over, View::is_over).await;
    let status = plane.run(&over, words(&["ls"])).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(reason(&status), "CWSANDBOX_SANDBOX_NOT_RUNNING");
    for error in [AttachError::NotFound, AttachError::NotRunning] {
        let ended = plane.puppet_that(Phase::Running, Some(error));
        let status = plane.run(&ended.id, words(&["ls"])).await.unwrap_err();
        assert_eq!(reason(&status), "CWSANDBOX_SANDBOX_NOT_RUNNING");
        assert_eq!(fact(&status, "sandbox_id"), Some(ended.id));
        assert_eq!(fact(&status, "status"), None, "RUNNING is over already");
    }
}

#[tokio::test]
async fn a_runner_that_is_away_is_named() {
    let plane = Plane::new().await;
    for error in [AttachError::Lost, AttachError::Draining] {
        let hand = plane.puppet_that(Phase::Running, Some(error));
        let status = plane.run(&hand.id, words(&["ls"])).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(reason(&status), "CWSANDBOX_RUNNER_UNAVAILABLE");
        assert_eq!(fact(&status, "runner_id").as_deref(), Some("local"));
    }
}

#[tokio::test]
async fn a_sandbox_with_too_many_commands_says_when_to_come_back() {
    let plane = Plane::new().await;
    let hand = plane.puppet_that(Phase::Running, Some(AttachError::Busy { limit: 3 }));
    let status = plane.run(&hand.id, words(&["ls"])).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_error_details().retry_info().is_some());
}

#[tokio::test]
async fn a_runner_that_is_lost_on_the_way_is_an_error_frame_and_never_an_exit() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    for tell_it in [true, false] {
        let mut stream = plane.stream(&hand.id, words(&["ls"])).await;
        let (_, strings) = hand.exec().await;
        strings.tell(ExecEvent::Started).await;
        if tell_it {
            strings.tell(ExecEvent::Failed(AttachError::Lost)).await;
        }
        drop(strings);
        let seen = Seen::of(&mut stream.answers).await.unwrap();
        assert_eq!(seen.ends, [Err("RUNNER_UNAVAILABLE".to_owned())]);
    }
}

#[tokio::test]
async fn a_runner_that_ends_is_told_as_draining() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let mut stream = plane.stream(&hand.id, words(&["ls"])).await;
    let (_, strings) = hand.exec().await;
    strings.tell(ExecEvent::Started).await;
    strings.tell(ExecEvent::Failed(AttachError::Draining)).await;
    let seen = Seen::of(&mut stream.answers).await.unwrap();
    assert_eq!(seen.ends, [Err("RUNNER_DRAINING".to_owned())]);
}

#[tokio::test]
async fn a_client_that_leaves_kills_the_command() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::RunUntilStopped).await;
    let mut stream = plane.stream(&id, fake::command(&Job::IgnoreStop)).await;
    assert!(matches!(stream.next().await, Answer::Ready(_)));
    drop(stream);
    plane.wait_until_alone(&id).await;
}

#[tokio::test]
async fn a_deadline_kills_the_command_though_the_client_says_nothing() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let (frames, received) = mpsc::channel(1);
    let mut request = Request::new(ReceiverStream::new(received));
    request.set_timeout(Duration::from_millis(300));
    let request_init = Some(init(&hand.id, words(&["sleep", "infinity"])));
    frames
        .send(pb::ExecStreamRequest {
            request: request_init,
        })
        .await
        .unwrap();
    let _answers = plane.client.clone().stream_exec(request).await.unwrap();
    let (_, strings) = hand.exec().await;
    let killed = time::timeout(PATIENCE, strings.events.closed()).await;
    killed.expect("the command is killed");
}

#[tokio::test]
async fn a_server_that_stops_ends_its_streams_with_a_status() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let mut stream = plane.stream(&hand.id, words(&["ls"])).await;
    let (_, _strings) = hand.exec().await;
    plane.data.means.stop.cancel();
    let status = Seen::of(&mut stream.answers).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(reason(&status), "CWSANDBOX_BACKEND_UNAVAILABLE");
    assert!(status.get_error_details().retry_info().is_some());
}

#[tokio::test]
async fn a_deadline_kills_the_command_of_a_client_that_does_not_read() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let frame = pb::ExecStreamRequest {
        request: Some(init(&hand.id, words(&["yes"]))),
    };
    let mut request = Request::new(tokio_stream::iter([frame]));
    // Only the server is told.
    request
        .metadata_mut()
        .insert("grpc-timeout", "1S".parse().unwrap());
    let opened = plane.client.clone().stream_exec(request).await;
    let mut answers = opened.unwrap().into_inner();
    let (_, strings) = hand.exec().await;
    strings.tell(ExecEvent::Started).await;
    let flood = Bytes::from(vec![b'y'; 1 << 16]);
    let killed = async {
        while strings
            .events
            .send(ExecEvent::Stdout(flood.clone()))
            .await
            .is_ok()
        {}
    };
    let killed = time::timeout(PATIENCE, killed).await;
    killed.expect("the command is killed");
    let status = Seen::of(&mut answers).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(reason(&status), "CWSANDBOX_COMMAND_TIMEOUT");
}

/// Reads so many bytes of output.
async fn read(answers: &mut Streaming<pb::ExecStreamResponse>, size: usize) -> Vec<u8> {
    let mut seen = Vec::new();
    while seen.len() < size {
        if let Some(Answer::Output(output)) = next(answers).await.unwrap() {
            seen.extend_from_slice(&output.data);
        }
    }
    seen
}
