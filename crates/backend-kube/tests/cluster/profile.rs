//! A profile, as the gateway makes a launch of it.

use palisade_backend::conformance::{self, Job};
use palisade_model::namespace::{self, Occupant};
use palisade_model::profile::{ProfileSpec, form};
use palisade_model::sandbox::{AppliedExposure, Launch, Port, Protocol};
use palisade_model::testing::put_under;
use serde_json::Value;

use crate::support::Harness;

/// The port that a sandbox opens at the level of its profile.
pub(crate) const PORT: u16 = 8080;

/// A launch under a spec in its structured form, with its first level in force, in
/// the namespace that tests share.
pub(crate) fn launch_under(harness: &Harness, spec: &Value) -> Launch {
    let spec = decode(spec);
    let mut launch = conformance::launch(harness, &Job::RunUntilStopped);
    let network = spec.network.clone().unwrap_or_default();
    put_under(&mut launch, spec);
    if let Some((name, exposure)) = network.ingress.into_iter().next() {
        launch.ports = vec![Port {
            number: PORT,
            name: "http".to_owned(),
            protocol: Protocol::Tcp,
        }];
        launch.exposure = Some(AppliedExposure {
            name,
            exposure,
            ports: vec![PORT],
        });
    }
    launch
}

/// The same, of an owner that nobody else is, in the namespace that the spec says.
pub(crate) fn landed(harness: &Harness, spec: &Value) -> Launch {
    let mut launch = launch_under(harness, spec);
    let id = launch.id.to_string();
    let own = format!("u{}", &id[id.len() - 12..]);
    launch.owner.user = own.parse().expect("it is a name");
    launch.owner.organization = own.parse().expect("it is a name");
    let occupant = Occupant {
        owner: &launch.owner,
        profile: launch.profile,
        profile_name: &launch.profile_name,
    };
    let spec = decode(spec).namespace;
    launch.namespace.name = namespace::name(&spec, &occupant);
    launch.namespace.auto_create = spec.auto_create();
    launch.namespace.labels = spec.labels;
    launch.namespace.annotations = spec.annotations;
    launch
}

fn decode(spec: &Value) -> ProfileSpec {
    form::decode(spec).expect("the tests use valid profiles")
}
