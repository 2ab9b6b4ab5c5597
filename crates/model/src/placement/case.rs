//! One runner and one profile before the bar.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use crate::id::ProfileId;
use crate::image::ImageReference;
use crate::name::{ModeName, ProfileName, RuntimeClass};
use crate::profile::{EgressMode, Exposure};
use crate::resolve::ResolvedSpec;
use crate::sandbox::{Port, StartRequest};

use super::amounts::Amounts;
use super::asking::Asking;
use super::fleet::{Fleet, Member, Report};
use super::offer::{Lacks, Offer};

/// A request with its selectors read once.
#[derive(Clone, Debug)]
pub(super) struct Wish<'a> {
    pub(super) asking: Asking<'a>,
    pub(super) fleet: &'a Fleet,
    runners: BTreeSet<&'a str>,
    profiles: BTreeSet<&'a str>,
    profile_ids: BTreeSet<ProfileId>,
    /// Those of the profiles that some runner has under this name, once they are asked for.
    taken: OnceCell<BTreeSet<ProfileName>>,
}

/// A runner, one of its offers, and the request that they may serve.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case<'a> {
    pub(super) wish: &'a Wish<'a>,
    pub(super) member: &'a Member,
    pub(super) offer: &'a Offer,
    /// What the runner lacks for the offer, whatever the request.
    pub(super) lacks: Option<&'a Lacks>,
    /// What the sandbox would get of each resource, if the profile resolves.
    pub(super) amounts: Option<Amounts<'a>>,
}

impl<'a> Wish<'a> {
    pub(super) fn new(fleet: &'a Fleet, asking: Asking<'a>) -> Self {
        let selectors = &asking.request.selectors;
        let profiles = selectors.profiles.iter().map(String::as_str);
        Self {
            asking,
            fleet,
            runners: selectors.runners.iter().map(String::as_str).collect(),
            profile_ids: profiles.clone().filter_map(|id| id.parse().ok()).collect(),
            profiles: profiles.collect(),
            taken: OnceCell::new(),
        }
    }

    /// The runners that the request names.
    pub(super) fn runners(&self) -> &BTreeSet<&'a str> {
        &self.runners
    }

    /// The profiles that the request names, by id or by name.
    pub(super) fn profiles(&self) -> &BTreeSet<&'a str> {
        &self.profiles
    }

    /// What the sandbox would get of each resource under an offer.
    pub(super) fn amounts<'b>(&'b self, offer: &'b Offer) -> Option<Amounts<'b>> {
        let Asking { request, quota, .. } = self.asking;
        let spec = &offer.spec.as_deref().ok()?.spec;
        Some(Amounts::new(request, spec, quota))
    }

    /// Whether the runner is one that the request means.
    pub(super) fn accepts_runner(&self, member: &Member) -> bool {
        self.runners.is_empty() || self.runners.contains(member.runner().id.as_str())
    }

    /// Whether the profile is one that the request means, by its id, by its
    /// name on the runner or by its display name.
    ///
    /// A display name that no runner shows is looked for only if no runner shows another
    /// profile under that name: whoever reads a name somewhere means what has it there.
    pub(super) fn accepts_profile(&self, offer: &Offer) -> bool {
        let hidden = &offer.display_name;
        self.profiles.is_empty()
            || self.profile_ids.contains(&offer.profile)
            || self.profiles.contains(offer.name.as_str())
            || (self.profiles.contains(hidden.as_str()) && !self.taken().contains(hidden))
    }

    fn taken(&self) -> &BTreeSet<ProfileName> {
        self.taken.get_or_init(|| {
            let members = self.fleet.members(&self.asking.owner.organization);
            let names = members.flat_map(Member::offers).map(|offer| &offer.name);
            let taken = names.filter(|name| self.profiles.contains(name.as_str()));
            taken.cloned().collect()
        })
    }
}

impl<'a> Case<'a> {
    /// Every offer of a runner, in the order in which they are tried.
    pub(super) fn all_of(wish: &'a Wish<'a>, member: &'a Member) -> impl Iterator<Item = Self> {
        let offers = member.offers().iter().enumerate();
        offers.map(move |(place, offer)| Self {
            wish,
            member,
            offer,
            lacks: member.lacks(place),
            amounts: wish.amounts(offer),
        })
    }

    /// The same candidate before another request.
    pub(super) fn under<'b>(&self, wish: &'b Wish<'b>) -> Case<'b>
    where
        'a: 'b,
    {
        Case {
            wish,
            amounts: wish.amounts(self.offer),
            ..*self
        }
    }

    /// What the layers below the request make, if they go together.
    pub(super) fn resolved(&self) -> Option<&'a ResolvedSpec> {
        self.offer.spec.as_deref().ok()
    }

    /// What the runner said of itself, if it did.
    pub(super) fn report(&self) -> Option<&'a Report> {
        self.member.live().report.as_deref()
    }

    /// What is asked for.
    pub(super) fn request(&self) -> &'a StartRequest {
        self.wish.asking.request
    }

    /// The image that would be used, if anybody names one.
    pub(super) fn image(&self) -> Option<&'a ImageReference> {
        let asked = self.request().image.as_ref();
        asked.or(self.resolved()?.spec.container_image.as_ref())
    }

    /// The egress mode that would be in force, if the profile has it.
    pub(super) fn egress(&self) -> Option<(&'a ModeName, &'a EgressMode)> {
        let egress = self.resolved()?.spec.egress();
        let asked = self.request().network.egress_mode.as_ref();
        let name = asked.unwrap_or_else(|| egress.default_name());
        egress.modes().get_key_value(name)
    }

    /// The ingress level that would be in force, if one is asked for and the
    /// profile has it.
    pub(super) fn exposure(&self) -> Option<&'a Exposure> {
        let name = self.request().network.ingress_mode.as_ref()?;
        self.resolved()?.spec.ingress().get(name)
    }

    /// The ports that would be exposed, each once.
    pub(super) fn exposed_ports(&self) -> Vec<u16> {
        let request = self.request();
        let exposed = &request.network.exposed_ports;
        let mut ports: Vec<u16> = if exposed.is_empty() {
            request.ports.iter().map(|port| port.number).collect()
        } else {
            exposed.clone()
        };
        let mut seen = BTreeSet::new();
        ports.retain(|port| seen.insert(*port));
        ports
    }

    /// The ports of the request that would be open at the level.
    pub(super) fn doors(&self) -> impl Iterator<Item = &'a Port> {
        let exposed = self.exposed_ports();
        let ports = self.request().ports.iter();
        ports.filter(move |port| exposed.contains(&port.number))
    }

    /// The isolation backend that would be used; `None` is the runner's default.
    pub(super) fn runtime_class(&self) -> Option<&'a RuntimeClass> {
        let resolved = self.resolved()?;
        if !self.member.digest().has_runtime_classes {
            return resolved.spec.runtime_class.as_ref();
        }
        let has_gpu = self.amounts?.gpu.is_some();
        resolved.runtime_class(&self.member.runner().settings.overrides, has_gpu)
    }
}
