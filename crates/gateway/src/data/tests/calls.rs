//! Commands and files that are answered once.

use palisade_backend::FileError;

use super::*;

fn caller() -> Principal {
    context("acme").caller
}

fn exec(id: &str, command: Vec<String>) -> pb::ExecSandboxRequest {
    pb::ExecSandboxRequest {
        sandbox_id: id.to_owned(),
        command,
        ..Default::default()
    }
}

fn add(id: &str, path: &str, content: impl Into<Bytes>) -> pb::AddFileSandboxRequest {
    pb::AddFileSandboxRequest {
        sandbox_id: id.to_owned(),
        filepath: path.to_owned(),
        file_contents: content.into(),
        max_timeout_seconds: 0,
    }
}

fn retrieve(id: &str, path: &str) -> pb::RetrieveFileSandboxRequest {
    pb::RetrieveFileSandboxRequest {
        sandbox_id: id.to_owned(),
        filepath: path.to_owned(),
        max_timeout_seconds: 0,
    }
}

async fn result(plane: &Plane, request: pb::ExecSandboxRequest) -> pb::ExecResponse {
    let response = plane.data.exec(&caller(), request, None).await.unwrap();
    response.result.unwrap()
}

#[tokio::test]
async fn a_command_is_answered_with_its_output_and_exit_code() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::RunUntilStopped).await;
    let result = result(&plane, exec(&id, fake::command(&Job::PrintBoth(5)))).await;
    let expected = pb::ExecResponse {
        stdout: b"out\n".to_vec(),
        stderr: b"err\n".to_vec(),
        exit_code: 5,
        stdout_bytes_produced: 4,
        stderr_bytes_produced: 4,
        ..Default::default()
    };
    assert_eq!(result, expected);
}

#[tokio::test]
async fn arguments_follow_the_command_and_input_is_at_its_end() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::RunUntilStopped).await;
    let request = pb::ExecSandboxRequest {
        args: words(&["a", "b"]),
        ..exec(&id, words(&["echo"]))
    };
    assert_eq!(result(&plane, request).await.stdout, b"a b\n");
    let cat = result(&plane, exec(&id, fake::command(&Job::Cat))).await;
    assert_eq!((cat.stdout.as_slice(), cat.exit_code), (b"".as_slice(), 0));
}

#[tokio::test]
async fn output_beyond_the_cap_is_counted_and_marked() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::RunUntilStopped).await;
    let request = |policy: pb::OutputPolicy, buffered_max_kib| pb::ExecSandboxRequest {
        output_handling: policy.into(),
        buffered_max_kib,
        ..exec(&id, fake::command(&Job::PrintBytes(1_000_000)))
    };
    let capped = result(&plane, request(pb::OutputPolicy::Buffered, 100)).await;
    assert_eq!(capped.stdout.len(), 100 * 1024);
    assert!(capped.stdout_truncated && !capped.stderr_truncated);
    assert_eq!(capped.stdout_bytes_produced, 1_000_000);
    let discarded = result(&plane, request(pb::OutputPolicy::Discard, 0)).await;
    assert_eq!(
        (discarded.stdout.len(), discarded.stdout_bytes_produced),
        (0, 1_000_000)
    );
    let whole = result(&plane, request(pb::OutputPolicy::Unspecified, 0)).await;
    assert_eq!(
        (whole.stdout.len(), whole.stdout_truncated),
        (1_000_000, false)
    );
}

#[tokio::test]
async fn a_command_past_its_limit_is_killed_and_named() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::RunUntilStopped).await;
    let request = pb::ExecSandboxRequest {
        max_timeout_seconds: 1,
        ..exec(&id, fake::command(&Job::IgnoreStop))
    };
    let error = plane.data.exec(&caller(), request, None).await.unwrap_err();
    assert_eq!(error.refusal.reason, Reason::CommandTimeout);
    assert_eq!(error.refusal.metadata["timeout_seconds"], "1");
    plane.wait_until_alone(&id).await;
}

#[tokio::test]
async fn a_command_without_a_limit_runs_as_long_as_its_client_waits() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let request = exec(&hand.id, words(&["sleep"]));
    let (caller, deadline) = (caller(), 3 * PATIENCE);
    let call = plane.data.exec(&caller, request, Some(deadline));
    let command = async {
        let (_, strings) = hand.exec().await;
        time::pause();
        // The usual time of a call is over long since.
        time::advance(2 * PATIENCE).await;
        let exit = ExecEvent::Exit(Exit(0));
        strings.events.send(exit).await.expect("it still runs");
    };
    let (response, ()) = tokio::join!(call, command);
    assert_eq!(response.unwrap().result.unwrap().exit_code, 0);
}

#[tokio::test]
async fn a_call_that_is_dropped_kills_its_command() {
    let plane = Plane::new().await;
    let mut hand = plane.puppet();
    let request = exec(&hand.id, words(&["sleep"]));
    let caller = caller();
    let call = plane.data.exec(&caller, request, None);
    let strings = tokio::select! {
        _ = call => panic!("the command goes on"),
        (_, strings) = hand.exec() => strings,
    };
    let killed = time::timeout(PATIENCE, strings.events.closed()).await;
    killed.expect("the command is killed");
}

#[tokio::test]
async fn a_file_reads_as_it_was_written() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::RunUntilStopped).await;
    for size in [0, 1, 20 << 20, 32 << 20] {
        let content = Bytes::from(vec![7; size]);
        let request = add(&id, "/tmp/deep/er/file", content.clone());
        assert!(
            plane
                .data
                .add_file(&caller(), request)
                .await
                .unwrap()
                .success
        );
        let request = retrieve(&id, "/tmp/deep/er/file");
        let read = plane.data.retrieve_file(&caller(), request).await.unwrap();
        assert!(
            read.success && read.file_contents == content,
            "{size} bytes differ"
        );
    }
}

