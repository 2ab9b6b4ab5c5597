//! Large requests with their handlers at work: who has a berth, and until when.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use palisade_gateway::GatewayConfig;
use palisade_model::token::PresentedToken;
use palisade_wire::proto::v1beta2 as pb;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tonic::{Request, Status};

use crate::bulky::OF_ONE;
use crate::rest_client::Answered;
use crate::rig::{Client, config, reason, running, until};
use crate::scene::Scene;

/// More than anybody may send without a berth.
const LARGE: usize = 100 << 10;

type Files = JoinSet<Result<(), Status>>;

/// A sandbox whose disk takes nothing for now.
async fn slow_disk(config: GatewayConfig) -> Scene {
    let scene = Scene::configured(config, "fake until-stopped").await;
    scene.client.runs(&scene.id).await;
    scene.runner.world.hold_uploads(true);
    scene
}

fn large(scene: &Scene, path: &str) -> pb::AddFileSandboxRequest {
    pb::AddFileSandboxRequest {
        sandbox_id: scene.id.clone(),
        file_contents: vec![7; LARGE].into(),
        filepath: path.to_owned(),
        max_timeout_seconds: 0,
    }
}

async fn add(
    client: Client,
    file: impl tonic::IntoRequest<pb::AddFileSandboxRequest>,
) -> Result<(), Status> {
    { client.sandboxes }.add_file(file).await.map(drop)
}

/// Sends so many files.
fn send(scene: &Scene, files: &mut Files, count: usize) {
    for number in 0..count {
        files.spawn(add(
            scene.client.clone(),
            large(scene, &format!("/{number}")),
        ));
    }
}

/// Waits until the handlers of so many files are at work.
async fn at_work(scene: &Scene, count: usize) {
    until("their handlers are at work", async || {
        scene.runner.world.uploads_held().len() == count
    })
    .await;
}

/// Lets all files be written, and waits for them.
async fn finish(scene: &Scene, files: Files) {
    scene.runner.world.hold_uploads(false);
    for done in files.join_all().await {
        done.unwrap();
    }
}

fn file(bytes: usize, path: &str) -> Value {
    let text = base64::engine::general_purpose::STANDARD.encode(vec![7; bytes]);
    json!({ "filepath": path, "fileContents": text })
}

impl Scene {
    async fn post(&self, token: &PresentedToken, call: &str, body: Value) -> Answered {
        let path = format!("/v1beta2/sandboxes/{}/{call}", self.id);
        self.gateway
            .rest(Some(token), "POST", &path, Some(body))
            .await
    }

    async fn post_file(&self, token: &PresentedToken) -> Answered {
        self.post(token, "files", file(LARGE, "/file")).await
    }
}

