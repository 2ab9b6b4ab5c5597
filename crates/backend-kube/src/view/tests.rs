//! What pods say, as the server sends them, and what that means.
#![expect(
    clippy::needless_pass_by_value,
    reason = "a json!() as an argument reads best without a reference"
)]

use serde_json::{Value, json};

use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const STARTED: &str = "2026-11-26T18:00:00Z";
const FINISHED: &str = "2026-11-26T18:00:05Z";

fn at(text: &str) -> Timestamp {
    let time: Time = serde_json::from_value(json!(text)).unwrap();
    timestamp(&time).unwrap()
}

fn pod(status: Value) -> Pod {
    serde_json::from_value(json!({ "metadata": { "name": "x" }, "status": status })).unwrap()
}

fn main_in(state: Value) -> Value {
    json!([{
        "name": "sandbox", "image": "python:3.11", "imageID": "", "ready": false,
        "restartCount": 0, "state": state,
    }])
}

fn seen(status: Value) -> Verdict {
    verdict(&pod(status), Around::default(), NOW)
}

fn running() -> Value {
    json!({
        "phase": "Running",
        "startTime": STARTED,
        "containerStatuses": main_in(json!({ "running": { "startedAt": STARTED } })),
    })
}

fn terminated(state: Value) -> Value {
    json!({
        "phase": "Failed",
        "containerStatuses": main_in(json!({ "terminated": state })),
    })
}

fn stopped(status: Value) -> Pod {
    let mut pod = pod(status);
    let pairs = [(naming::STOP_BY.to_owned(), "1".to_owned())];
    pod.metadata.annotations = Some(pairs.into());
    pod
}

#[test]
fn a_running_container_is_a_running_sandbox_with_its_address() {
    let around = Around {
        address: "1.2.3.4:80",
        ..Around::default()
    };
    let expected = View::Running {
        since: at(STARTED),
        address: "1.2.3.4:80".to_owned(),
    };
    assert_eq!(verdict(&pod(running()), around, NOW), Verdict::At(expected));
}

#[test]
fn a_sandbox_that_is_to_have_an_address_starts_until_it_has_one() {
    let around = Around {
        awaits_address: true,
        ..Around::default()
    };
    let Verdict::At(View::Starting(text)) = verdict(&pod(running()), around, NOW) else {
        unreachable!("it starts");
    };
    assert!(text.contains("external address"));
}

#[test]
fn the_scheduler_s_words_are_passed_on() {
    let message = "0/3 nodes are available: 3 Insufficient cpu.";
    let status = json!({ "phase": "Pending", "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
    }] });
    let Verdict::At(View::Starting(text)) = seen(status) else {
        unreachable!("it starts");
    };
    assert!(text.contains(message), "{text}");
}

#[test]
fn an_image_that_cannot_be_pulled_is_hopeless_only_once_the_node_backs_off() {
    let waiting = |reason: &str| {
        let state = json!({ "waiting": { "reason": reason, "message": "not found" } });
        seen(json!({ "phase": "Pending", "containerStatuses": main_in(state) }))
    };
    assert!(matches!(
        waiting("ErrImagePull"),
        Verdict::At(View::Starting(_))
    ));
    let Verdict::Hopeless(reason) = waiting("ImagePullBackOff") else {
        unreachable!("it is hopeless");
    };
    assert_eq!(reason, "cannot pull image python:3.11: not found");
}

#[test]
fn what_may_pass_is_hopeless_once_it_lasts_too_long() {
    let state = json!({ "waiting": { "reason": "CreateContainerConfigError", "message": "m" } });
    let pod = pod(json!({ "phase": "Pending", "containerStatuses": main_in(state) }));
    let after = |is_overdue| {
        let around = Around {
            is_overdue,
            ..Around::default()
        };
        verdict(&pod, around, NOW)
    };
    assert!(matches!(after(false), Verdict::At(View::Starting(_))));
    assert!(matches!(after(true), Verdict::Hopeless(_)));
}

