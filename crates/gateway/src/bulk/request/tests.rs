//! Bodies that grow large, side by side, in paused time.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http_body_util::BodyExt as _;
use tokio::time;
use tonic::Status;
use tonic_types::StatusExt as _;

use super::super::{AT_ONCE, OF_ONE, WAITING_OF_ONE};
use super::*;

const LIMIT: Duration = Duration::from_mins(1);
const NEARLY: Duration = Duration::from_secs(59);

/// A body of so many bytes, which then ends, or never does.
fn body(bytes: usize, ends: bool) -> Body {
    let pieces = (0..bytes.div_ceil(SMALL)).map(|_| Ok(Bytes::from(vec![0; SMALL])));
    let rest = stream::once(async move {
        if !ends {
            std::future::pending::<()>().await;
        }
        Ok::<_, axum::BoxError>(Bytes::new())
    });
    Body::from_stream(stream::iter(pieces).chain(rest))
}

fn measured(bulk: &Bulk, organization: &str, body: Body) -> (Body, Berth) {
    let measure = Measure {
        organization: organization.parse().unwrap(),
        limit: LIMIT,
        request_id: String::new(),
        is_prefixed: false,
    };
    bulk.measure(body, measure)
}

async fn read(body: Body) -> Result<usize, Status> {
    match body.collect().await {
        Ok(whole) => Ok(whole.to_bytes().len()),
        Err(error) => Err(Status::from_error(error.into())),
    }
}

fn reason(outcome: Result<usize, Status>) -> String {
    let details = outcome.unwrap_err().get_error_details();
    details.error_info().unwrap().reason.clone()
}

/// Berths of this organization, as many as it is given at once.
async fn taken(bulk: &Bulk, organization: &str, count: usize) -> Vec<Berth> {
    let mut berths = Vec::new();
    for _ in 0..count {
        let (body, berth) = measured(bulk, organization, body(3 * SMALL, true));
        assert_eq!(read(body).await.unwrap(), 3 * SMALL);
        berths.push(berth);
    }
    berths
}

#[tokio::test(start_paused = true)]
async fn one_organization_takes_half_of_the_room_and_small_requests_none() {
    let bulk = Bulk::default();
    let mut berths = taken(&bulk, "acme", OF_ONE).await;
    let (small, _small) = measured(&bulk, "acme", body(SMALL, true));
    assert_eq!(read(small).await.unwrap(), SMALL);
    let (large, berth) = measured(&bulk, "acme", body(2 * SMALL, true));
    let mut waiting = Box::pin(read(large));
    assert!((&mut waiting).now_or_never().is_none());
    assert!(berth.wait().is_on());
    taken(&bulk, "globex", OF_ONE).await;
    berths.pop();
    assert_eq!(waiting.await.unwrap(), 2 * SMALL);
    assert!(!berth.wait().is_on());
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_is_told_so_and_who_is_slow_too() {
    let bulk = Bulk::default();
    let (slow, berth) = measured(&bulk, "acme", body(2 * SMALL, false));
    let slow = read(slow).await.unwrap_err();
    assert_eq!(slow.code(), tonic::Code::DeadlineExceeded);
    assert!(slow.message().contains("nothing was done"), "{slow:?}");
    drop(berth);
    let berths = [
        taken(&bulk, "acme", OF_ONE).await,
        taken(&bulk, "globex", OF_ONE).await,
    ];
    for organization in ["acme", "initech"] {
        let (large, _berth) = measured(&bulk, organization, body(2 * SMALL, true));
        assert_eq!(reason(read(large).await), "CWSANDBOX_OVERLOADED");
    }
    drop(berths);
    taken(&bulk, "acme", OF_ONE).await;
}

#[tokio::test(start_paused = true)]
async fn who_was_held_back_has_all_the_time_to_arrive() {
    let bulk = Bulk::default();
    let berths = taken(&bulk, "acme", OF_ONE).await;
    let (large, _berth) = measured(&bulk, "acme", body(2 * SMALL, false));
    let mut waiting = Box::pin(read(large));
    assert!((&mut waiting).now_or_never().is_none());
    time::advance(NEARLY).await;
    drop(berths);
    assert!((&mut waiting).now_or_never().is_none());
    time::advance(NEARLY).await;
    assert!((&mut waiting).now_or_never().is_none());
    time::advance(Duration::from_secs(1)).await;
    assert_eq!(
        waiting.await.unwrap_err().code(),
        tonic::Code::DeadlineExceeded
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_than_so_many_wait() {
    let bulk = Bulk::default();
    let _berths = taken(&bulk, "acme", OF_ONE).await;
    let mut waiting = Vec::new();
    for _ in 0..WAITING_OF_ONE {
        let (large, berth) = measured(&bulk, "acme", body(2 * SMALL, true));
        let mut reading = Box::pin(read(large));
        assert!((&mut reading).now_or_never().is_none());
        waiting.push((reading, berth));
    }
    let one_more = || measured(&bulk, "acme", body(2 * SMALL, true)).0;
    let refused = read(one_more()).now_or_never().expect("at once");
    assert_eq!(reason(refused), "CWSANDBOX_OVERLOADED");
    waiting.pop();
    assert!(read(one_more()).now_or_never().is_none(), "it waits");
    taken(&bulk, "globex", OF_ONE).await;
}

#[tokio::test(start_paused = true)]
async fn what_says_that_it_will_be_large_is_held_back_before_it_is() {
    let bulk = Bulk::default();
    let _berths = taken(&bulk, "acme", OF_ONE).await;
    for (is_prefixed, waits) in [(true, true), (false, false)] {
        let measure = Measure {
            organization: "acme".parse().unwrap(),
            limit: LIMIT,
            request_id: String::new(),
            is_prefixed,
        };
        let says = Body::from(vec![0, 0, 0x10, 0, 0, 1]);
        let (body, berth) = bulk.measure(says, measure);
        let read = read(body).now_or_never();
        assert_eq!(read.is_none(), waits);
        assert_eq!(berth.wait().is_on(), waits);
    }
}

#[tokio::test]
async fn nothing_is_kept_of_organizations_that_send_nothing_large_any_more() {
    let bulk = Bulk::default();
    for number in 0..100 {
        let organization = format!("org-{number}").parse().unwrap();
        drop(bulk.turn(&organization).unwrap().await);
    }
    assert_eq!(bulk.each.lock().unwrap().len(), 1);
    assert_eq!(bulk.all.available_permits(), AT_ONCE);
}
