//! Packets that nobody who means well would send.

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use palisade_model::policy::Surroundings;
use palisade_model::profile::EgressMode;
use proptest::prelude::*;

use super::super::question::{self, Objection};
use super::super::{Cause, Directory, answer, upstream};
use super::stage::{
    ASKER, ASKER_ADDRESSES, ASKER_ID, Stage, Upstream, address, alias, standing, text,
};

/// A packet as it would be, with some bytes of it replaced.
fn damaged(whole: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let places = 0..whole.len();
    let damage = prop::collection::vec((places, any::<u8>()), 0..6);
    (damage, any::<prop::sample::Index>(), any::<bool>()).prop_map(move |(damage, end, is_cut)| {
        let mut packet = whole.clone();
        for (place, byte) in damage {
            packet[place] = byte;
        }
        if is_cut {
            packet.truncate(end.index(packet.len()));
        }
        packet
    })
}

fn asked() -> Message {
    super::stage::with_payload(
        super::stage::question("www.example.com.", RecordType::A),
        4096,
    )
}

fn said() -> Message {
    let records = [
        alias("b.example.com."),
        address("10.0.0.1"),
        address("2606::1"),
        text(400),
    ];
    let mut said = super::stage::answer(&asked(), &records);
    said.authorities = said.answers.clone();
    said.additionals = said.answers.clone();
    said
}

fn directory() -> Directory {
    let directory = Directory::default();
    directory.surround(Surroundings::default());
    directory.insert(ASKER_ID, ASKER_ADDRESSES, &standing(&EgressMode::Internet));
    directory
}

/// Everything that is done to a packet of a sandbox, without the waiting.
fn take_question(packet: &[u8]) {
    let asker = directory().find(ASKER).unwrap();
    let outcome =
        question::read(packet).and_then(|question| question.screen(&asker).map(|()| question));
    let (request, answer) = match outcome {
        Ok(question) => {
            let (answer, _) = answer::of_upstream(&question, &asker, said());
            (question.request, answer)
        }
        Err(Objection::Reply(request, code, _)) => {
            let answer = answer::of_code(&request, code);
            (*request, answer)
        }
        Err(Objection::Silence(_)) => return,
    };
    let bytes = answer::datagram(&request, &answer).expect("an answer can be written");
    assert!(bytes.len() <= 1232);
    let read = Message::from_vec(&bytes).expect("an answer can be read");
    assert_eq!(read.metadata.id.to_be_bytes(), packet[..2]);
    assert!(answer::stream(&answer).is_some());
}

proptest! {
    #[test]
    fn any_bytes_of_a_sandbox_are_refused_or_answered(packet in prop::collection::vec(any::<u8>(), 0..1400)) {
        take_question(&packet);
    }

    #[test]
    fn damaged_questions_are_refused_or_answered(packet in damaged(asked().to_vec().unwrap())) {
        take_question(&packet);
    }

    #[test]
    fn damaged_answers_tell_no_closed_address(packet in damaged(said().to_vec().unwrap())) {
        let query = Query::query(Name::from_ascii("www.example.com.").unwrap(), RecordType::A);
        let asker = directory().find(ASKER).unwrap();
        if let Some(message) = upstream::accept(&packet, 0x1234, &query) {
            let question = question::read(&asked().to_vec().unwrap()).unwrap();
            let (answer, _) = answer::of_upstream(&question, &asker, message);
            let Some(bytes) = answer::stream(&answer) else { return Ok(()); };
            let read = Message::from_vec(&bytes).expect("an answer can be read");
            for record in read.all_sections() {
                if let Some(address) = record.data.ip_addr() {
                    prop_assert!(asker.may_reach(address), "{address}");
                }
            }
        }
    }

    #[test]
    fn any_bytes_of_a_server_are_survived(packet in prop::collection::vec(any::<u8>(), 0..1400), id in any::<u16>()) {
        let query = Query::query(Name::root(), RecordType::A);
        upstream::accept(&packet, id, &query);
        let mut packet = packet;
        if let Some(start) = packet.first_chunk_mut::<6>() {
            let [a, b] = id.to_be_bytes();
            *start = [a, b, 0x80, 0, 0, 1];
            upstream::accept(&packet, id, &query);
        }
    }
}

#[test]
fn a_header_that_promises_thousands_of_questions_is_not_believed() {
    let mut packet = asked().to_vec().unwrap();
    packet[4..6].copy_from_slice(&[0xff, 0xff]);
    let Err(Objection::Reply(request, code, Cause::Malformed)) = question::read(&packet) else {
        panic!("it must be refused");
    };
    assert_eq!(code, ResponseCode::FormErr);
    assert_eq!(
        (request.metadata.id, request.metadata.op_code),
        (0x1234, OpCode::Query)
    );
}

#[test]
fn answers_are_not_answered() {
    let mut packet = asked();
    packet.metadata.message_type = hickory_proto::op::MessageType::Response;
    assert!(matches!(
        question::read(&packet.to_vec().unwrap()),
        Err(Objection::Silence(Cause::Malformed))
    ));
}

#[tokio::test]
async fn garbage_does_not_stop_the_service() {
    let upstream = Upstream::saying([address("140.82.112.4")]).await;
    let stage = Stage::new(&EgressMode::Internet, &[&upstream]);
    let socket = stage.socket().await;
    for len in 0..100 {
        socket.send(&vec![0xff; len]).await.unwrap();
        let loops = [
            &[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..],
            &[0xc0, 12].repeat(len),
        ];
        socket.send(&loops.concat()).await.unwrap();
    }
    let told = stage.ask("example.com.", RecordType::A).await;
    assert_eq!(told.answers.len(), 1);
    assert!(stage.refused(Cause::Malformed) > 0);
}