#[test]
fn an_init_container_that_fails_is_named() {
    let status = json!({ "phase": "Pending", "initContainerStatuses": [{
        "name": "prep", "image": "busybox", "imageID": "", "ready": false, "restartCount": 0,
        "state": { "terminated": { "exitCode": 3 } },
    }] });
    let expected = "init container prep ended with code 3".to_owned();
    assert_eq!(seen(status), Verdict::Hopeless(expected));
}

#[test]
fn an_exit_is_told_with_its_code_and_times() {
    let state = json!({
        "exitCode": 7, "reason": "Error", "startedAt": STARTED, "finishedAt": FINISHED,
    });
    let expected = View::Ended {
        since: Some(at(STARTED)),
        at: at(FINISHED),
        exit: Some(Exit(7)),
        reason: String::new(),
        stopped: false,
    };
    assert_eq!(seen(terminated(state)), Verdict::At(expected));
}

#[test]
fn each_kind_of_end_has_its_reason() {
    let reason = |pod: Value, cause: &str| {
        let mut status = terminated(json!({
            "exitCode": 137, "reason": cause, "startedAt": STARTED, "finishedAt": FINISHED,
        }));
        status["reason"] = pod["reason"].clone();
        status["message"] = pod["message"].clone();
        let Verdict::At(View::Ended { reason, .. }) = seen(status) else {
            unreachable!("it ended");
        };
        reason
    };
    assert!(reason(json!({}), "OOMKilled").contains("memory limit"));
    let evicted = json!({ "reason": "Evicted", "message": "low on disk" });
    assert_eq!(reason(evicted, "Error"), "evicted by its node: low on disk");
    let over = json!({ "reason": "DeadlineExceeded" });
    assert_eq!(reason(over, "Error"), "its time was over");
    assert!(reason(json!({ "reason": "NodeLost" }), "Error").contains("node was lost"));
    assert!(reason(json!({ "reason": "Preempting" }), "Error").contains("made room"));
}

#[test]
fn a_program_that_cannot_be_started_ends_as_in_a_shell() {
    let code = |message: &str| {
        let state = json!({
            "exitCode": 128, "reason": "StartError", "message": message,
            "startedAt": "1970-01-01T00:00:00Z", "finishedAt": FINISHED,
        });
        let Verdict::At(View::Ended { since, exit, .. }) = seen(terminated(state)) else {
            unreachable!("it ended");
        };
        assert_eq!(since, None);
        exit.unwrap().0
    };
    assert_eq!(
        code("exec: \"/no/such\": stat /no/such: no such file or directory"),
        127
    );
    assert_eq!(
        code("exec: \"no\": executable file not found in $PATH"),
        127
    );
    assert_eq!(code("exec: \"/etc/passwd\": permission denied"), 126);
    assert_eq!(code("something else"), 128);
}

#[test]
fn a_stop_shows_until_the_end_and_at_the_end() {
    let pod = stopped(running());
    let expected = View::Stopping {
        since: Some(at(STARTED)),
    };
    assert_eq!(verdict(&pod, Around::default(), NOW), Verdict::At(expected));
    let ended = stopped(terminated(json!({ "exitCode": 0, "finishedAt": FINISHED })));
    let verdict = verdict(&ended, Around::default(), NOW);
    assert!(
        matches!(verdict, Verdict::At(View::Ended { stopped: true, .. })),
        "{verdict:?}"
    );
}

#[test]
fn a_pod_that_failed_while_its_container_still_runs_is_not_over() {
    let mut status = running();
    status["phase"] = json!("Failed");
    status["reason"] = json!("DeadlineExceeded");
    assert!(!matches!(
        seen(status.clone()),
        Verdict::At(View::Failed { .. } | View::Ended { .. })
    ));
    let stopping = verdict(&stopped(status), Around::default(), NOW);
    assert!(
        matches!(stopping, Verdict::At(View::Stopping { .. })),
        "{stopping:?}"
    );
}

