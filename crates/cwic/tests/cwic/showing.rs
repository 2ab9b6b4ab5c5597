//! Formats, selections and orders; what a terminal shows of tables.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::pty::Session;
use crate::rig::{DENY_ALL, Plane};

const WIDE: &str = "\
display_name: python-data-science
description: For people who explore
labels: { team: ml, tier: test }
spec:
  container_image: ghcr.io/myorg/python-ds:3.11-pytorch-2.3
  runtime_class: gvisor
  resource_defaults: { cpuRequest: '1', memoryLimit: 8Gi }
  network:
    egress:
      default: internet
      modes:
        internet: { type: internet }
        deny-all: { type: none }
    ingress:
      public: { scope: any, service: { serviceType: LoadBalancer } }
";

async fn filled() -> Plane {
    let plane = Plane::start().await;
    for document in [DENY_ALL, WIDE] {
        let created = plane.cwic("sandbox profile create -f -").input(document);
        created.run().await.ok();
    }
    plane
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_fits_the_terminal() {
    let plane = filled().await;
    let id = plane
        .cwic("sandbox profile get default -o jsonpath={.id}")
        .run()
        .await;
    plane
        .runner("a-runner-with-a-long-name", id.ok().trim())
        .await;
    for columns in [40, 80, 200] {
        for noun in ["profile", "runner"] {
            let call = plane.cwic(&format!("sandbox {noun} ls"));
            let ended = Session::start(call, (columns, 24)).end();
            let screen = ended.screen.replace("the end", "");
            insta::assert_snapshot!(format!("{noun}s_in_{columns}_columns"), screen.trim_end());
        }
    }
    let call = plane.cwic("sandbox profile describe python-data-science");
    let ended = Session::start(call, (80, 60)).end();
    insta::assert_snapshot!(
        "described_in_80_columns",
        ended.screen.replace("the end", "").trim_end()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wide_table_shows_more() {
    let plane = filled().await;
    let wide = plane.cwic("sandbox profile ls -o wide").run().await;
    insta::assert_snapshot!("wide", wide.ok());
    let bare = plane.cwic("sandbox profile ls --no-headers").run().await;
    assert_eq!(bare.ok().lines().count(), 2);
    assert!(!bare.stdout.contains("NAMESPACE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_take_what_is_needed_out_of_the_json() {
    let plane = filled().await;
    let template = r#"{range .items[*]}{.displayName}{"="}{.revision}{"\n"}{end}"#;
    let call = plane
        .cwic("sandbox profile ls -o")
        .argument(format!("jsonpath={template}"));
    assert_eq!(call.run().await.ok(), "default=1\npython-data-science=1\n");
    let call = plane.cwic("sandbox profile get default -o jsonpath={.displayName}");
    assert_eq!(call.run().await.ok(), "default\n");
    let ran = plane
        .cwic("sandbox profile ls -o jsonpath={.items[")
        .run()
        .await;
    assert!(ran.failed(64).contains("brace"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_choose_and_fields_order() {
    let plane = filled().await;
    let names = async |arguments: &str| {
        let ran = plane
            .cwic(&format!("sandbox profile ls -o name {arguments}"))
            .run()
            .await;
        ran.ok().to_owned()
    };
    assert_eq!(
        names("-l team=ml,tier!=live").await,
        "python-data-science\n"
    );
    assert_eq!(names("-l team!=ml").await, "default\n");
    assert_eq!(names("-l team=web").await, "");
    let both = "python-data-science\ndefault\n";
    assert_eq!(names("--sort-by spec.runtimeClass").await, both);
    assert_eq!(names("--sort-by .spec.runtime_class").await, both);
    let ran = plane
        .cwic("sandbox profile ls --sort-by nothing")
        .run()
        .await;
    insta::assert_snapshot!("no_such_field", ran.failed(64));
    plane
        .cwic("sandbox profile ls -l =x")
        .run()
        .await
        .failed(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_of_every_change() {
    let plane = filled().await;
    let mut command = plane.cwic("sandbox profile ls --watch -o json").command();
    let mut child = command
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || {
        let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let name = event["object"]["displayName"].as_str().unwrap().to_owned();
        (event["type"].as_str().unwrap().to_owned(), name)
    };
    let event = |kind: &str, name: &str| (kind.to_owned(), name.to_owned());
    assert_eq!(next(), event("ADDED", "default"));
    assert_eq!(next(), event("ADDED", "python-data-science"));
    plane.profile("new").await;
    assert_eq!(next(), event("ADDED", "new"));
    let edit = plane
        .cwic("sandbox profile edit new -f -")
        .input("description: x\n");
    edit.run().await.ok();
    assert_eq!(next(), event("MODIFIED", "new"));
    plane
        .cwic("sandbox profile delete new --yes")
        .run()
        .await
        .ok();
    assert_eq!(next(), event("DELETED", "new"));
    child.kill().unwrap();
    child.wait().unwrap();
}
