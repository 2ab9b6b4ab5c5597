//! Things to put into a store.
#![expect(
    clippy::unwrap_used,
    reason = "these are parts of tests: they fail by panicking"
)]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use palisade_model::clock::Timestamp;
use palisade_model::id::{ClusterId, ProfileId, RunnerUid, SandboxId, TokenId};
use palisade_model::name::OrganizationId;
use palisade_model::profile::{Profile, ProfileSpec, Revision};
use palisade_model::quota::Quota;
use palisade_model::resolve::ResolvedSpec;
use palisade_model::runner::{Binding, Bindings, Resources, Runner, RunnerSettings};
use palisade_model::sandbox::state::Observation;
use palisade_model::sandbox::{AskedResources, Exit, Owner, Placed, Sandbox, State, Status};
use palisade_model::tenant::{Organization, Role};
use palisade_model::testing::sample_launch;
use palisade_model::token::{Grant, SecretHash, TokenRecord};
use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::TestRunner;
use uuid::Uuid;

use crate::profile::NewProfile;
use crate::runner::{ClusterChoice, NewRunner};
use crate::sandbox::{Basis, StatusChange};
use crate::{PageRequest, PageSize, Stamp, Store};

/// What the text parses to; the tests use valid names.
pub fn parsed<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// A UUID that no other call in this process returned; later ones are greater.
pub fn fresh_uuid() -> Uuid {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | u128::from(count))
}

/// A later instant with every call.
pub fn now() -> Timestamp {
    static MICROS: AtomicI64 = AtomicI64::new(1_700_000_000_000_000);
    Timestamp::from_micros(MICROS.fetch_add(1, Ordering::Relaxed))
}

/// A change by somebody, now.
pub fn stamp() -> Stamp {
    Stamp {
        by: parsed("ada"),
        at: now(),
    }
}

/// As much of a list as one page can hold.
pub fn all<K>() -> PageRequest<K> {
    PageRequest::first(PageSize::MAX)
}

/// Some values of a generator, the same in every run.
pub fn samples<T: Debug>(strategy: impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..count)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect()
}

/// Adds an organization with nothing in it.
pub async fn organization(store: &dyn Store, id: &str) -> OrganizationId {
    let organization = Organization {
        id: parsed(id),
        quota: Quota::default(),
        revision: Revision::FIRST,
        created_at: now(),
    };
    let id = organization.id.clone();
    store.create_organization(organization).await.unwrap();
    id
}

/// A token of a user.
pub fn caller_token(organization: &OrganizationId) -> TokenRecord {
    TokenRecord {
        id: TokenId::new(fresh_uuid()),
        hash: SecretHash::from_bytes([7; 32]),
        grant: Grant::Caller {
            organization: organization.clone(),
            user: parsed("ada"),
            role: Role::SandboxAdmin,
        },
        description: "laptop".to_owned(),
        created_at: now(),
        expires_at: Some(now()),
    }
}

/// A token by which a runner joins.
pub fn runner_token(organization: &OrganizationId) -> TokenRecord {
    TokenRecord {
        grant: Grant::Runner {
            organization: organization.clone(),
            cluster: parsed("cluster-1"),
        },
        expires_at: None,
        ..caller_token(organization)
    }
}

/// A profile that says nothing.
pub fn new_profile(name: &str) -> NewProfile {
    NewProfile {
        id: ProfileId::new(fresh_uuid()),
        display_name: parsed(name),
        description: format!("about {name}"),
        labels: BTreeMap::from([("team".to_owned(), "core".to_owned())]),
        spec: ProfileSpec::default(),
    }
}

/// Adds a profile that says nothing.
pub async fn profile(store: &dyn Store, organization: &OrganizationId, name: &str) -> Profile {
    let profile = new_profile(name);
    let created = store.create_profile(organization, profile, stamp()).await;
    created.unwrap()
}

/// A binding without alias or overrides.
pub fn binding(profile: ProfileId) -> Binding {
    Binding {
        profile,
        alias: None,
        is_default: false,
        overrides: None,
    }
}

/// Bindings of the profiles, the first of which is the default.
pub fn bindings(profiles: &[ProfileId]) -> Bindings {
    let list = profiles.iter().copied().enumerate();
    let list = list.map(|(place, profile)| Binding {
        is_default: place == 0,
        ..binding(profile)
    });
    Bindings::new(list.collect()).unwrap()
}

