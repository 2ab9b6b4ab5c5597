//! Several servers, and which of them is used.

use serde_json::Value;

use crate::rig::{Plane, Ran};

async fn log_in(plane: &Plane, context: &str, to: &Plane) -> Ran {
    let call = format!("auth login - --context {context} --server {}", to.url());
    plane.bare(&call).input(to.token.clone()).run().await
}

#[tokio::test(flavor = "multi_thread")]
async fn contexts_are_listed_used_and_removed() {
    let (one, two) = (Plane::start().await, Plane::start().await);
    log_in(&one, "one", &one).await.ok();
    log_in(&one, "two", &two).await.ok();
    let shown = one.bare("context ls").run().await;
    let shown = shown
        .ok()
        .replace(&one.url(), "http://ONE")
        .replace(&two.url(), "http://TWO");
    insta::assert_snapshot!(
        "contexts",
        shown
            .lines()
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n")
    );
    let listed = one.bare("context ls -o json").run().await;
    assert!(!listed.ok().contains(&one.token) && !listed.stdout.contains(&two.token));
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(listed["items"][1]["name"], "two");
    assert_eq!(listed["items"][1]["isCurrent"], true);
    one.bare("context use one").run().await.ok();
    assert!(
        one.bare("auth status")
            .run()
            .await
            .ok()
            .contains(&one.url())
    );
    one.bare("context rm two").run().await.ok();
    assert_eq!(one.bare("context ls -o name").run().await.ok(), "one\n");
    let ran = one.bare("context use onee").run().await;
    insta::assert_snapshot!("an_unknown_context", ran.failed(3));
    one.bare("sandbox profile ls --context none")
        .run()
        .await
        .failed(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_argument_wins_over_the_environment_and_that_over_the_file() {
    let (one, two) = (Plane::start().await, Plane::start().await);
    log_in(&one, "two", &two).await.ok();
    log_in(&one, "one", &one).await.ok();
    let server = async |arguments: &str, variables: &[(&str, &str)]| {
        let mut call = one.bare(&format!("auth status -o json {arguments}"));
        for (key, value) in variables {
            call = call.env(key, value);
        }
        let status: Value = serde_json::from_str(call.run().await.ok()).unwrap();
        assert_eq!(status["tokenWorks"], true);
        (status["server"].clone(), status["serverFrom"].clone())
    };
    let from = |plane: &Plane, from: &str| (Value::from(plane.url()), Value::from(from));
    assert_eq!(server("", &[]).await, from(&one, "context"));
    assert_eq!(
        server("", &[("CWIC_CONTEXT", "two")]).await,
        from(&two, "context")
    );
    let variables = [
        ("CWIC_SERVER", two.url()),
        ("CWIC_TOKEN", two.token.clone()),
    ];
    let variables = variables
        .each_ref()
        .map(|(key, value)| (*key, value.as_str()));
    assert_eq!(server("", &variables).await, from(&two, "environment"));
    let context = "--context one";
    assert_eq!(server(context, &variables).await, from(&one, "context"));
    let both = [("CWIC_CONTEXT", "two")];
    assert_eq!(server(context, &both).await, from(&one, "context"));
    let flag = format!("--server {} --token {}", two.url(), two.token);
    assert_eq!(server(&flag, &[]).await, from(&two, "flag"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_context_needs_a_server() {
    let plane = Plane::start().await;
    log_in(&plane, "one", &plane).await.ok();
    let ran = plane
        .bare("auth login - --context new")
        .input("x")
        .run()
        .await;
    insta::assert_snapshot!("a_context_that_leads_nowhere", ran.failed(64));
    // Logging in again needs none.
    let again = plane
        .bare("auth login - --context one")
        .input(plane.token.clone());
    again.run().await.ok();
}
