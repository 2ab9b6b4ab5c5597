use super::*;

fn frame(frame: ExecFrame) -> pb::ExecStreamRequest {
    pb::ExecStreamRequest {
        request: Some(frame),
    }
}

fn init(init: pb::ExecStreamInit) -> pb::ExecStreamRequest {
    frame(ExecFrame::Init(init))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn fields(refusal: &Refusal) -> Vec<String> {
    let paths = refusal.violations.iter().map(|violation| &violation.path);
    paths.map(ToString::to_string).collect()
}

#[test]
fn a_command_is_taken_word_by_word() {
    let start = exec_start(init(pb::ExecStreamInit {
        sandbox_id: "a".into(),
        command: words(&["sh", "-c", ""]),
        env: HashMap::from([("A".to_owned(), "b=c".to_owned())]),
        ..Default::default()
    }));
    let expected = ExecStart {
        sandbox: "a".into(),
        running: ExecRunning::New(ExecSpec {
            command: words(&["sh", "-c", ""]),
            environment: BTreeMap::from([("A".to_owned(), "b=c".to_owned())]),
            terminal: None,
        }),
    };
    assert_eq!(start, Ok(expected));
}

#[test]
fn a_terminal_without_a_size_gets_the_usual_one() {
    let start = |tty_width, tty_height| {
        let start = exec_start(init(pb::ExecStreamInit {
            command: words(&["sh"]),
            tty: true,
            tty_width,
            tty_height,
            ..Default::default()
        }));
        start.map(|start| match start.running {
            ExecRunning::New(spec) => spec.terminal,
            ExecRunning::Resume { session } => panic!("resumes {session}"),
        })
    };
    assert_eq!(start(0, 0), Ok(Some(TERMINAL)));
    let given = Terminal {
        width: 120,
        height: 40,
    };
    assert_eq!(start(120, 40), Ok(Some(given)));
    assert_eq!(
        fields(&start(1 << 20, 70_000).unwrap_err()),
        ["tty_width", "tty_height"]
    );
}

#[test]
fn every_problem_with_a_command_has_its_field() {
    let refusal = exec_start(init(pb::ExecStreamInit {
        command: words(&["", "a\0b"]),
        env: HashMap::from([("A=".to_owned(), String::new())]),
        ..Default::default()
    }))
    .unwrap_err();
    assert_eq!(
        fields(&refusal),
        ["command[0]", "command[1]", "env[\"A=\"]"]
    );
    let empty = exec_start(init(pb::ExecStreamInit::default())).unwrap_err();
    assert_eq!(fields(&empty), ["command"]);
}

#[test]
fn a_command_line_has_a_bound() {
    for command in [
        vec!["a".to_owned(); PROCESS_WORDS_MAX + 1],
        vec!["a".repeat(PROCESS_BYTES_MAX)],
    ] {
        let init = init(pb::ExecStreamInit {
            command,
            ..Default::default()
        });
        assert_eq!(
            exec_start(init).unwrap_err().violations[0].kind,
            ViolationKind::TooMany
        );
    }
}

#[test]
fn a_stream_begins_with_init_and_has_one() {
    let close = || frame(ExecFrame::Close(pb::ExecStreamClose {}));
    assert_eq!(fields(&exec_start(close()).unwrap_err()), ["init"]);
    let nothing = pb::ExecStreamRequest { request: None };
    assert_eq!(fields(&exec_start(nothing.clone()).unwrap_err()), ["init"]);
    assert_eq!(
        exec_input(init(pb::ExecStreamInit::default())),
        Err(BadFrame::SecondInit)
    );
    assert_eq!(exec_input(nothing), Err(BadFrame::Unknown));
    assert_eq!(exec_input(close()), Ok(ExecInput::Close));
}

#[test]
fn a_session_is_resumed_by_its_name_alone() {
    let resuming = || pb::ExecStreamInit {
        sandbox_id: "a".into(),
        resume_session_id: "s".into(),
        ..Default::default()
    };
    let expected = ExecStart {
        sandbox: "a".into(),
        running: ExecRunning::Resume {
            session: "s".into(),
        },
    };
    assert_eq!(exec_start(init(resuming())), Ok(expected));
    let refusal = exec_start(init(pb::ExecStreamInit {
        command: words(&["sh"]),
        tty: true,
        tty_width: 1,
        tty_height: 1,
        env: HashMap::from([("A".to_owned(), "b".to_owned())]),
        ..resuming()
    }))
    .unwrap_err();
    assert_eq!(refusal.reason, Reason::InvalidRequest);
    assert_eq!(
        fields(&refusal),
        ["command", "tty", "tty_width", "tty_height", "env"]
    );
}

#[test]
fn a_size_that_no_terminal_has_is_refused() {
    let resize = |width, height| {
        exec_input(frame(ExecFrame::Resize(pb::ExecStreamResize {
            width,
            height,
        })))
    };
    assert_eq!(resize(65_536, 1), Err(BadFrame::TerminalSize));
    let small = Terminal {
        width: 1,
        height: 0,
    };
    assert_eq!(resize(1, 0), Ok(ExecInput::Resize(small)));
}

fn call(change: impl FnOnce(&mut pb::ExecSandboxRequest)) -> Result<ExecCall, Refusal> {
    let mut message = pb::ExecSandboxRequest {
        command: words(&["ls"]),
        args: words(&["-l"]),
        ..Default::default()
    };
    change(&mut message);
    exec_call(message)
}

#[test]
fn arguments_follow_the_command() {
    let call = call(|message| message.max_timeout_seconds = 3).unwrap();
    assert_eq!(call.spec.command, words(&["ls", "-l"]));
    assert_eq!(call.limit, Some(Duration::from_secs(3)));
}

#[test]
fn arguments_alone_are_no_command() {
    let refusal = call(|message| message.command.clear()).unwrap_err();
    assert_eq!(fields(&refusal), ["command"]);
}

#[test]
fn output_is_kept_as_the_policy_says() {
    let keep = |policy: i32, kib| {
        let call = call(|message| {
            message.output_handling = policy;
            message.buffered_max_kib = kib;
        });
        call.map(|call| call.keep_bytes)
    };
    let (buffered, discard) = (
        pb::OutputPolicy::Buffered.into(),
        pb::OutputPolicy::Discard.into(),
    );
    assert_eq!(keep(0, 0), Ok(KEPT_BYTES));
    assert_eq!(keep(0, 3), Ok(3 * 1024));
    assert_eq!(keep(buffered, 1), Ok(1024));
    assert_eq!(keep(discard, 0), Ok(0));
    assert_eq!(fields(&keep(discard, 1).unwrap_err()), ["buffered_max_kib"]);
    assert_eq!(
        fields(&keep(buffered, u32::MAX).unwrap_err()),
        ["buffered_max_kib"]
    );
    assert_eq!(fields(&keep(99, 0).unwrap_err()), ["output_handling"]);
    let streamed = keep(pb::OutputPolicy::Stream.into(), 0).unwrap_err();
    assert_eq!(streamed.reason, Reason::NotImplemented);
}

#[test]
fn a_negative_limit_is_refused() {
    let refusal = call(|message| message.max_timeout_seconds = -1).unwrap_err();
    assert_eq!(fields(&refusal), ["max_timeout_seconds"]);
}

#[test]
fn what_is_cut_is_counted_and_said() {
    let mut stdout = Produced::default();
    stdout.take(b"abc", 4);
    stdout.take(b"def", 4);
    let response = exec_response(Exit(7), stdout, Produced::default());
    let expected = pb::ExecResponse {
        stdout: b"abcd".to_vec(),
        exit_code: 7,
        stdout_truncated: true,
        stdout_bytes_produced: 6,
        ..Default::default()
    };
    assert_eq!(response.result, Some(expected));
}

#[test]
fn both_outputs_fit_into_one_answer_that_any_client_takes() {
    let (mut stdout, mut stderr) = (Produced::default(), Produced::default());
    stdout.take(&vec![b'x'; 3 << 20], KEPT_BYTES);
    stderr.take(&vec![b'y'; 3 << 20], KEPT_BYTES);
    let response = exec_response(Exit(0), stdout, stderr);
    assert!(prost::Message::encoded_len(&response) <= 4 << 20);
    let result = response.result.unwrap();
    assert!(result.stdout_truncated && result.stderr_truncated);
    assert_eq!(
        (result.stdout.len(), result.stderr.len()),
        (KEPT_BYTES, KEPT_BYTES)
    );
}
