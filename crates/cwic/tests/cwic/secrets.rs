//! Values go in from a file or from standard input, and come out nowhere.

use palisade_model::tenant::Role;

use crate::platform::Platform;

#[tokio::test(flavor = "multi_thread")]
async fn a_value_goes_in_and_is_listed_without_itself() {
    let platform = Platform::start().await;
    let made = platform
        .cwic("sandbox secret store create team")
        .run()
        .await;
    assert_eq!(made.ok(), "secret store team created\n");
    let set = platform.cwic("sandbox secret set team HF_TOKEN");
    let set = set.input("hunter2\n").run().await;
    assert_eq!(set.ok(), "secret team/HF_TOKEN kept\n");
    let file = platform.file("key.pem", "hunter2 in a file\n");
    let set = platform.cwic("sandbox secret set team db --field password --from-file");
    let set = set.argument(&file).run().await;
    assert_eq!(set.ok(), "secret team/db field password kept\n");
    let listed = platform.cwic("sandbox secret ls team").run().await;
    let table = listed.ok();
    assert!(
        table.contains("HF_TOKEN") && table.contains("password"),
        "{table}"
    );
    for format in ["table", "wide", "json", "yaml", "name"] {
        let listed = platform.cwic(&format!("sandbox secret ls team -o {format}"));
        assert!(!listed.run().await.ok().contains("hunter2"), "{format}");
    }
    let names = platform.cwic("sandbox secret ls team -o name").run().await;
    assert_eq!(names.ok(), "HF_TOKEN\ndb\n");
    let stores = platform.cwic("sandbox secret store ls").run().await;
    assert!(stores.ok().contains("built-in"), "{}", stores.ok());
    let gone = platform
        .cwic("sandbox secret rm team HF_TOKEN --yes")
        .run()
        .await;
    assert_eq!(gone.ok(), "secret team/HF_TOKEN deleted\n");
    let gone = platform
        .cwic("sandbox secret rm team HF_TOKEN --yes")
        .run()
        .await;
    gone.failed(3);
    let gone = platform
        .cwic("sandbox secret store rm team --yes")
        .run()
        .await;
    assert_eq!(gone.ok(), "secret store team deleted\n");
    platform
        .cwic("sandbox secret ls team")
        .run()
        .await
        .failed(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_value_or_not_allowed_is_refused() {
    let platform = Platform::start().await;
    platform
        .cwic("sandbox secret store create team")
        .run()
        .await
        .ok();
    let empty = platform
        .cwic("sandbox secret set team A")
        .input("\n")
        .run()
        .await;
    assert!(empty.failed(64).contains("it is empty"), "{}", empty.stderr);
    let long = platform.cwic("sandbox secret set team A");
    let long = long.input("x".repeat(65 * 1024)).run().await;
    assert!(long.failed(64).contains("65536"), "{}", long.stderr);
    let named = platform
        .cwic("sandbox secret set team ../A")
        .input("x")
        .run()
        .await;
    assert!(named.failed(64).contains("path"), "{}", named.stderr);
    // There is no way to give a value as an argument.
    platform
        .cwic("sandbox secret set team A hunter2")
        .run()
        .await
        .failed(64);
    let again = platform
        .cwic("sandbox secret store create team")
        .run()
        .await;
    again.failed(5);
    let token = platform.token_of(Role::SandboxUser).await;
    let user = platform.cwic("sandbox secret set team A").input("x");
    user.env("CWIC_TOKEN", &token).run().await.failed(4);
    let user = platform.cwic("sandbox secret ls team");
    user.env("CWIC_TOKEN", &token).run().await.ok();
}