#[tokio::test]
async fn a_missing_file_is_named_with_its_path() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::RunUntilStopped).await;
    let request = retrieve(&id, "/tmp/no such file");
    let refusal = plane
        .data
        .retrieve_file(&caller(), request)
        .await
        .unwrap_err()
        .refusal;
    assert_eq!(refusal.reason, Reason::FileNotFound);
    assert_eq!(refusal.metadata["filepath"], "/tmp/no such file");
    let request = retrieve(&id, "/tmp");
    let refusal = plane
        .data
        .retrieve_file(&caller(), request)
        .await
        .unwrap_err()
        .refusal;
    assert_eq!(refusal.reason, Reason::FileIsDirectory);
}

#[tokio::test]
async fn a_file_that_is_too_large_tells_both_sizes_and_the_operation() {
    let plane = Plane::new().await;
    let hand = plane.puppet();
    let request = retrieve(&hand.id, "/tmp/x");
    let refusal = plane
        .data
        .retrieve_file(&caller(), request)
        .await
        .unwrap_err()
        .refusal;
    let large = add(&hand.id, "/tmp/x", vec![0; (32 << 20) + 1]);
    let written = plane
        .data
        .add_file(&caller(), large)
        .await
        .unwrap_err()
        .refusal;
    for (refusal, operation) in [(refusal, "read"), (written, "write")] {
        assert_eq!(refusal.reason, Reason::FileTooLarge);
        assert_eq!(refusal.metadata["size_bytes"], "33554433");
        assert_eq!(refusal.metadata["max_size_bytes"], "33554432");
        assert_eq!(refusal.metadata["operation"], operation);
    }
}

#[tokio::test]
async fn a_path_of_a_wrong_form_is_refused_before_a_sandbox_is_asked() {
    let plane = Plane::new().await;
    let wrong = Reason::InvalidRequest;
    for (path, reason) in [
        ("", wrong),
        ("relative", wrong),
        ("/../etc/passwd", wrong),
        ("/tmp/a\0b", wrong),
        ("/tmp/", Reason::FileIsDirectory),
    ] {
        let refusal = plane
            .data
            .retrieve_file(&caller(), retrieve("x", path))
            .await;
        let refusal = refusal.unwrap_err().refusal;
        assert_eq!(refusal.reason, reason, "{path:?}");
        let written = plane.data.add_file(&caller(), add("x", path, "")).await;
        assert_eq!(written.unwrap_err().refusal.reason, reason, "{path:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_takes_too_long_is_given_up() {
    let fake = Fake::open(Arc::new(World::default()));
    let puppets = Mutex::default();
    let known = Known { fake, puppets };
    let (execs, _e) = mpsc::channel(1);
    let (logs, _l) = mpsc::channel(1);
    let id = SandboxId::new(Uuid::nil());
    let puppet = Puppet {
        phase: Phase::Running,
        execs,
        logs,
        refusal: None,
    };
    known.puppets.lock().unwrap().insert(id, puppet);
    let files = crate::data::files::Files::default();
    let mut request = add(&id.to_string(), "/tmp/x", "y");
    request.max_timeout_seconds = 5;
    let written = files.write(&known, &caller(), request, PATIENCE).await;
    let refusal = written.unwrap_err().refusal;
    assert_eq!(refusal.reason, Reason::FileIoFailed);
    assert_eq!(refusal.code, palisade_model::reason::Code::DeadlineExceeded);
}

#[tokio::test]
async fn another_organization_finds_nothing() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::RunUntilStopped).await;
    let other = context("other").caller;
    let command = plane
        .data
        .exec(&other, exec(&id, words(&["ls"])), None)
        .await
        .unwrap_err();
    let file = plane
        .data
        .retrieve_file(&other, retrieve(&id, "/x"))
        .await
        .unwrap_err();
    for error in [command, file] {
        assert_eq!(error.refusal.reason, Reason::SandboxNotFound);
    }
}

#[test]
fn every_problem_with_a_file_has_its_own_reason_and_the_path() {
    for (error, reason) in [
        (FileError::NotFound, Reason::FileNotFound),
        (FileError::IsDirectory, Reason::FileIsDirectory),
        (FileError::PermissionDenied, Reason::FilePermissionDenied),
        (FileError::BadPath, Reason::FileIoFailed),
        (
            FileError::Io {
                message: "EIO".into(),
            },
            Reason::FileIoFailed,
        ),
    ] {
        let path = "/tmp/x".to_owned();
        let refusal = crate::error::attach_refusal(AttachError::File { path, error }, "read");
        assert_eq!(
            (refusal.reason, refusal.metadata["filepath"].as_str()),
            (reason, "/tmp/x")
        );
    }
}

/// A refusal that is no fault of ours has no cause, and is not logged as an error.
#[test]
fn what_is_no_regular_file_is_in_the_way_of_the_caller() {
    let error = AttachError::File {
        path: "/dev/null".to_owned(),
        error: FileError::BadPath,
    };
    let refusal = crate::error::attach_refusal(error, "read");
    let code = palisade_model::reason::Code::FailedPrecondition;
    assert_eq!(refusal.code, code);
    assert_eq!(refusal.reason, Reason::FileIoFailed);
    assert!(
        refusal.message.contains("not a regular file"),
        "{refusal:?}"
    );
}
