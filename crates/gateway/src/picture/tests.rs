//! What sandboxes have of the pools of a runner, from when a place is chosen until the runner
//! has told that it is free again.

use std::sync::Arc;

use palisade_model::placement::Report;
use palisade_model::pool::{Room, Rooms};
use palisade_model::profile::form;
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::sandbox::{Port, Protocol, StartRequest};
use palisade_model::testing::fleet::{sample_live, sample_owner, sample_profile, sample_runner};
use serde_json::json;
use uuid::Uuid;

use super::*;

/// A picture of one runner that has one port.
struct OnePort {
    picture: Picture,
    runner: RunnerUid,
}

impl OnePort {
    fn new() -> Self {
        let spec = json!({
            "container_image": "python:3.11",
            "network": { "ingress": {
                "public": { "scope": "any", "service": { "serviceType": "NodePort" } },
            } },
        });
        let (owner, runner) = (sample_owner(), sample_runner(0, &[0]));
        let this = Self {
            picture: Picture::default(),
            runner: runner.uid,
        };
        let profile = sample_profile(0, form::decode(&spec).unwrap());
        this.picture.put_profile(&owner.organization, profile);
        this.picture.put_runner(runner);
        this.runner_tells(0);
        this
    }

    /// The runner tells how much of its pool is used.
    fn runner_tells(&self, used: u32) {
        let organization = sample_owner().organization;
        self.picture
            .update_live(&organization, self.runner, |live| {
                let mut report = Report::clone(sample_live().report.as_ref().unwrap());
                report.rooms = Rooms {
                    node_ports: Some(Room { size: 1, used }),
                    ..Rooms::default()
                };
                *live = Live {
                    report: Some(Arc::new(report)),
                    ..sample_live()
                };
            });
        self.picture.settle(&organization, self.runner);
    }

    fn place(&self, number: u128) -> Result<Place, Refusal> {
        let mut request = StartRequest::default();
        request.network.ingress_mode = Some("public".parse().unwrap());
        request.ports = vec![Port {
            number: 8080,
            name: String::new(),
            protocol: Protocol::Tcp,
        }];
        self.picture
            .place(sandbox(number), &sample_owner(), &request)
    }

    fn is_refused(&self) -> bool {
        match self.place(9) {
            Ok(_) => false,
            Err(refused) => {
                assert_eq!(refused.reason, Reason::NoSuitableRunner);
                assert!(refused.message.contains("1 of 1 in use"), "{refused:?}");
                true
            }
        }
    }
}

fn sandbox(number: u128) -> SandboxId {
    SandboxId::new(Uuid::from_u128(number))
}

#[test]
fn a_port_is_set_aside_before_the_runner_hears_of_it() {
    let fleet = OnePort::new();
    let reservation = fleet.place(1).unwrap().reservation;
    assert!(fleet.is_refused());
    reservation.keep();
    assert!(fleet.is_refused());
    // The runner tells something that is from before it heard.
    fleet.runner_tells(0);
    assert!(fleet.is_refused());
}

#[test]
fn a_place_that_no_runner_heard_of_is_free_at_once() {
    let fleet = OnePort::new();
    drop(fleet.place(1).unwrap());
    assert!(!fleet.is_refused());
}

#[test]
fn a_port_of_a_sandbox_that_is_over_stays_taken_until_the_runner_has_told() {
    let fleet = OnePort::new();
    fleet.place(1).unwrap().reservation.keep();
    fleet.runner_tells(1);
    fleet.picture.release(sandbox(1));
    assert!(fleet.is_refused(), "nobody knows yet whether it rests");
    fleet.runner_tells(1);
    assert!(fleet.is_refused(), "it rests");
    fleet.runner_tells(0);
    assert!(!fleet.is_refused());
}

#[test]
fn what_a_deleted_runner_had_is_forgotten() {
    let fleet = OnePort::new();
    fleet.place(1).unwrap().reservation.keep();
    fleet.picture.release(sandbox(1));
    let organization = sample_owner().organization;
    fleet.picture.remove_runner(&organization, fleet.runner);
    let state = fleet.picture.lock();
    assert!(state.held.is_empty() && state.leaving.is_empty() && state.usage.is_empty());
}
