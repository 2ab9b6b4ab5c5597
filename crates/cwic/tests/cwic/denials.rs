//! What was refused on the network, as people and programs see it.

use std::sync::Arc;

use palisade_control_plane::{NoRunners, RunnerLive};
use palisade_model::clock::Timestamp;
use palisade_model::denial::{Denials, DeniedFlow, Direction};
use palisade_model::id::{ProfileId, RunnerUid, SandboxId};
use palisade_model::name::OrganizationId;
use palisade_model::placement::Fleet;
use palisade_model::policy::Surroundings;
use palisade_model::runner::Feature;
use palisade_wire::rest::{DenialTotals, RunnerObservation, StartQueue};
use serde_json::{Value, json};

use crate::bad_servers::{answering, http};
use crate::platform::Platform;
use crate::rig::Plane;
use crate::sandboxes::Going;

const SANDBOX: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// Something was refused to the sandboxes of every profile.
#[derive(Debug, Default)]
struct Refusing {
    /// Why runners do not count it, if they do not.
    uncounted: Option<&'static str>,
}

impl RunnerLive for Refusing {
    fn observe(&self, uid: RunnerUid) -> RunnerObservation {
        let why = self.uncounted.map(|why| (Feature::Denials, why.to_owned()));
        RunnerObservation {
            lacks: why.into_iter().collect(),
            ..NoRunners.observe(uid)
        }
    }

    fn fleet(&self) -> Fleet {
        NoRunners.fleet()
    }

    fn surroundings(&self, uid: RunnerUid) -> Option<Surroundings> {
        NoRunners.surroundings(uid)
    }

    fn denials(&self, organization: &OrganizationId, id: SandboxId) -> Option<Denials> {
        NoRunners.denials(organization, id)
    }

    fn profile_denials(&self, _organization: &OrganizationId, _id: ProfileId) -> DenialTotals {
        DenialTotals {
            packets: 12,
            incoming: 4,
            questions: 3,
            since: Some(Timestamp::from_micros(1_798_113_600_000_000)),
        }
    }

    fn waiting(&self, organization: &OrganizationId) -> StartQueue {
        NoRunners.waiting(organization)
    }
}

