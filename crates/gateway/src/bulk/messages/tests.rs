//! Streams with large messages, side by side, in paused time.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, stream};
use http_body_util::BodyExt as _;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time;
use tonic::Status;
use tonic_types::StatusExt as _;

use super::super::OF_ONE_ON_STREAMS;
use super::*;

const LIMIT: Duration = Duration::from_mins(1);
const LARGE: usize = FREE + 1;
const PIECE: usize = 1024 * 1024;

fn message(size: usize) -> Vec<u8> {
    let mut message = vec![0; PREFIX_LEN + size];
    let says = u32::try_from(size).unwrap();
    message[1..PREFIX_LEN].copy_from_slice(&says.to_be_bytes());
    message
}

/// A stream of these bytes, which goes on without saying anything.
fn open(bulk: &Bulk, organization: &str, bytes: &[u8]) -> Body {
    let pieces: Vec<_> = bytes.chunks(PIECE).map(Bytes::copy_from_slice).collect();
    let said = stream::iter(pieces.into_iter().map(Ok::<_, axum::BoxError>));
    let body = Body::from_stream(futures_util::StreamExt::chain(said, stream::pending()));
    let measure = Measure {
        organization: organization.parse().unwrap(),
        limit: LIMIT,
        request_id: String::new(),
        is_prefixed: true,
    };
    bulk.measure_messages(body, measure)
}

/// Reads so many bytes, and does not ask for more.
async fn read(body: &mut Body, bytes: usize) -> Result<(), Status> {
    let mut seen = 0;
    while seen < bytes {
        let frame = body.frame().await.expect("it goes on");
        let frame = frame.map_err(|error| Status::from_error(error.into()))?;
        seen += frame.data_ref().map_or(0, Bytes::len);
    }
    assert_eq!(seen, bytes);
    Ok(())
}

fn reason(outcome: Result<(), Status>) -> (tonic::Code, String) {
    let status = outcome.unwrap_err();
    let details = status.get_error_details();
    (status.code(), details.error_info().unwrap().reason.clone())
}

proptest! {
    #[test]
    fn messages_are_told_apart_wherever_they_are_cut(
        sizes in vec(0_usize..40, 0..10),
        cut in 1_usize..20,
        last in 1_usize..20,
    ) {
        let mut bytes: Vec<u8> = sizes.iter().flat_map(|size| message(*size)).collect();
        let mut prefixes = Prefixes::default();
        bytes.extend(message(LARGE).into_iter().take(PREFIX_LEN + last));
        for (number, piece) in bytes.chunks(cut).enumerate() {
            prefixes.pass(piece);
            let passed = bytes.len().min((number + 1) * cut);
            let begins = bytes.len() - last;
            prop_assert_eq!(prefixes.are_in_a_large_one(), passed >= begins, "{} {}", passed, begins);
        }
        prop_assert_eq!(prefixes.left, LARGE - last);
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_message_has_room_until_the_next_one_is_asked_for() {
    let bulk = Bulk::on_streams();
    let bytes = [message(LARGE), message(3)].concat();
    let mut taken = Vec::new();
    for _ in 0..OF_ONE_ON_STREAMS {
        let mut body = open(&bulk, "acme", &bytes);
        read(&mut body, bytes.len()).await.unwrap();
        taken.push(body);
    }
    let mut small = open(&bulk, "acme", &message(FREE));
    read(&mut small, PREFIX_LEN + FREE).await.unwrap();
    let mut other = open(&bulk, "globex", &bytes);
    read(&mut other, bytes.len()).await.unwrap();
    let mut large = open(&bulk, "acme", &bytes);
    let mut waiting = Box::pin(read(&mut large, bytes.len()));
    assert!((&mut waiting).now_or_never().is_none());
    assert!(taken[0].frame().now_or_never().is_none(), "it says no more");
    waiting.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_is_told_so_and_who_is_slow_too() {
    let bulk = Bulk::on_streams();
    let mut slow = open(&bulk, "acme", &message(LARGE)[..LARGE - 1]);
    let late = read(&mut slow, LARGE).await;
    let expected = (
        tonic::Code::DeadlineExceeded,
        "CWSANDBOX_BACKEND_UNAVAILABLE".to_owned(),
    );
    assert_eq!(reason(late), expected);
    drop(slow);
    let bytes = message(LARGE);
    let mut taken = Vec::new();
    for _ in 0..OF_ONE_ON_STREAMS {
        let mut body = open(&bulk, "acme", &bytes);
        read(&mut body, bytes.len()).await.unwrap();
        taken.push(body);
    }
    let mut large = open(&bulk, "acme", &bytes);
    let (_, held_back) = reason(read(&mut large, bytes.len()).await);
    assert_eq!(held_back, "CWSANDBOX_OVERLOADED");
    drop((taken, large));
    let mut large = open(&bulk, "acme", &bytes);
    read(&mut large, bytes.len()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_says_nothing_has_all_the_time() {
    let bulk = Bulk::on_streams();
    let bytes = [message(LARGE), message(3)].concat();
    let mut body = open(&bulk, "acme", &bytes);
    read(&mut body, bytes.len()).await.unwrap();
    let silence = time::timeout(100 * LIMIT, body.frame()).await;
    assert!(silence.is_err(), "{silence:?}");
}
