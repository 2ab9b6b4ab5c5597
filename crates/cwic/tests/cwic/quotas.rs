//! Limits that administrators set, as those meet them who start sandboxes.

use palisade_model::quota::{Limits, Quota};
use palisade_model::tenant::{Role, SandboxQuota};
use palisade_store::Organizations as _;
use serde_json::{Value, json};

use crate::platform::Platform;

/// What the operator gives the organization.
async fn given(platform: &Platform, sandboxes: u32) {
    let quota = Quota {
        organization: Limits {
            sandbox: SandboxQuota {
                cpu: Some("4".parse().unwrap()),
                ..SandboxQuota::default()
            },
            sandboxes: Some(sandboxes),
            ..Limits::default()
        },
        ..Quota::default()
    };
    let acme = "acme".parse().unwrap();
    let set = platform.store.update_quota(&acme, quota, None).await;
    set.unwrap();
}

async fn limits(platform: &Platform) -> Value {
    let told = platform.run("sandbox quota ls -o json").await;
    serde_json::from_str(told.ok()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_are_named_change_and_hold_for_the_next_start() {
    let platform = Platform::start().await;
    given(&platform, 10).await;
    let set = platform
        .run("sandbox quota set --each-user --max-sandboxes 5 --max-cpu 2")
        .await;
    assert_eq!(set.ok(), "quota of each user configured\n");
    let set = platform
        .run("sandbox quota set --user ada --max-sandboxes 1")
        .await;
    assert_eq!(set.ok(), "quota of user ada configured\n");
    let told = limits(&platform).await;
    assert_eq!(
        told["eachUser"],
        json!({ "maxCpu": "2", "maxSandboxes": 5 })
    );
    // Begun with those of each user.
    assert_eq!(
        told["users"]["ada"],
        json!({ "maxCpu": "2", "maxSandboxes": 1 })
    );
    platform.sandbox("fake until-stopped").await;
    let refused = platform.run("sandbox run -d -- fake until-stopped").await;
    let told = refused.failed(2);
    assert!(
        told.contains("user ada has 1 sandboxes and may have 1"),
        "{told}"
    );
    let lifted = platform
        .run("sandbox quota set --user ada --max-sandboxes none -o json")
        .await;
    let outcome: Value = serde_json::from_str(lifted.ok()).unwrap();
    let expected = json!({
        "kind": "quota", "name": "ada", "result": "configured", "dryRun": false,
    });
    assert_eq!(outcome["items"][0], expected);
    platform.sandbox("fake until-stopped").await;
    let removed = platform.run("sandbox quota set --user ada --remove").await;
    assert_eq!(removed.ok(), "quota of user ada configured\n");
    let again = platform.run("sandbox quota set --user ada --remove").await;
    assert_eq!(again.ok(), "quota of user ada unchanged\n");
    let table = platform.run("sandbox quota ls").await;
    let rows: Vec<_> = table.ok().lines().collect();
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert!(rows[0].starts_with("WHOSE "), "{rows:?}");
    assert!(rows[1].starts_with("organization   10 "), "{rows:?}");
    assert!(rows[2].starts_with("each user      5 "), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_beyond_the_organization_is_refused_with_what_it_may_have() {
    let platform = Platform::start().await;
    given(&platform, 10).await;
    let refused = platform
        .run("sandbox quota set --each-user --max-sandboxes 11 --max-cpu 4500m")
        .await;
    let told = refused.failed(2);
    for line in [
        "error: the quota of each user was not changed",
        "maxCpu asks for 4500m, and the organization may have 4",
        "maxSandboxes asks for 11, and the organization may have 10",
        "next: ask for no more than the organization may have",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert_eq!(limits(&platform).await["eachUser"], json!({}));
    let user = platform.token_of(Role::SandboxUser).await;
    for arguments in [
        "sandbox quota ls",
        "sandbox quota set --user ada --max-sandboxes 9",
    ] {
        let refused = platform.cwic(arguments).env("CWIC_TOKEN", &user);
        refused.run().await.failed(4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_tried_and_what_names_nothing_is_no_command() {
    let platform = Platform::start().await;
    let tried = platform
        .run("sandbox quota set --each-user --max-gpus 1 --dry-run")
        .await;
    assert_eq!(tried.ok(), "quota of each user configured (dry run)\n");
    assert_eq!(limits(&platform).await["eachUser"], json!({}));
    for arguments in [
        "--max-gpus 1",
        "--each-user",
        "--user ada",
        "--each-user --remove",
        "--each-user --user ada --max-gpus 1",
        "--user ada --remove --max-gpus 1",
        "--user ada --max-gpus -1",
        "--user ada --max-cpu much",
    ] {
        let arguments = format!("sandbox quota set {arguments}");
        platform.run(&arguments).await.failed(64);
    }
}
