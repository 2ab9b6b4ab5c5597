//! How long a decision takes on a large fleet: 1,000 runners with 20 bindings each.
//!
//! Prints a line per kind of request, with the median and the 99th percentile of
//! the time on the clock and of the time on the processor; on a machine that does
//! nothing else they are the same.
//! Run with `cargo bench -p palisade-model --features testing --bench placement`.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark prints, and measures real time"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use palisade_model::placement::{Asking, Fleet, select};
use palisade_model::profile::{ProfileSpec, form};
use palisade_model::runner::Resources;
use palisade_model::sandbox::StartRequest;
use palisade_model::tenant::SandboxQuota;
use palisade_model::testing::fleet::{FleetPlan, RunnerPlan, sample_live, sample_owner};
use serde_json::json;

const RUNNERS: u32 = 1_000;
const BINDINGS: usize = 20;
const ROUNDS: usize = 1_000;

fn main() {
    let fleet = fleet();
    println!("{RUNNERS} runners x {BINDINGS} bindings, {ROUNDS} rounds");
    for (name, request) in requests() {
        let times = (0..ROUNDS).map(|_| measure(&fleet, &request));
        let (wall, cpu): (Vec<_>, Vec<_>) = times.unzip();
        let (wall, cpu) = (percentiles(wall), percentiles(cpu));
        println!("{name:<36} wall {wall}   cpu {cpu}");
    }
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let (p50, p99) = (times[ROUNDS / 2], times[ROUNDS * 99 / 100]);
    format!("p50 {p50:>9.1?} p99 {p99:>9.1?}")
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("a thread has run for no negative time")
}

fn measure(fleet: &Fleet, request: &StartRequest) -> (Duration, Duration) {
    let (owner, quota) = (sample_owner(), SandboxQuota::default());
    let asking = Asking {
        owner: &owner,
        request,
        quota: &quota,
    };
    let (start, cpu_start) = (Instant::now(), cpu_time());
    let _ = black_box(select(black_box(fleet), black_box(&asking)));
    (start.elapsed(), cpu_time().saturating_sub(cpu_start))
}

fn fleet() -> Fleet {
    let runners = (0..RUNNERS).map(|number| {
        let mut live = sample_live();
        let part = u64::from(number * 7_919 % 97);
        live.usage.reserved = Resources {
            cpu_millis: part * 100,
            memory_bytes: part << 29,
            gpus: 0,
        };
        live.usage.sandboxes = number * 31 % 90;
        RunnerPlan {
            number,
            binds: (0..BINDINGS).collect(),
            live,
        }
    });
    let plan = FleetPlan {
        profiles: (0..BINDINGS).map(profile).collect(),
        runners: runners.collect(),
    };
    plan.build()
}

/// Each profile has two modes, and one that no other has.
fn profile(number: usize) -> ProfileSpec {
    let own = format!("mode-{number}");
    let spec = json!({
        "container_image": "python:3.11",
        "resource_defaults": { "cpuRequest": "500m", "memoryRequest": "1Gi", "cpuLimit": "2" },
        "resource_ceiling": { "cpu": "8", "memory": "16Gi" },
        "network": {
            "egress": {
                "default": "deny-all",
                "modes": {
                    "deny-all": { "type": "none" },
                    "internet": { "type": "internet" },
                    own: { "type": "internet" },
                },
            },
        },
    });
    form::decode(&spec).expect("the profile of the benchmark is valid")
}

fn requests() -> Vec<(&'static str, StartRequest)> {
    let plain = StartRequest::default();
    let mut named = plain.clone();
    named.selectors.profiles = vec!["profile-19".to_owned()];
    let mut last_mode = plain.clone();
    last_mode.network.egress_mode = "mode-19".parse().ok();
    let mut one_runner = plain.clone();
    one_runner.selectors.runners = vec!["runner-500".to_owned()];
    let mut no_mode = plain.clone();
    no_mode.network.egress_mode = "absent".parse().ok();
    let mut large = plain.clone();
    large.requests.cpu = "12".parse().ok();
    vec![
        ("admitted by the default profile", plain),
        ("admitted, profile named", named),
        ("admitted by the last profile only", last_mode),
        ("admitted, runner named", one_runner),
        ("refused, no such egress mode", no_mode),
        ("refused, above every ceiling", large),
    ]
}
