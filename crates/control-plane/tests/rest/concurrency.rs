//! Callers that get in the way of each other.

use futures_util::future::join_all;
use serde_json::json;

use crate::plane::{PROFILES, Plane, RUNNERS};
use crate::{profiles, runners};

const RIVALS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_creators_of_one_name_one_wins() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let body = json!({ "displayName": "web", "spec": {} });
    let answers = join_all((0..RIVALS).map(|_| admin.post(PROFILES, &body))).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|a| a.status == 200);
    assert_eq!(won.len(), 1);
    for answer in lost {
        answer.refused(409, "PROFILE_NAME_TAKEN");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_changes_from_one_state_one_wins() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    let path = profiles::path(&web);
    let bodies = (0..RIVALS)
        .map(|number| json!({ "description": format!("by {number}"), "etag": web["etag"] }))
        .collect::<Vec<_>>();
    let answers = join_all(bodies.iter().map(|body| admin.patch(&path, body))).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|a| a.status == 200);
    assert_eq!(won.len(), 1);
    for answer in lost {
        answer.refused(409, "ETAG_MISMATCH");
    }
    assert_eq!(admin.get(&path).await.ok(), won[0].body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binding_and_deleting_a_profile_exclude_each_other() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    for number in 0..RIVALS {
        let name = format!("web {number}");
        let web = profiles::make(&admin, &name).await;
        let (id, path) = (format!("runner-{number}"), profiles::path(&web));
        let draft = runners::draft(&id, &[&web]);
        let (bound, deleted) = tokio::join!(admin.post(RUNNERS, &draft), admin.delete(&path));
        if bound.status == 200 {
            deleted.refused(409, "PROFILE_IN_USE");
            admin.get(&path).await.ok();
        } else {
            bound.refused(400, "BOUND_PROFILE_NOT_FOUND");
            deleted.ok();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_profile_and_a_runner_that_do_not_go_together_never_both_get_in() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let limits = json!({ "cpuLimit": "1", "memoryLimit": "1Gi" });
    let mut refused = 0;
    for round in 0..12 {
        let spec = json!({ "resourceDefaults": limits });
        let draft = json!({ "displayName": format!("web-{round}"), "spec": spec });
        let web = admin.post(PROFILES, &draft).await.ok();
        let id = format!("runner-{round}");
        let mut runner = runners::draft(&id, &[&web]);
        runner["runner"]["managedSpec"]["enforceResourceLimits"] = json!(true);
        let path = profiles::path(&web);
        let unlimited = json!({ "spec": {} });
        let (updated, created) =
            tokio::join!(admin.patch(&path, &unlimited), admin.post(RUNNERS, &runner),);
        let outcomes = [updated.status.as_u16(), created.status.as_u16()];
        assert!(outcomes.contains(&200), "{outcomes:?}");
        refused += u32::from(outcomes.contains(&400));
        if created.status.is_success() {
            let resolved = admin.get(&format!("{path}/resolved?runner={id}")).await;
            resolved.ok();
        }
    }
    assert_eq!(refused, 12, "one of the two is refused every time");
}
