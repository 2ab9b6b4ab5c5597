//! One function that feeds bytes to every parser of this crate, for fuzzing.

use bytes::Bytes;

use crate::agent::{AgentConfig, REPORT_BYTES_MAX, Report};
use crate::answer::Answer;
use crate::config::Config;
use crate::frame::{Assembler, whole};
use crate::log::Record;
use crate::request::{Input, Request};
use crate::status::Status;

/// Parses `bytes` as everything that they could be, and returns how many frames
/// were in them.
///
/// Whatever was understood is encoded and parsed again: the result must be the
/// same.
///
/// # Panics
///
/// When a parser is broken, which is what a fuzzer looks for.
pub fn decode_all(mut bytes: &[u8]) -> usize {
    let _ = Status::parse(bytes);
    if let Some(report) = std::str::from_utf8(bytes).ok().and_then(Report::parse) {
        assert!(report.to_string().len() < REPORT_BYTES_MAX);
    }
    if let Ok(config) = Config::decode(Bytes::copy_from_slice(bytes)) {
        let again = Config::decode(Bytes::from(config.clone().encode()));
        assert_eq!(again.as_ref(), Ok(&config));
    }
    for chunk in bytes.as_chunks().0 {
        if let Some(record) = Record::decode(chunk) {
            assert_eq!(Record::decode(&record.encode()), Some(record));
        }
    }
    let mut frames = Assembler::default();
    let mut count = 0;
    while let Ok(Some(body)) = frames.push(&mut bytes) {
        decode_frame(&body);
        count += 1;
    }
    count
}

fn decode_frame(body: &Bytes) {
    if let Ok(config) = AgentConfig::decode(body.clone()) {
        let again = AgentConfig::decode(unframed(&config.clone().encode()));
        assert_eq!(again, Ok(config));
    }
    // What was understood can be longer than it came: protobuf lets defaults be
    // left out inside. Then it does not fit a frame, and is refused.
    if let Ok(request) = Request::decode(body.clone())
        && let Ok(frame) = request.clone().encode()
    {
        assert_eq!(Request::decode(unframed(&frame)), Ok(request));
    }
    if let Ok(input) = Input::decode(body.clone()) {
        let frame = whole(input.clone().encode());
        assert_eq!(Input::decode(unframed(&frame)), Ok(input));
    }
    if let Ok(Some(answer)) = Answer::decode(body.clone()) {
        let frame = whole(answer.clone().encode());
        assert_eq!(Answer::decode(unframed(&frame)), Ok(Some(answer)));
    }
}

fn unframed(frame: &Bytes) -> Bytes {
    let mut assembler = Assembler::default();
    let body = assembler.push(&mut frame.as_ref());
    body.ok().flatten().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn garbage_upsets_no_parser(bytes in vec(any::<u8>(), 0..2000)) {
            decode_all(&bytes);
        }

        #[test]
        fn garbage_in_good_frames_upsets_no_parser(
            bodies in vec(vec(any::<u8>(), 0..200), 0..8),
        ) {
            let stream: Vec<u8> = bodies
                .iter()
                .flat_map(|body| {
                    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
                    [len.as_slice(), body].concat()
                })
                .collect();
            prop_assert_eq!(decode_all(&stream), bodies.len());
        }
    }
}