/// A runner for the cluster of its own name.
pub fn new_runner(id: &str, profiles: &[ProfileId]) -> NewRunner {
    NewRunner {
        uid: RunnerUid::new(fresh_uuid()),
        id: parsed(id),
        display_name: format!("Runner {id}"),
        zone: parsed("eu-1"),
        cluster: ClusterChoice::Named {
            name: parsed(&format!("cluster-of-{id}")),
            id_if_new: ClusterId::new(fresh_uuid()),
        },
        group: parsed("default"),
        settings: RunnerSettings::default(),
        bindings: bindings(profiles),
        judged: None,
    }
}

/// Adds a runner for the cluster of its own name.
pub async fn runner(
    store: &dyn Store,
    organization: &OrganizationId,
    id: &str,
    profiles: &[ProfileId],
) -> Runner {
    let runner = new_runner(id, profiles);
    let created = store.create_runner(organization, runner, stamp()).await;
    created.unwrap()
}

/// An organization with one runner and one profile bound there.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// The organization.
    pub organization: OrganizationId,
    /// The profile.
    pub profile: Profile,
    /// The runner.
    pub runner: Runner,
    /// The revision of the quota.
    pub quota: Revision,
}

/// Adds an organization with one runner and one profile bound there.
pub async fn fleet(store: &dyn Store, id: &str) -> Fleet {
    let organization = organization(store, id).await;
    let profile = profile(store, &organization, "default").await;
    let runner = runner(store, &organization, "local", &[profile.id]).await;
    Fleet {
        organization,
        profile,
        runner,
        quota: Revision::FIRST,
    }
}

impl Fleet {
    /// What a decision from this picture is made from.
    pub fn basis(&self) -> Basis {
        Basis {
            runner: self.runner.revision,
            profile: self.profile.revision,
            quota: self.quota,
        }
    }

    /// A sandbox that was decided on from this picture.
    pub fn sandbox(&self) -> Sandbox {
        let id = SandboxId::new(fresh_uuid());
        let owner = Owner {
            organization: self.organization.clone(),
            user: parsed("ada"),
        };
        let mut launch = sample_launch();
        launch.id = id;
        launch.owner = owner.clone();
        launch.runner = self.runner.id.clone();
        launch.profile = self.profile.id;
        Sandbox {
            id,
            owner,
            tags: Vec::new(),
            placement: self.placed(),
            asked: AskedResources::default(),
            launch,
            resolved: ResolvedSpec {
                spec: self.profile.spec.clone(),
                provenance: [].into_iter().collect(),
            },
            status: Status::admitted(),
            created_at: now(),
        }
    }

    fn placed(&self) -> Placed {
        Placed {
            runner_uid: self.runner.uid,
            runner_id: self.runner.id.clone(),
            runner_group: self.runner.group.clone(),
            profile_id: self.profile.id,
            profile_name: self.profile.display_name.clone().into(),
            reserved: Resources::default(),
            egress_mode: parsed("deny-all"),
            ingress_level: None,
        }
    }

    /// Adds a sandbox that was decided on from this picture.
    pub async fn start(&self, store: &dyn Store) -> Sandbox {
        self.add(store, self.sandbox()).await
    }

    /// Adds this sandbox.
    pub async fn add(&self, store: &dyn Store, sandbox: Sandbox) -> Sandbox {
        let added = store.insert_sandbox(sandbox.clone(), self.basis()).await;
        added.unwrap();
        sandbox
    }

    /// Lets the sandbox end, as its runner would report.
    pub async fn end(&self, store: &dyn Store, id: SandboxId) -> Timestamp {
        let at = now();
        let seen = observation(1000, State::Completed(Exit(0)));
        let change = StatusChange::Observed {
            by: self.runner.uid,
            seen,
            now: at,
        };
        let changed = store.change_status(&self.organization, id, change).await;
        assert!(changed.unwrap().status.state.is_terminal());
        at
    }
}

/// What a runner reports.
pub fn observation(number: u64, state: State) -> Observation {
    Observation {
        number,
        state,
        reason: String::new(),
        started_at: None,
        service_address: String::new(),
    }
}
