//! What placement knows of the runners, as a snapshot.
//!
//! A [`Fleet`] is cheap to clone: a clone shares everything, and a change
//! copies the index of one organization and the one runner that changed. What a
//! binding makes of its profile is resolved when a runner is put in, so that a
//! decision reads and never merges. Where several runners make the same of a
//! profile they share it, so that it is judged once for all of them. Who keeps
//! the fleet current, and who counts what is in use, is not decided here.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::{ProfileId, RunnerUid};
use crate::name::OrganizationId;
use crate::pool::{Pool, Rooms};
use crate::profile::Profile;
use crate::runner::{Capabilities, Capacity, Resources, Runner};

use super::digest::Digest;
use super::kind::{Kinds, Menu};
use super::offer::{Lacks, Offer};

/// The runners of all organizations, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    organizations: Arc<BTreeMap<OrganizationId, Arc<Estate>>>,
}

/// The runners of one organization.
#[derive(Clone, Debug, Default)]
struct Estate {
    members: BTreeMap<RunnerUid, Arc<Member>>,
    kinds: Kinds,
}

/// A runner with everything that placement needs to know of it.
#[derive(Clone, Debug)]
pub struct Member {
    runner: Arc<Runner>,
    offers: Arc<[Offer]>,
    menu: Menu,
    /// What it lacks for each offer; absent if it lacks nothing for any.
    lacks: Option<Arc<[Option<Lacks>]>>,
    live: Live,
    digest: Digest,
}

/// What changes while a runner keeps its configuration.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// What the runner said of itself; `None` until it first connected.
    pub report: Option<Arc<Report>>,
    /// Whether it is there.
    pub presence: Presence,
    /// Whether it takes no new sandboxes for now.
    pub is_draining: bool,
    /// What its sandboxes hold.
    pub usage: Usage,
    /// What they hold of its pools.
    pub held: Arc<BTreeMap<Pool, u32>>,
}

/// What a runner said of itself when it connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What it can do.
    pub capabilities: Capabilities,
    /// How much it has.
    pub capacity: Capacity,
    /// What is in its pools.
    pub rooms: Rooms,
}

/// Whether a runner is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Presence {
    /// It was not seen since this process knows of it.
    #[default]
    NeverSeen,
    /// It is connected.
    Connected,
    /// It was connected, and is not now.
    Lost,
}

/// What the sandboxes of a runner hold, those being launched included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resources that are set aside.
    pub reserved: Resources,
    /// How many sandboxes there are.
    pub sandboxes: u32,
}

impl Fleet {
    /// Puts in a runner, or its new configuration, or new revisions of the
    /// profiles that it binds. What is known of the process behind it stays.
    ///
    /// A profile that `profile_of` does not know makes a binding that serves
    /// nobody.
    pub fn put(
        &mut self,
        runner: Arc<Runner>,
        profile_of: impl Fn(ProfileId) -> Option<Arc<Profile>>,
    ) {
        let live = self
            .member(&runner.organization, runner.uid)
            .map(|member| member.live.clone())
            .unwrap_or_default();
        let organization = runner.organization.clone();
        let organizations = Arc::make_mut(&mut self.organizations);
        let estate = Arc::make_mut(organizations.entry(organization).or_default());
        let uid = runner.uid;
        let mut offers = Offer::all_of(&runner, profile_of);
        let menu = estate.kinds.menu(&mut offers);
        let member = Member {
            digest: Digest::new(&runner, live.report.as_deref()),
            lacks: lacks(&menu, live.report.as_deref()),
            menu,
            offers: offers.into(),
            runner,
            live,
        };
        estate.members.insert(uid, Arc::new(member));
        estate.kinds.prune();
    }

    /// Takes out a runner. Does nothing if there is none.
    pub fn remove(&mut self, organization: &OrganizationId, uid: RunnerUid) {
        if self.member(organization, uid).is_none() {
            return;
        }
        let organizations = Arc::make_mut(&mut self.organizations);
        let Some(estate) = organizations.get_mut(organization) else {
            return;
        };
        let estate = Arc::make_mut(estate);
        estate.members.remove(&uid);
        estate.kinds.prune();
        if estate.members.is_empty() {
            organizations.remove(organization);
        }
    }

    /// Changes what is known of the process behind a runner; returns whether
    /// there is such a runner.
    pub fn update(
        &mut self,
        organization: &OrganizationId,
        uid: RunnerUid,
        change: impl FnOnce(&mut Live),
    ) -> bool {
        let Some(member) = self.member(organization, uid) else {
            return false;
        };
        let member = Arc::new(member.changed(change));
        let organizations = Arc::make_mut(&mut self.organizations);
        if let Some(estate) = organizations.get_mut(organization) {
            Arc::make_mut(estate).members.insert(uid, member);
        }
        true
    }

    /// One runner.
    pub fn member(&self, organization: &OrganizationId, uid: RunnerUid) -> Option<&Member> {
        let estate = self.organizations.get(organization)?;
        estate.members.get(&uid).map(AsRef::as_ref)
    }

    /// The runners of an organization, in the order of their uids.
    pub fn members(&self, organization: &OrganizationId) -> impl Iterator<Item = &Member> {
        let estate = self.organizations.get(organization);
        estate
            .into_iter()
            .flat_map(|estate| estate.members.values())
            .map(AsRef::as_ref)
    }

    /// Every runner of every organization.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        let all = self.organizations.values();
        all.flat_map(|estate| estate.members.values())
            .map(AsRef::as_ref)
    }
}

impl Member {
    fn changed(&self, change: impl FnOnce(&mut Live)) -> Self {
        let mut member = self.clone();
        change(&mut member.live);
        if member.live.report != self.live.report {
            let report = member.live.report.as_deref();
            member.lacks = lacks(&self.menu, report);
            member.digest = Digest::new(&self.runner, report);
        }
        member
    }

    /// The runner as it is configured.
    pub fn runner(&self) -> &Arc<Runner> {
        &self.runner
    }

    /// What is known of the process behind it.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// What its bindings make of their profiles: the default one first, then
    /// the others as they were written.
    pub fn offers(&self) -> &[Offer] {
        &self.offers
    }

    /// What is judged instead of the offers, in the same order.
    pub(super) fn menu(&self) -> &Menu {
        &self.menu
    }

    /// What the runner lacks for one of its offers, if anything.
    pub(super) fn lacks(&self, place: usize) -> Option<&Lacks> {
        self.lacks.as_ref()?.get(place)?.as_ref()
    }

    /// What is read of it for every request.
    pub(super) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What is not set aside yet; nothing until the runner said what it has.
    pub fn free(&self) -> Resources {
        self.digest.total.saturating_sub(self.live.usage.reserved)
    }
}

impl Usage {
    /// This, and one more sandbox.
    #[must_use]
    pub fn with(self, reserved: Resources) -> Self {
        Self {
            reserved: self.reserved.saturating_add(reserved),
            sandboxes: self.sandboxes.saturating_add(1),
        }
    }

    /// This, and one sandbox less.
    #[must_use]
    pub fn without(self, reserved: Resources) -> Self {
        Self {
            reserved: self.reserved.saturating_sub(reserved),
            sandboxes: self.sandboxes.saturating_sub(1),
        }
    }
}

fn lacks(menu: &Menu, report: Option<&Report>) -> Option<Arc<[Option<Lacks>]>> {
    let lacks = menu.iter().map(|likeness| Lacks::new(likeness, report));
    let lacks = lacks.collect::<Arc<[_]>>();
    lacks.iter().any(Option::is_some).then_some(lacks)
}
