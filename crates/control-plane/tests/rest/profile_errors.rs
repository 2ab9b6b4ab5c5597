//! Profiles that are refused, and why.

use serde_json::{Value, json};

use crate::plane::{PROFILES, Plane};
use crate::profiles::{make, path};

#[tokio::test]
async fn a_display_name_that_is_taken_is_refused() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let first = make(&admin, "web").await;
    let second = json!({ "profileTemplate": { "displayName": "web", "spec": {} } });
    let refused = admin.post(PROFILES, &second).await;
    let message = refused.refused(409, "PROFILE_NAME_TAKEN");
    assert_eq!(refused.body["code"], 6, "ALREADY_EXISTS");
    assert!(message.contains(first["id"].as_str().unwrap()), "{message}");
    assert_eq!(refused.fields(), ["profileTemplate.displayName DUPLICATE"]);
}

#[tokio::test]
async fn a_display_name_does_not_change() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let made = make(&admin, "web").await;
    let refused = admin
        .patch(&path(&made), &json!({ "displayName": "other" }))
        .await;
    refused.refused(400, "INVALID_REQUEST");
    assert_eq!(refused.fields(), ["displayName IMMUTABLE"]);
    let other = make(&admin, "another").await;
    let refused = admin
        .patch(&path(&made), &json!({ "id": other["id"] }))
        .await;
    assert_eq!(refused.fields(), ["id IMMUTABLE"]);
}

#[tokio::test]
async fn what_the_server_assigns_is_not_sent_at_creation() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    for field in ["id", "organizationId", "createdAt", "updatedAt"] {
        let mut draft = json!({ "displayName": "web", "spec": {} });
        draft[field] = json!("0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d");
        let refused = admin.post(PROFILES, &draft).await;
        refused.refused(400, "INVALID_REQUEST");
        assert_eq!(refused.fields(), [format!("{field} READ_ONLY")]);
    }
}

#[tokio::test]
async fn every_wrong_field_is_told_at_once_in_the_caller_s_spelling() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let draft = json!({ "profileTemplate": {
        "displayName": "",
        "descripton": "misspelt",
        "spec": {
            "containerImage": "Not An Image",
            "resourceDefaults": { "cpuRequest": "1.5x", "memoryLimit": "-1", "cpu_limits": "1" },
            "networkConfigJson": "{\"egress\":{\"default\":\"ci\",\"modes\":{\"ci\":\
                {\"type\":\"allowlist\",\"cidrs\":[\"10.0.0.1/8\",\"10.0.0.0/33\"]}}}}",
        },
    } });
    let refused = admin.post(PROFILES, &draft).await;
    let message = refused.refused(400, "INVALID_REQUEST");
    assert!(message.contains("more)"), "{message}");
    let fields = refused.fields();
    let expected = [
        "profileTemplate.displayName",
        "profileTemplate.descripton UNKNOWN_FIELD",
        "profileTemplate.spec.containerImage INVALID",
        "profileTemplate.spec.resourceDefaults.cpuRequest INVALID",
        "profileTemplate.spec.resourceDefaults.memoryLimit INVALID",
        "profileTemplate.spec.resourceDefaults.cpu_limits UNKNOWN_FIELD",
        "profileTemplate.spec.networkConfigJson",
    ];
    for expected in expected {
        let is_told = fields.iter().any(|field| field.starts_with(expected));
        assert!(is_told, "{expected} in {fields:#?}");
    }
    let text = refused.body.to_string();
    for hint in [
        "did you mean description?",
        "did you mean cpuLimit?",
        "10.0.0.0/8",
    ] {
        assert!(text.contains(hint), "{hint} in {:#}", refused.body);
    }
}

async fn refusal_of_spec(spec: Value) -> (Vec<String>, String) {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let refused = admin
        .post(PROFILES, &json!({ "displayName": "web", "spec": spec }))
        .await;
    let message = refused.refused(400, "INVALID_REQUEST");
    let nothing = admin.get(PROFILES).await.ok();
    assert_eq!(nothing["profileTemplates"], json!([]));
    (refused.fields(), message)
}

#[tokio::test]
async fn quantities_that_no_number_holds_are_refused() {
    for amount in [
        "99999999999999999999999999999999999999999E",
        "1e99",
        "0.0000000001",
        "NaN",
    ] {
        let spec = json!({ "resourceDefaults": { "memoryLimit": amount } });
        let (fields, _) = refusal_of_spec(spec).await;
        assert_eq!(
            fields,
            ["spec.resourceDefaults.memoryLimit INVALID"],
            "{amount}"
        );
    }
}

#[tokio::test]
async fn a_range_with_host_bits_is_refused_with_the_range_that_was_meant() {
    let network = json!({ "egress": { "default": "ci", "modes": { "ci": {
        "type": "allowlist", "cidrs": ["192.168.1.7/24"],
    } } } });
    let spec = json!({ "networkConfigJson": network.to_string() });
    let (fields, message) = refusal_of_spec(spec).await;
    assert_eq!(fields.len(), 1, "{fields:?}");
    assert!(fields[0].contains("cidrs[0]"), "{fields:?}");
    assert!(message.contains("192.168.1.0/24"), "{message}");
}

#[tokio::test]
async fn a_pod_that_opens_the_sandbox_is_refused() {
    let pods = [
        json!({ "spec": { "hostNetwork": true } }),
        json!({ "spec": { "volumes": [{ "name": "x", "hostPath": { "path": "/" } }] } }),
        json!({ "spec": { "containers": [
            { "name": "", "securityContext": { "privileged": true } },
        ] } }),
    ];
    for pod in pods {
        let spec = json!({ "podTemplateJson": pod.to_string() });
        let (fields, _) = refusal_of_spec(spec).await;
        assert!(
            fields.iter().any(|field| field.ends_with("FORBIDDEN")),
            "{fields:?}"
        );
    }
}

#[tokio::test]
async fn a_profile_that_is_not_there_is_told_with_the_nearest_name() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    make(&admin, "pytorch-train").await;
    let refused = admin.get(&format!("{PROFILES}/pytorch-trian")).await;
    let message = refused.refused(404, "PROFILE_NOT_FOUND");
    assert!(message.contains("did you mean pytorch-train?"), "{message}");
    let paths = [
        format!("{PROFILES}/0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d"),
        format!("{PROFILES}/%20"),
        format!("{PROFILES}/{}", "x".repeat(500)),
        format!("{PROFILES}/%00"),
    ];
    for path in paths {
        admin.get(&path).await.refused(404, "PROFILE_NOT_FOUND");
    }
}

#[tokio::test]
async fn page_tokens_and_sizes_that_are_none_are_refused() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let queries = [
        ("pageToken=!!!", "pageToken"),
        ("pageToken=AAAA", "pageToken"),
        ("pageSize=-1", "pageSize"),
        ("pageSize=ten", "pageSize"),
        ("pageSize=1&page_size=2", "page_size"),
        ("limit=3", "limit"),
    ];
    for (query, field) in queries {
        let refused = admin.get(&format!("{PROFILES}?{query}")).await;
        refused.refused(400, "INVALID_REQUEST");
        assert!(
            refused.fields()[0].starts_with(field),
            "{query}: {:?}",
            refused.fields()
        );
    }
}