#[test]
fn a_pod_that_never_ran_failed_or_was_stopped() {
    let status = json!({ "phase": "Failed", "reason": "Evicted", "message": "m" });
    let Verdict::At(View::Failed { reason, .. }) = seen(status.clone()) else {
        unreachable!("it failed");
    };
    assert_eq!(reason, "evicted by its node: m");
    let verdict = verdict(&stopped(status), Around::default(), NOW);
    assert!(matches!(
        verdict,
        Verdict::At(View::Ended {
            stopped: true,
            since: None,
            ..
        })
    ));
}

#[test]
fn a_pod_that_its_node_ended_without_a_word_was_deleted_if_somebody_deletes_it() {
    let reason_of = |pod: &Pod| {
        let Verdict::At(View::Failed { reason, .. }) = verdict(pod, Around::default(), NOW) else {
            unreachable!("it failed");
        };
        reason
    };
    let mut pod = pod(json!({ "phase": "Failed" }));
    assert_eq!(reason_of(&pod), "the cluster gave it up");
    pod.metadata.deletion_timestamp = serde_json::from_value(json!(FINISHED)).unwrap();
    assert_eq!(reason_of(&pod), "its pod was deleted from the cluster");
}

#[test]
fn a_pod_that_somebody_deletes_is_stopping() {
    let mut pod = pod(running());
    pod.metadata.deletion_timestamp = serde_json::from_value(json!(FINISHED)).unwrap();
    let expected = View::Stopping {
        since: Some(at(STARTED)),
    };
    assert_eq!(verdict(&pod, Around::default(), NOW), Verdict::At(expected));
}

/// A pod whose deadline was 30 s after its start, with a grace of 2 s.
fn overdue(mut status: Value) -> Pod {
    status["reason"] = "DeadlineExceeded".into();
    status["phase"] = "Failed".into();
    let mut pod = pod(status);
    let spec = json!({
        "activeDeadlineSeconds": 30, "terminationGracePeriodSeconds": 2, "containers": [],
    });
    pod.spec = Some(serde_json::from_value(spec).unwrap());
    pod
}

#[test]
fn a_pod_that_its_node_ended_without_telling_has_ended_after_a_while() {
    let pod = overdue(running());
    let over = at(STARTED).saturating_add(Duration::from_secs(42));
    assert_eq!(given_up_at(&pod), Some(over));
    let before = verdict(&pod, Around::default(), at(FINISHED));
    assert!(
        matches!(before, Verdict::At(View::Stopping { .. })),
        "{before:?}"
    );
    let Verdict::At(View::Ended { at, exit, .. }) = verdict(&pod, Around::default(), NOW) else {
        unreachable!("it ended");
    };
    assert_eq!((at, exit), (over, None));
}

#[test]
fn a_pod_that_tells_its_end_is_not_given_up() {
    let told = overdue(terminated(
        json!({ "exitCode": 143, "finishedAt": FINISHED }),
    ));
    let Verdict::At(View::Ended { exit, .. }) = verdict(&told, Around::default(), NOW) else {
        unreachable!("it ended");
    };
    assert_eq!(exit, Some(Exit(143)));
    assert_eq!(given_up_at(&pod(running())), None);
}

#[test]
fn an_end_that_somebody_else_brought_about_says_so() {
    let mut pod = pod(terminated(json!({ "exitCode": 143, "reason": "Error" })));
    let reason = |pod: &Pod| match verdict(pod, Around::default(), NOW) {
        Verdict::At(View::Ended { reason, .. }) => reason,
        other @ (Verdict::At(_) | Verdict::Hopeless(_)) => unreachable!("it ended: {other:?}"),
    };
    assert_eq!(reason(&pod), "");
    pod.metadata.deletion_timestamp = Some(serde_json::from_value(json!(FINISHED)).unwrap());
    assert_eq!(reason(&pod), "its pod was deleted from the cluster");
    let status = pod.status.as_mut().unwrap();
    let condition = json!([{
        "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
    }]);
    status.conditions = Some(serde_json::from_value(condition).unwrap());
    assert!(reason(&pod).contains("drained"), "{}", reason(&pod));
}
