use serde_json::json;

use super::*;
use crate::profile::form;
use crate::testing::pods;

fn patch(pod: &Value) -> PodPatch {
    let spec = form::decode(&json!({ "pod": pod }));
    spec.unwrap_or_else(|violations| panic!("{pod}: {violations:?}"))
        .pod
        .unwrap()
}

/// Where the findings are, as people write it.
fn places(findings: &[Violation]) -> Vec<String> {
    findings
        .iter()
        .map(|finding| finding.path.to_string().replace("[\"$patch\"]", ".$patch"))
        .collect()
}

#[test]
fn good_profiles_raise_no_alarm() {
    for spec in pods::good_specs() {
        let pod = json!({
            "metadata": {
                "labels": { "app": "agent" },
                "annotations": { "owner": "ml-platform", "sunk.coreweave.com/partition": "cpu" },
            },
            "spec": spec,
        });
        assert_eq!(escapes(&patch(&pod)), [], "{pod}");
    }
}

#[test]
fn every_known_way_out_is_found_where_it_is_and_nothing_else() {
    for (spec, place) in pods::escapes() {
        let found = escapes(&patch(&json!({ "spec": spec })));
        assert_eq!(places(&found), [format!("pod.spec.{place}")], "{spec}");
    }
}

#[test]
fn every_finding_says_why_and_what_to_write() {
    for (spec, _) in pods::escapes() {
        for finding in escapes(&patch(&json!({ "spec": spec }))) {
            assert_eq!(finding.kind, ViolationKind::Forbidden);
            let (why, instead) = finding.description.split_once("; ").unwrap();
            assert!(why.len() > 15 && instead.len() > 10, "{finding}");
        }
    }
}

#[test]
fn overrides_may_remove_what_a_profile_sets_and_nothing_else() {
    for (spec, place) in pods::escapes() {
        let overrides = form::decode_patch(&json!({ "pod": { "spec": spec } })).unwrap();
        let found = places(&escapes_in_overrides(&overrides));
        let is_in_list = place.contains('[');
        if spec.to_string().contains("null") && !is_in_list {
            assert_eq!(found, Vec::<String>::new(), "{spec}");
        } else {
            assert_eq!(found, [format!("pod.spec.{place}")], "{spec}");
        }
    }
}

#[test]
fn a_whole_pod_may_have_the_runtime_class_that_was_chosen_for_it() {
    let pod = json!({ "spec": { "runtimeClassName": "gvisor", "hostNetwork": true } });
    assert_eq!(places(&escapes_in_pod(&pod)), ["pod.spec.hostNetwork"]);
}

#[test]
fn escapes_in_ephemeral_containers_of_a_pod_are_found() {
    let pod = json!({ "spec": { "ephemeralContainers": [
        { "name": "debug", "securityContext": { "privileged": true } },
    ] } });
    assert_eq!(
        places(&escapes_in_pod(&pod)),
        ["pod.spec.ephemeralContainers[0].securityContext.privileged"]
    );
}

#[test]
fn annotations_that_change_how_the_pod_runs_are_found() {
    let pod = json!({ "metadata": { "annotations": {
        "k8s.v1.cni.cncf.io/networks": "host-net",
        "owner": "me",
    } } });
    let found = escapes(&patch(&pod));
    assert_eq!(
        found.iter().map(Violation::to_string).collect::<Vec<_>>(),
        [
            r#"pod.metadata.annotations["k8s.v1.cni.cncf.io/networks"] attaches the pod to further networks; leave it out"#
        ]
    );
}

#[test]
fn several_escapes_are_found_together() {
    let spec = json!({
        "hostNetwork": true,
        "volumes": [{ "name": "x", "hostPath": { "path": "/" } }],
        "containers": [{ "name": "", "securityContext": { "privileged": true } }],
    });
    assert_eq!(escapes(&patch(&json!({ "spec": spec }))).len(), 3);
}
