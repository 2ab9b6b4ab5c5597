use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::frame::{Assembler, DATA_BYTES_MAX, whole};

fn paths() -> impl Strategy<Value = AbsolutePath> {
    "/[^\0]{0,40}".prop_map(|path| AbsolutePath::new(path).unwrap())
}

fn signals() -> impl Strategy<Value = SignalNumber> {
    (1_i64..=31).prop_map(|number| SignalNumber::new(number).unwrap())
}

fn terminals() -> impl Strategy<Value = TerminalSize> {
    any::<(u16, u16)>().prop_map(|(columns, rows)| TerminalSize { columns, rows })
}

fn execs() -> impl Strategy<Value = Exec> {
    let variables = ("[^\0=]{1,10}", "[^\0]{0,10}")
        .prop_map(|(name, value)| Variable::new(name, value).unwrap());
    let users = "[^\0]{0,10}".prop_map(|name| UserName::new(name).unwrap());
    let words = vec("[^\0]{0,10}", 1..6).prop_map(|words| Command::new(words).unwrap());
    (
        words,
        vec(variables, 0..5),
        option::of(paths()),
        option::of(users),
        option::of(terminals()),
    )
        .prop_map(|(command, environment, directory, user, terminal)| Exec {
            command,
            environment,
            directory,
            user,
            terminal,
        })
}

fn requests() -> impl Strategy<Value = Request> {
    let stops = (any::<u64>(), option::of(signals()))
        .prop_map(|(grace_ms, signal)| Request::Stop(Stop { grace_ms, signal }));
    let modes = (0_u32..=0o777).prop_map(|mode| FileMode::new(mode).unwrap());
    let writes = (paths(), any::<u64>(), option::of(modes)).prop_map(|(path, size_bytes, mode)| {
        Request::WriteFile(WriteFile {
            path,
            size_bytes,
            mode,
        })
    });
    let reads = (paths(), any::<u64>())
        .prop_map(|(path, bytes_max)| Request::ReadFile(ReadFile { path, bytes_max }));
    prop_oneof![
        any::<u32>().prop_map(|version| Request::Hello { version }),
        Just(Request::Ping),
        execs().prop_map(Request::Exec),
        Just(Request::Watch),
        stops,
        writes,
        reads,
        any::<NonZeroU16>().prop_map(|port| Request::Connect(Connect { port })),
    ]
}

fn inputs() -> impl Strategy<Value = Input> {
    prop_oneof![
        vec(any::<u8>(), 0..50).prop_map(|bytes| Input::Data(Data::new(bytes.into()).unwrap())),
        Just(Input::Close),
        terminals().prop_map(Input::Resize),
        signals().prop_map(Input::Signal),
    ]
}

fn body(frame: &Bytes) -> Bytes {
    let mut bytes = frame.as_ref();
    let body = Assembler::default().push(&mut bytes).unwrap().unwrap();
    assert!(bytes.is_empty());
    body
}

