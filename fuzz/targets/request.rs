//! Messages of clients: requests for sandboxes, commands, files and logs.
//!
//! The first byte says which message the others are. A request that is
//! understood is placed in a small fleet, and its refusal must be one that fits.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use palisade_model::placement::{Asking, Fleet, Refused, explain};
use palisade_model::profile::form;
use palisade_model::refusal::Refusal;
use palisade_model::sandbox::StartRequest;
use palisade_model::tenant::SandboxQuota;
use palisade_model::testing::fleet::{FleetPlan, RunnerPlan, sample_live, sample_owner};
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::v1beta2;
use prost::Message;
use serde_json::json;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    match kind % 7 {
        0 => with(bytes, |message| {
            v1beta2::start_request(message).map(|request| place(&request))
        }),
        1 => with(bytes, v1beta2::exec_start),
        2 => with(bytes, v1beta2::exec_input),
        3 => with(bytes, v1beta2::exec_call),
        4 => with(bytes, v1beta2::file_write),
        5 => with(bytes, v1beta2::file_read),
        _ => with(bytes, |frame: pb::LogStreamRequest| {
            v1beta2::is_log_close(&frame);
            v1beta2::log_start(frame)
        }),
    }
});

fn with<M: Message + Default, T>(bytes: &[u8], read: impl FnOnce(M) -> T) {
    if let Ok(message) = M::decode(bytes) {
        read(message);
    }
}

static FLEET: LazyLock<Fleet> = LazyLock::new(|| {
    let spec = json!({
        "container_image": "python:3.11",
        "resource_defaults": { "cpuRequest": "1", "memoryLimit": "1Gi" },
        "resource_ceiling": { "cpu": "4", "memory": "8Gi", "gpu": 0 },
        "network": {
            "egress": { "default": "closed", "modes": {
                "closed": { "type": "none" },
                "internet": { "type": "internet" },
            } },
            "ingress": { "public": { "scope": "any" } },
        },
    });
    let spec = form::decode(&spec).expect("the profile is valid");
    let plan = FleetPlan {
        profiles: vec![spec],
        runners: vec![RunnerPlan {
            number: 0,
            binds: vec![0],
            live: sample_live(),
        }],
    };
    plan.build()
});

fn place(request: &StartRequest) {
    let (owner, quota) = (sample_owner(), SandboxQuota::default());
    let asking = Asking {
        owner: &owner,
        request,
        quota: &quota,
    };
    let explanation = explain(&FLEET, &asking);
    let admissible = explanation.candidates.iter().any(|c| c.is_admissible());
    match explanation.outcome {
        Ok(_) => assert!(admissible, "admitted against a verdict"),
        Err(Refused::Invalid(violations)) => assert!(!violations.is_empty()),
        Err(Refused::Unplaced(unplaced)) => {
            assert!(!admissible, "refused without a verdict");
            let refusal = Refusal::from(*unplaced);
            let facts = refusal.metadata.values().map(String::len).sum::<usize>();
            assert!((facts + refusal.message.len()).div_ceil(3) * 4 <= 8 * 1024);
        }
    }
}