fn assert_no_room(answer: &Answered) {
    assert_eq!(answer.status, 429, "{}", answer.json);
    assert!(answer.json.to_string().contains("CWSANDBOX_OVERLOADED"));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_keeps_its_berth_until_its_handler_has_ended() {
    let scene = slow_disk(config()).await;
    let mut files = JoinSet::new();
    send(&scene, &mut files, OF_ONE);
    at_work(&scene, OF_ONE).await;
    send(&scene, &mut files, OF_ONE);
    // What is small has no need of one, and another organization has its own.
    let small = pb::AddFileSandboxRequest {
        file_contents: vec![7; 1_000].into(),
        ..large(&scene, "/small")
    };
    files.spawn(add(scene.client.clone(), small));
    until("what is small is there", async || {
        scene
            .runner
            .world
            .uploads_held()
            .contains(&"/small".to_owned())
    })
    .await;
    scene.stage.organization("globex").await;
    let theirs = scene.stage.token("globex").await;
    let refused = scene.post_file(&theirs).await;
    assert_eq!(refused.status, 404, "it is not theirs");
    let held = scene.runner.world.uploads_held();
    assert_eq!(held.len(), OF_ONE + 1, "{held:?}");
    finish(&scene, files).await;
}

/// How the call of a file ends before the file is written.
#[derive(Debug)]
enum Way {
    Left,
    Cut(Runtime),
    OutOfTime,
    TooSlow,
}

/// Sends a file whose call ends in this way, and returns what makes it do so.
async fn send_one(scene: &Scene, ones: &mut Files, way: Way) -> Box<dyn FnOnce()> {
    let mut request = Request::new(large(scene, "/one"));
    match way {
        Way::Left => {
            let task = ones.spawn(add(scene.client.clone(), request));
            Box::new(move || task.abort())
        }
        Way::Cut(process) => {
            let bearer = format!("Bearer {}", scene.stage.token("acme").await.reveal());
            let gateway = scene.gateway.address;
            process.spawn(async move { add(Client::of(gateway, &bearer).await, request).await });
            Box::new(move || process.shutdown_background())
        }
        Way::OutOfTime => {
            request.set_timeout(Duration::from_secs(2));
            ones.spawn(add(scene.client.clone(), request));
            Box::new(|| ())
        }
        Way::TooSlow => {
            request.get_mut().max_timeout_seconds = 2;
            ones.spawn(add(scene.client.clone(), request));
            Box::new(|| ())
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_call_ends_early_gives_its_berth_to_the_next() {
    let scene = slow_disk(config()).await;
    for way in [
        Way::Left,
        Way::Cut(Runtime::new().unwrap()),
        Way::OutOfTime,
        Way::TooSlow,
    ] {
        let name = format!("{way:?}");
        let (mut files, mut ones) = (JoinSet::new(), JoinSet::new());
        send(&scene, &mut files, OF_ONE - 1);
        at_work(&scene, OF_ONE - 1).await;
        let end = send_one(&scene, &mut ones, way).await;
        at_work(&scene, OF_ONE).await;
        files.spawn(add(scene.client.clone(), large(&scene, "/next")));
        end();
        until(&name, async || {
            scene
                .runner
                .world
                .uploads_held()
                .contains(&"/next".to_owned())
        })
        .await;
        finish(&scene, files).await;
        scene.runner.world.hold_uploads(true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_fail_keep_no_berth() {
    let scene = slow_disk(config()).await;
    for _ in 0..=OF_ONE {
        let refused = add(scene.client.clone(), large(&scene, "/tmp")).await;
        assert_eq!(reason(&refused.unwrap_err()), "CWSANDBOX_FILE_IS_DIRECTORY");
    }
    let mut files = JoinSet::new();
    send(&scene, &mut files, OF_ONE);
    at_work(&scene, OF_ONE).await;
    finish(&scene, files).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_calls_over_rest_have_berths_and_are_held_back_as_others_are() {
    let config = GatewayConfig {
        call_time: Duration::from_secs(1),
        ..config()
    };
    let scene = Arc::new(slow_disk(config).await);
    let token = Arc::new(scene.stage.token("acme").await);
    let mut calls = JoinSet::new();
    for number in 0..OF_ONE {
        let (scene, token) = (scene.clone(), token.clone());
        let raw = json!({
            "actionType": "ACTION_TYPE_ADD_FILE",
            "addFilePayload": file(LARGE, &format!("/{number}")),
            "maxTimeoutSeconds": 60,
        });
        calls.spawn(async move { scene.post(&token, "raw", raw).await.status });
    }
    at_work(&scene, OF_ONE).await;
    assert_no_room(&scene.post_file(&token).await);
    let command = || json!({ "command": ["true", "9".repeat(LARGE)] });
    assert_no_room(&scene.post(&token, "exec", command()).await);
    scene.runner.world.hold_uploads(false);
    assert_eq!(calls.join_all().await, [200; OF_ONE]);
    let done = scene.post(&token, "exec", command()).await;
    assert_eq!(done.json["result"]["exitCode"], 0, "{}", done.json);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_over_rest_hold_up_nothing_while_they_run() {
    let scene = Arc::new(Scene::running().await);
    let token = Arc::new(scene.stage.token("acme").await);
    let mut calls = JoinSet::new();
    for _ in 0..OF_ONE {
        let (scene, token) = (scene.clone(), token.clone());
        let command = json!({ "command": ["sleep", "9".repeat(LARGE)] });
        calls.spawn(async move { scene.post(&token, "exec", command).await.status });
    }
    let id = scene.id.parse().unwrap();
    until("all of them run", async || {
        scene.runner.commands(id).await == OF_ONE as u64
    })
    .await;
    assert_eq!(scene.post_file(&token).await.status, 200);
    assert!(calls.try_join_next().is_none(), "they still run");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_over_rest_that_stop_in_the_middle_are_told_so_and_make_room() {
    let config = GatewayConfig {
        call_time: Duration::from_secs(2),
        ..config()
    };
    let scene = Arc::new(Scene::configured(config, "fake until-stopped").await);
    scene.client.runs(&scene.id).await;
    let token = Arc::new(scene.stage.token("acme").await);
    let mut stopped = JoinSet::new();
    for _ in 0..OF_ONE {
        let (scene, token) = (scene.clone(), token.clone());
        stopped.spawn(async move {
            let begun = vec![b' '; LARGE];
            let begun = (1 << 20, &*begun);
            scene
                .gateway
                .unfinished(&token, "/v1beta2/sandboxes", begun)
                .await
        });
    }
    for answer in stopped.join_all().await {
        assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
        assert!(
            answer.contains("did not arrive whole within 2 s; nothing was done"),
            "{answer}"
        );
    }
    assert_eq!(scene.post_file(&token).await.status, 200);
    scene.client.start(running("fake exit 0")).await.unwrap();
}