proptest! {
    #[test]
    fn a_request_survives_the_way(request in requests()) {
        let frame = request.clone().encode().unwrap();
        prop_assert_eq!(Request::decode(body(&frame)), Ok(request));
    }

    #[test]
    fn an_input_survives_the_way(input in inputs()) {
        let frame = whole(input.clone().encode());
        prop_assert_eq!(Input::decode(body(&frame)), Ok(input));
    }

    #[test]
    fn a_request_is_no_input_and_an_input_no_request(request in requests(), input in inputs()) {
        let request = body(&request.encode().unwrap());
        prop_assert_eq!(Input::decode(request), Err(BadFrame::Misplaced));
        prop_assert_eq!(Request::decode(body(&whole(input.encode()))), Err(BadFrame::Misplaced));
    }

    #[test]
    fn a_request_with_a_damaged_byte_upsets_nobody(
        request in requests(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut frame = request.encode().unwrap().to_vec();
        let place = place.index(frame.len());
        frame[place] = byte;
        crate::fuzz::decode_all(&frame);
    }

    #[test]
    fn a_request_that_was_cut_is_another_one_or_none(
        request in requests(),
        cut in any::<prop::sample::Index>(),
    ) {
        let body = body(&request.clone().encode().unwrap());
        if !body.is_empty() {
            let cut = body.slice(..cut.index(body.len()));
            prop_assert_ne!(Request::decode(cut), Ok(request));
        }
    }
}

#[test]
fn a_command_beyond_a_frame_is_refused_before_it_is_sent() {
    let long = "x".repeat(FRAME_BYTES_MAX);
    let exec = Exec {
        command: Command::new(vec![long]).unwrap(),
        environment: Vec::new(),
        directory: None,
        user: None,
        terminal: None,
    };
    let FrameTooLong { len } = Request::Exec(exec).encode().unwrap_err();
    assert!(len > FRAME_BYTES_MAX);
}

#[test]
fn a_full_piece_of_data_fits_a_frame() {
    let data = Data::new(Bytes::from(vec![1; DATA_BYTES_MAX])).unwrap();
    let frame = whole(Input::Data(data.clone()).encode());
    assert_eq!(Input::decode(body(&frame)), Ok(Input::Data(data)));
}

#[test]
fn more_data_than_a_frame_may_carry_is_refused() {
    let kind = Some(HostKind::Data(Bytes::from(vec![1; DATA_BYTES_MAX + 1])));
    let refused = Input::decode(wire::HostFrame { kind }.encode_to_vec().into());
    let len = DATA_BYTES_MAX + 1;
    let invalid = BadFrame::Invalid(Invalid::TooMuchData { len });
    assert_eq!(refused, Err(invalid));
}

#[test]
fn a_kind_of_a_later_version_is_told_from_garbage() {
    // Field 15, a message without content.
    let later = Bytes::from_static(&[15 << 3 | 2, 0]);
    assert_eq!(Request::decode(later), Err(BadFrame::UnknownKind));
    assert_eq!(Request::decode(Bytes::new()), Err(BadFrame::UnknownKind));
    let garbage = Bytes::from_static(&[0xff; 9]);
    assert_eq!(Request::decode(garbage), Err(BadFrame::NotAMessage));
}

#[test]
fn a_field_of_a_later_version_is_passed_over() {
    let mut body = body(&Request::Ping.encode().unwrap()).to_vec();
    body.extend_from_slice(&[0xf8, 0x07, 1]);
    assert_eq!(Request::decode(body.into()), Ok(Request::Ping));
}

#[test]
fn invalid_parts_are_refused_by_their_rule() {
    let exec = wire::Exec {
        command: vec!["a".into()],
        ..wire::Exec::default()
    };
    let refused = |kind: HostKind| {
        let message = wire::HostFrame { kind: Some(kind) };
        match Request::decode(message.encode_to_vec().into()) {
            Err(BadFrame::Invalid(invalid)) => invalid,
            other => panic!("{other:?}"),
        }
    };
    let no_command = refused(HostKind::Exec(wire::Exec::default()));
    assert_eq!(no_command, Invalid::NoCommand);
    let directory = Some("tmp".into());
    let relative = refused(HostKind::Exec(wire::Exec {
        directory,
        ..exec.clone()
    }));
    assert_eq!(relative, Invalid::NotAbsolute);
    let terminal = Some(wire::TerminalSize {
        columns: 70_000,
        rows: 1,
    });
    let wide = refused(HostKind::Exec(wire::Exec { terminal, ..exec }));
    assert_eq!(wide, Invalid::TerminalSize);
    let signal = refused(HostKind::Stop(wire::Stop {
        grace_ms: 1,
        signal: Some(64),
    }));
    assert_eq!(signal, Invalid::Signal { number: 64 });
    let mode = refused(HostKind::WriteFile(wire::WriteFile {
        path: "/a".into(),
        size_bytes: 0,
        mode: Some(0o4755),
    }));
    assert_eq!(
        mode,
        Invalid::OutOfRange {
            what: "the mode of a file"
        }
    );
}