fn told() -> Value {
    let flow = |direction: &str, protocol: &str, to: &str, port: u16| {
        let (from, source_port) = if port == 0 {
            ("fd00::4", 0)
        } else {
            ("10.201.0.4", 40_000)
        };
        json!({
            "time": "2026-12-24T12:00:05.123Z", "direction": direction, "protocol": protocol,
            "source": from, "sourcePort": source_port,
            "destination": to, "destinationPort": port, "times": 2,
        })
    };
    json!({
        "sandboxId": SANDBOX, "profileTemplateId": SANDBOX, "egressMode": "deny\u{1b}[31m",
        "packets": 7, "incomingPackets": 2, "questions": 1,
        "recent": [flow("outgoing", "tcp", "1.1.1.1", 443), flow("incoming", "icmpv6", "2606:2800:220:1::1", 0)],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_flows_of_a_sandbox_are_shown_and_harm_no_terminal() {
    let plane = Plane::start().await;
    let server = answering(http("200 OK", &told().to_string()));
    let ask = |arguments: &str| {
        let call = plane.bare(&format!("sandbox denials {SANDBOX} {arguments}"));
        call.env("CWIC_SERVER", &server)
            .env("CWIC_TOKEN", "secret-token")
    };
    let table = ask("").run().await;
    insta::assert_snapshot!("denials", table.ok());
    assert!(
        table
            .stderr
            .contains("7 packets refused, 2 packets from outside, and 1 questions"),
        "{}",
        table.stderr
    );
    assert!(!table.stderr.contains('\u{1b}') && !table.stdout.contains('\u{1b}'));
    let answer = ask("-o json").run().await;
    let answer: Value = serde_json::from_str(answer.ok()).unwrap();
    assert_eq!(answer, told());
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_of_profiles_say_from_when_on_they_count() {
    let plane = Plane::start_knowing(Arc::new(Refusing::default())).await;
    for name in ["agents", "tools"] {
        plane.profile(name).await;
    }
    let all = plane.cwic("sandbox denials").run().await;
    insta::assert_snapshot!("denials_of_profiles", all.ok());
    let one = plane
        .cwic("sandbox denials --profile tools -o json")
        .run()
        .await;
    let one: Value = serde_json::from_str(one.ok()).unwrap();
    assert_eq!(
        (&one["packets"], &one["questions"]),
        (&json!(12), &json!(3))
    );
    assert_eq!(one["since"], "2026-12-24T12:00:00Z");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_runner_does_not_count_is_not_said_to_be_nothing() {
    let why = "nobody \u{1b}[31mtells";
    let uncounted = Some(why);
    let plane = Plane::start_knowing(Arc::new(Refusing { uncounted })).await;
    let agents = plane.profile("agents").await;
    plane.profile("tools").await;
    plane.runner("cluster", &agents).await;
    let all = plane.cwic("sandbox denials").run().await;
    let of = |name: &str| {
        let mut lines = all.ok().lines();
        lines.find(|line| line.starts_with(name)).unwrap()
    };
    assert!(of("agents").contains("12+"), "{}", of("agents"));
    assert!(!of("tools").contains('+'), "{}", of("tools"));
    let note = "what is refused on runner cluster is not counted: nobody";
    assert!(all.stderr.contains(note), "{}", all.stderr);
    assert!(!all.stderr.contains('\u{1b}'), "{}", all.stderr);
    let one = plane.cwic("sandbox denials --profile agents -o json");
    let one: Value = serde_json::from_str(one.run().await.ok()).unwrap();
    assert_eq!(one["uncountedRunners"]["cluster"], why);
    let runner = plane.cwic("sandbox runner describe cluster").run().await;
    assert!(runner.ok().contains("denials"), "{}", runner.ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_has_no_denials() {
    let plane = Plane::start().await;
    let sandbox = plane
        .cwic(&format!("sandbox denials {SANDBOX}"))
        .run()
        .await;
    let told = sandbox.failed(3);
    assert!(told.contains("CWSANDBOX_SANDBOX_NOT_FOUND"), "{told}");
    let profile = plane.cwic("sandbox denials --profile nobody").run().await;
    assert!(profile.failed(3).contains("CWSANDBOX_PROFILE_NOT_FOUND"));
    let both = format!("sandbox denials {SANDBOX} --profile tools");
    plane.cwic(&both).run().await.failed(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_of_each_flow_when_it_is_refused_and_when_it_is_again() {
    let platform = Platform::start().await;
    let text = platform.sandbox("fake until-stopped").await;
    let id = text.parse().unwrap();
    let watch = platform.cwic(&format!("sandbox denials {text} --watch --no-headers"));
    let mut watch = Going::start(watch);
    let mut documents = Going::start(platform.cwic(&format!("sandbox denials {text} -w -o json")));
    // What there was when it began, which is nothing.
    let (documents, first) = tokio::task::spawn_blocking(move || {
        let first = documents.line();
        (documents, first)
    })
    .await
    .unwrap();
    assert!(first.contains("\"packets\":0"), "{first}");
    let mut documents = documents;
    let flow = DeniedFlow {
        at: Timestamp::from_micros(1_798_113_600_000_000),
        direction: Direction::Incoming,
        protocol: 6,
        source: [192, 0, 2, 1].into(),
        source_port: 40_000,
        destination: [10, 201, 0, 4].into(),
        destination_port: 8080,
        times: 1,
    };
    platform.world.deny(id, flow);
    let told = tokio::task::spawn_blocking(move || (watch.line(), watch, documents.line()));
    let (line, mut watch, document) = told.await.unwrap();
    let words = line.split_whitespace().collect::<Vec<_>>();
    assert_eq!(
        words[..7],
        [
            "ADDED",
            "2026-12-24",
            "12:00:00Z",
            "incoming",
            "tcp",
            "192.0.2.1:40000",
            "10.201.0.4:8080"
        ]
    );
    let event: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(event["type"], "MODIFIED");
    assert_eq!(event["object"]["recent"][0]["direction"], "incoming");
    let other = DeniedFlow {
        direction: Direction::Outgoing,
        destination_port: 443,
        ..flow
    };
    platform.world.deny(id, other);
    let line = tokio::task::spawn_blocking(move || watch.line())
        .await
        .unwrap();
    assert!(
        line.starts_with("ADDED") && line.contains("outgoing"),
        "{line}"
    );
}
