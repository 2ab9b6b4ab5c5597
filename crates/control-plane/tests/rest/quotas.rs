//! What callers are told of their quotas.

use palisade_model::quota::{Limits, Quota};
use palisade_store::Organizations as _;
use palisade_wire::rest::{StartQueue, WaitingStart};
use serde_json::json;

use crate::plane::Plane;

async fn limited(plane: &Plane) {
    // The organization comes with its first caller.
    plane.admin().await;
    let quota = Quota {
        organization: Limits {
            sandboxes: Some(0),
            starts_per_minute: Some(7),
            ..Limits::default()
        },
        users: [(
            "bob".parse().unwrap(),
            Limits {
                sandboxes: Some(3),
                ..Limits::default()
            },
        )]
        .into(),
        ..Quota::default()
    };
    let acme = "acme".parse().unwrap();
    plane.store.update_quota(&acme, quota, None).await.unwrap();
}

#[tokio::test]
async fn everybody_sees_where_he_stands() {
    let plane = Plane::start().await;
    limited(&plane).await;
    let user = plane.user().await;
    let report = user.get("/v1beta2/sandbox/quota").await.ok();
    assert_eq!(report["organization"]["id"], "acme");
    let none = json!({ "used": 0, "max": 0 });
    assert_eq!(report["organization"]["sandboxes"], none);
    let rate = json!({ "used": 0, "max": 7 });
    assert_eq!(report["organization"]["startsPerMinute"], rate);
    assert_eq!(report["user"]["sandboxes"], json!({ "used": 0 }));
}

#[tokio::test]
async fn another_user_is_for_administrators() {
    let plane = Plane::start().await;
    limited(&plane).await;
    let path = "/v1beta2/sandbox/quota?user=bob";
    let (user, admin) = (plane.user().await, plane.admin().await);
    let refused = user.get(path).await;
    assert_eq!(refused.status.as_u16(), 403);
    let report = admin.get(path).await.ok();
    assert_eq!(report["user"]["id"], "bob");
    assert_eq!(report["user"]["sandboxes"]["max"], 3);
    let wrong = admin.get("/v1beta2/sandbox/quota?usr=bob").await;
    assert_eq!(wrong.status.as_u16(), 400);
}

#[tokio::test]
async fn members_see_their_own_starts_in_the_line_and_administrators_all() {
    let plane = Plane::start().await;
    let start = |position: u32, user: &str| WaitingStart {
        position,
        user: user.to_owned(),
        ..WaitingStart::default()
    };
    let line = StartQueue {
        length: 3,
        waiting: vec![start(1, "eve"), start(2, "ada"), start(3, "eve")],
    };
    plane.live.line_up("globex".parse().unwrap(), line.clone());
    let (user, admin) = (plane.user().await, plane.admin().await);
    let path = "/v1beta2/sandbox/queue";
    let foreign = admin.get(path).await.ok();
    assert_eq!(foreign, json!({ "length": 0, "waiting": [] }));
    plane.live.line_up("acme".parse().unwrap(), line);
    let own = user.get(path).await.ok();
    let places = |seen: &serde_json::Value| {
        let waiting = seen["waiting"].as_array().unwrap().iter();
        waiting
            .map(|start| start["position"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(own["length"], 3);
    assert_eq!(places(&own), [2]);
    assert_eq!(places(&admin.get(path).await.ok()), [1, 2, 3]);
}
