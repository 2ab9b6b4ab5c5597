//! Much at once, and ends that are slow.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_streams_at_once_all_end_well() {
    let plane = Arc::new(Plane::new().await);
    let id = plane.sandbox(&Job::RunUntilStopped).await;
    let address = serve(&plane.data).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(connect(address).await);
    }
    let open = |number: usize| {
        let (client, id) = (clients[number % clients.len()].clone(), id.clone());
        async move { cat_once(client, &id, number).await }
    };
    let mut streams = tokio::task::JoinSet::new();
    for number in 0..2_000 {
        streams.spawn(open(number));
    }
    let all = time::timeout(PATIENCE * 2, streams.join_all()).await;
    assert_eq!(all.expect("all streams end").len(), 2_000);
    plane.wait_until_alone(&id).await;
}

async fn cat_once(mut client: Client, id: &str, number: usize) {
    let (frames, received) = mpsc::channel(1);
    let answers = client
        .stream_exec(ReceiverStream::new(received))
        .await
        .unwrap();
    let text = format!("text {number}");
    for frame in [init(id, fake::command(&Job::Cat)), stdin(text.clone())] {
        frames
            .send(pb::ExecStreamRequest {
                request: Some(frame),
            })
            .await
            .unwrap();
    }
    drop(frames);
    let seen = Seen::of(&mut answers.into_inner()).await.unwrap();
    assert_eq!(
        (seen.stdout.concat(), seen.ends),
        (text.into_bytes(), vec![Ok(0)])
    );
}

#[tokio::test]
async fn streams_beyond_the_limit_are_told_to_come_back() {
    let plane = Plane::with_room(2).await;
    let id = plane.sandbox(&Job::RunUntilStopped).await;
    let mut open = plane.stream(&id, fake::command(&Job::Cat)).await;
    open.next().await;
    let refused = plane
        .client
        .clone()
        .stream_exec(tokio_stream::pending())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.get_error_details().retry_info().is_some());
    drop(open);
    plane.wait_until_alone(&id).await;
    let room = time::timeout(PATIENCE, async {
        while plane.run(&id, words(&["true"])).await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    room.await.expect("a stream that ended leaves its room");
}

#[tokio::test]
async fn a_client_that_does_not_read_slows_the_command_down() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let mut stream = plane.stream(&hand.id, words(&["yes"])).await;
    let (_, strings) = hand.exec().await;
    strings.tell(ExecEvent::Started).await;
    let piece = Bytes::from(vec![b'y'; 64 * 1024]);
    let mut written = 0;
    // Windows and queues fill; then the command has to wait.
    loop {
        let event = ExecEvent::Stdout(piece.clone());
        match time::timeout(Duration::from_millis(500), strings.events.send(event)).await {
            Ok(sent) => sent.unwrap(),
            Err(_) => break,
        }
        written += 1;
        assert!(written < 400, "25 MiB are more than any queue on the way");
    }
    // Nothing of it is lost once the client reads.
    let finish = async {
        strings.tell(ExecEvent::Stdout("end".into())).await;
        strings.tell(ExecEvent::Exit(Exit(0))).await;
    };
    let (seen, ()) = tokio::join!(Seen::of(&mut stream.answers), finish);
    let seen = seen.unwrap();
    assert_eq!(seen.stdout.len(), written + 1);
    assert_eq!(seen.ends, [Ok(0)]);
}

#[tokio::test]
async fn a_command_that_does_not_read_slows_the_client_down() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let stream = plane.stream(&hand.id, words(&["sleep"])).await;
    let (_, mut strings) = hand.exec().await;
    let piece = Bytes::from(vec![b'y'; 1024 * 1024]);
    let mut sent = 0;
    loop {
        let request = Some(stdin(piece.clone()));
        let sending = stream.frames.send(pb::ExecStreamRequest { request });
        match time::timeout(Duration::from_millis(500), sending).await {
            Ok(done) => done.unwrap(),
            Err(_) => break,
        }
        sent += 1;
        assert!(sent < 30, "30 MiB are more than any queue on the way");
    }
    drop(stream.frames);
    let mut bytes = 0;
    while let Some(ExecInput::Stdin(data)) = strings.input().await {
        bytes += data.len();
    }
    assert_eq!(bytes, sent * 1024 * 1024);
}

#[tokio::test]
async fn a_client_that_leaves_while_the_command_waits_for_it_kills_the_command() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::RunUntilStopped).await;
    let mut stream = plane
        .stream(&id, fake::command(&Job::PrintBytes(64 << 20)))
        .await;
    stream.next().await;
    drop(stream);
    plane.wait_until_alone(&id).await;
}

#[tokio::test]
async fn the_command_of_a_client_that_died_while_its_input_waits_is_killed_after_a_while() {
    let limits = SessionLimits {
        kept: Duration::from_millis(200),
        ..session_limits()
    };
    let plane = Plane::with(10, limits).await;
    let mut hand = plane.puppet();
    let address = serve(&plane.data).await;
    // A runtime of its own dies with all its connections, as a process does.
    let process = tokio::runtime::Runtime::new().unwrap();
    let id = hand.id.clone();
    process.spawn(async move {
        let (frames, received) = mpsc::channel(1);
        let mut client = connect(address).await;
        let _answers = client.stream_exec(ReceiverStream::new(received)).await;
        let mut frame = init(&id, words(&["sleep"]));
        loop {
            let request = Some(frame);
            frames
                .send(pb::ExecStreamRequest { request })
                .await
                .unwrap();
            frame = stdin(vec![0; 1024 * 1024]);
        }
    });
    let (_, strings) = hand.exec().await;
    let full = time::timeout(PATIENCE, async {
        while strings.inputs.len() < EXEC_QUEUE_MAX {
            time::sleep(Duration::from_millis(10)).await;
        }
    });
    full.await.expect("the input waits");
    process.shutdown_background();
    let killed = time::timeout(PATIENCE, strings.events.closed()).await;
    killed.expect("the command is killed");
}
