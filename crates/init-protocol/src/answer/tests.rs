use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::frame::{Assembler, whole};

fn ends() -> impl Strategy<Value = Ended> {
    prop_oneof![
        any::<u8>().prop_map(Ended::Code),
        (1..=Ended::SIGNAL_MAX).prop_map(Ended::Signal),
    ]
}

fn reasons() -> impl Strategy<Value = Reason> {
    ".{0,30}".prop_map(Reason::new)
}

fn records() -> impl Strategy<Value = ExitRecord> {
    let outcomes = prop_oneof![
        ends().prop_map(Outcome::Ran),
        (any::<u8>(), reasons()).prop_map(|(code, reason)| Outcome::NotStarted { code, reason }),
    ];
    (outcomes, any::<i64>(), any::<bool>()).prop_map(|(outcome, at, asked)| ExitRecord {
        outcome,
        at: UnixMicros(at),
        asked,
    })
}

fn failures() -> impl Strategy<Value = FileFailure> {
    prop_oneof![
        Just(FileFailure::NotFound),
        Just(FileFailure::IsDirectory),
        Just(FileFailure::PermissionDenied),
        any::<u64>().prop_map(|size_bytes| FileFailure::TooLarge { size_bytes }),
        Just(FileFailure::BadPath),
        reasons().prop_map(FileFailure::Io),
    ]
}

fn answers() -> impl Strategy<Value = Answer> {
    let data = || vec(any::<u8>(), 1..50).prop_map(|bytes| Data::new(bytes.into()).unwrap());
    let streams = prop_oneof![Just(Stream::Stdout), Just(Stream::Stderr)];
    let started = any::<(u32, i64)>().prop_map(|(pid, at)| Started {
        pid,
        at: UnixMicros(at),
    });
    prop_oneof![
        any::<u32>().prop_map(|version| Answer::Hello { version }),
        Just(Answer::Pong),
        started.prop_map(Answer::Started),
        (streams, data()).prop_map(|(stream, data)| Answer::Output { stream, data }),
        ends().prop_map(Answer::Exit),
        reasons().prop_map(Answer::Failed),
        any::<u32>().prop_map(|limit| Answer::Busy { limit }),
        reasons().prop_map(Answer::Refused),
        Just(Answer::Ending),
        any::<u64>().prop_map(|end| Answer::LogAdvanced { end }),
        records().prop_map(Answer::MainExited),
        data().prop_map(Answer::FileContent),
        Just(Answer::Done),
        failures().prop_map(Answer::FileFailed),
        Just(Answer::Connected),
        data().prop_map(Answer::Received),
        Just(Answer::ReceivedAll),
        Just(Answer::NotConnected(ConnectFailure::Refused)),
        reasons().prop_map(|reason| Answer::NotConnected(ConnectFailure::Other(reason))),
    ]
}

fn body(frame: &Bytes) -> Bytes {
    let mut bytes = frame.as_ref();
    Assembler::default().push(&mut bytes).unwrap().unwrap()
}

fn decode(kind: InitKind) -> Result<Option<Answer>, BadAnswer> {
    let message = wire::InitFrame { kind: Some(kind) };
    Answer::decode(message.encode_to_vec().into())
}

proptest! {
    #[test]
    fn an_answer_survives_the_way(answer in answers()) {
        let frame = whole(answer.clone().encode());
        prop_assert_eq!(Answer::decode(body(&frame)), Ok(Some(answer)));
    }

    #[test]
    fn an_answer_with_a_damaged_byte_upsets_nobody(
        answer in answers(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut frame = whole(answer.encode()).to_vec();
        let place = place.index(frame.len());
        frame[place] = byte;
        crate::fuzz::decode_all(&frame);
    }
}

#[test]
fn a_shell_counts_signals_from_128() {
    assert_eq!(Ended::Code(255).shell_code(), 255);
    assert_eq!(Ended::KILLED.shell_code(), 137);
    assert_eq!(Ended::Signal(64).shell_code(), 192);
}

#[test]
fn a_kind_of_a_later_version_is_passed_over() {
    let later = Bytes::from_static(&[0xfa, 0x01, 0]);
    assert_eq!(Answer::decode(later), Ok(None));
}

#[test]
fn an_exit_is_within_what_the_kernel_knows() {
    let exit = |kind| decode(InitKind::Exit(wire::Ended { kind }));
    assert!(exit(Some(EndedKind::Code(255))).is_ok());
    for kind in [
        None,
        Some(EndedKind::Code(256)),
        Some(EndedKind::Signal(0)),
        Some(EndedKind::Signal(65)),
    ] {
        assert!(matches!(exit(kind), Err(BadAnswer::Invalid(_))));
    }
}

#[test]
fn output_without_bytes_is_refused() {
    for kind in [
        InitKind::Stdout(Bytes::new()),
        InitKind::Stderr(Bytes::new()),
        InitKind::FileContent(Bytes::new()),
    ] {
        assert!(matches!(decode(kind), Err(BadAnswer::Invalid(_))));
    }
}

#[test]
fn a_failure_of_a_later_version_keeps_its_message() {
    let failed = wire::FileFailed {
        kind: 77,
        size_bytes: 0,
        message: "too many links".into(),
    };
    let wanted = Answer::FileFailed(FileFailure::Io(Reason::new("too many links")));
    assert_eq!(decode(InitKind::FileFailed(failed)), Ok(Some(wanted)));
}
