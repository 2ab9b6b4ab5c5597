//! What a caller can use: runners, and the profiles that they offer.
//!
//! Everything is told out of the picture of the fleet, and only of the caller's
//! own organization. A runner is told of once it said what it can do; a choice
//! that its runner could not carry out is no choice and is left out.

use async_trait::async_trait;
use palisade_model::id::ProfileId;
use palisade_model::name::{LevelName, ModeName};
use palisade_model::placement::{Fleet, Member, Offer, Presence, Report};
use palisade_model::profile::{EgressMode, Exposure};
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::resolve::ResolvedSpec;
use palisade_model::runner::Capabilities;
use palisade_model::tenant::Principal;
use palisade_wire::page_token::Listing;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::discovery_service_server::DiscoveryService;
use palisade_wire::v1beta2::{
    ProfileInfo, RunnerInfo, available_runner, profile_summary, unknown_number,
};
use tonic::{Request, Response, Status};

use crate::context::Context;
use crate::error::{ApiError, ApiResult, invalid};
use crate::hub::Hub;
use crate::page;
use crate::picture::Picture;

/// The most items of a page.
const PAGE_SIZE_MAX: usize = 1_000;
/// The size of a page for clients that name none.
const PAGE_SIZE: usize = 100;

/// Tells callers what they can use. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Discovery {
    pub(crate) picture: Picture,
    pub(crate) hub: Hub,
}

type Answer<T> = Result<Response<T>, Status>;

#[async_trait]
impl DiscoveryService for Discovery {
    async fn list_available_runners(
        &self,
        request: Request<pb::ListAvailableRunnersRequest>,
    ) -> Answer<pb::ListAvailableRunnersResponse> {
        let context = Context::of(&request)?;
        context.tell(self.runners(&context.caller, request.into_inner()))
    }

    async fn get_available_runner(
        &self,
        request: Request<pb::GetAvailableRunnerRequest>,
    ) -> Answer<pb::AvailableRunner> {
        let context = Context::of(&request)?;
        context.tell(self.runner(&context.caller, request.into_inner()))
    }

    async fn list_profiles(
        &self,
        request: Request<pb::ListProfilesRequest>,
    ) -> Answer<pb::ListProfilesResponse> {
        let context = Context::of(&request)?;
        context.tell(self.profiles(&context.caller, request.into_inner()))
    }

    async fn get_profile(
        &self,
        request: Request<pb::GetProfileRequest>,
    ) -> Answer<pb::ProfileSummary> {
        let context = Context::of(&request)?;
        context.tell(self.profile(&context.caller, request.into_inner()))
    }
}

impl Discovery {
    fn runners(
        &self,
        caller: &Principal,
        request: pb::ListAvailableRunnersRequest,
    ) -> ApiResult<pb::ListAvailableRunnersResponse> {
        let pb::ListAvailableRunnersRequest {
            runner_group_id,
            profile_name,
            gpu_type,
            architecture,
            // No runner is shared between organizations.
            exclude_shared: _,
            healthy_only,
            page_size,
            page_token,
            view,
        } = request;
        let view = self::view(view)?;
        let listing = Listing::new("runners", &caller.organization)
            .with("runner_group_id", &runner_group_id)
            .with("profile_name", &profile_name)
            .with("gpu_type", &gpu_type)
            .with("architecture", &architecture)
            .with("healthy_only", healthy_only);
        let fleet = self.picture.fleet();
        let is_meant = meaning(&fleet, caller, &profile_name);
        let passes = |member: &Member, report: &Report| {
            let group = member.runner().group.as_str();
            (runner_group_id.is_empty() || group == runner_group_id)
                && (profile_name.is_empty() || offers(member).any(|(offer, _)| is_meant(offer)))
                && can(&report.capabilities, &gpu_type, &architecture)
                && (!healthy_only || is_healthy(member))
        };
        let runners = reporting(&fleet, caller)
            .into_iter()
            .filter(|(member, report)| passes(member, report))
            .map(|(member, report)| (member.runner().id.to_string(), (member, report)));
        let (page, next_page_token) = page(&listing, runners, page_size, &page_token)?;
        let told = page
            .into_iter()
            .map(|(member, report)| available_runner(&self.runner_info(member, report), view));
        Ok(pb::ListAvailableRunnersResponse {
            runners: told.collect(),
            next_page_token,
        })
    }

    fn runner(
        &self,
        caller: &Principal,
        request: pb::GetAvailableRunnerRequest,
    ) -> ApiResult<pb::AvailableRunner> {
        let pb::GetAvailableRunnerRequest {
            runner_id,
            view: number,
        } = request;
        // One runner is always told of in full.
        view(number)?;
        needed("runner_id", &runner_id)?;
        let fleet = self.picture.fleet();
        let found = reporting(&fleet, caller)
            .into_iter()
            .find(|(member, _)| member.runner().id.as_str() == runner_id);
        let (member, report) = found.ok_or_else(|| runner_not_found(&runner_id))?;
        let info = self.runner_info(member, report);
        Ok(available_runner(&info, pb::RunnerView::Full))
    }

    fn profiles(
        &self,
        caller: &Principal,
        request: pb::ListProfilesRequest,
    ) -> ApiResult<pb::ListProfilesResponse> {
        let pb::ListProfilesRequest {
            gpu_type,
            architecture,
            // No runner is shared between organizations.
            exclude_shared: _,
            page_size,
            page_token,
            runner_id,
        } = request;
        let listing = Listing::new("profiles", &caller.organization)
            .with("gpu_type", &gpu_type)
            .with("architecture", &architecture)
            .with("runner_id", &runner_id);
        let fleet = self.picture.fleet();
        let profiles = reporting(&fleet, caller)
            .into_iter()
            .filter(|(member, report)| {
                let id = member.runner().id.as_str();
                (runner_id.is_empty() || id == runner_id)
                    && can(&report.capabilities, &gpu_type, &architecture)
            })
            .flat_map(|(member, report)| {
                offers(member).map(move |(offer, spec)| {
                    let key = format!("{}\n{}", member.runner().id, offer.name);
                    (key, (member, report, offer, spec))
                })
            });
        let (page, next_page_token) = page(&listing, profiles, page_size, &page_token)?;
        let told = page.into_iter().map(|(member, report, offer, spec)| {
            profile_summary(&profile_info(member, report, offer, spec))
        });
        Ok(pb::ListProfilesResponse {
            profiles: told.collect(),
            next_page_token,
        })
    }

    /// Without a runner, the first one in the order of ids that offers it.
    fn profile(
        &self,
        caller: &Principal,
        request: pb::GetProfileRequest,
    ) -> ApiResult<pb::ProfileSummary> {
        let pb::GetProfileRequest {
            profile_name,
            runner_id,
        } = request;
        needed("profile_name", &profile_name)?;
        let fleet = self.picture.fleet();
        let mut members = reporting(&fleet, caller);
        if !runner_id.is_empty() {
            members.retain(|(member, _)| member.runner().id.as_str() == runner_id);
            if members.is_empty() {
                return Err(runner_not_found(&runner_id));
            }
        }
        let is_meant = meaning(&fleet, caller, &profile_name);
        let found = members.into_iter().find_map(|(member, report)| {
            let (offer, spec) = offers(member).find(|(offer, _)| is_meant(offer))?;
            Some(profile_summary(&profile_info(member, report, offer, spec)))
        });
        found.ok_or_else(|| profile_not_found(&profile_name, &runner_id))
    }

    fn runner_info<'a>(&self, member: &'a Member, report: &'a Report) -> RunnerInfo<'a> {
        let runner = member.runner();
        RunnerInfo {
            id: &runner.id,
            group: &runner.group,
            is_healthy: is_healthy(member),
            capabilities: &report.capabilities,
            free: member.free(),
            sandboxes: member.live().usage.sandboxes,
            tags: offers(member)
                .flat_map(|(_, resolved)| resolved.spec.tags.iter().flatten())
                .collect(),
            profiles: offers(member).map(|(offer, _)| &offer.name).collect(),
            connected_at: self.hub.connected_at(runner.uid),
        }
    }
}

/// The runners of the caller's organization that said what they can do, in the
/// order of their ids.
fn reporting<'a>(fleet: &'a Fleet, caller: &Principal) -> Vec<(&'a Member, &'a Report)> {
    let mut members: Vec<_> = fleet
        .members(&caller.organization)
        .filter_map(|member| Some((member, member.live().report.as_deref()?)))
        .collect();
    members.sort_by_key(|(member, _)| &member.runner().id);
    members
}

/// What a runner offers, as far as the layers make something of it.
fn offers(member: &Member) -> impl Iterator<Item = (&Offer, &ResolvedSpec)> {
    let all = member.offers().iter();
    all.filter_map(|offer| Some((offer, offer.spec.as_deref().ok()?)))
}

/// What a text means, as in a start: a profile by its id, by its name on the runner, or
/// by the name behind its alias if no runner shows another profile under that one.
fn meaning<'a>(
    fleet: &Fleet,
    caller: &Principal,
    text: &'a str,
) -> impl Fn(&Offer) -> bool + use<'a> {
    let mut shown = fleet.members(&caller.organization).flat_map(Member::offers);
    let is_shown = shown.any(|offer| offer.name.as_str() == text);
    let id: Option<ProfileId> = text.parse().ok();
    move |offer| {
        offer.name.as_str() == text
            || (!is_shown && offer.display_name.as_str() == text)
            || id == Some(offer.profile)
    }
}

fn is_healthy(member: &Member) -> bool {
    let live = member.live();
    live.presence == Presence::Connected
        && !live.is_draining
        && member.runner().deleting_since.is_none()
}

/// Empty texts ask for nothing.
fn can(capabilities: &Capabilities, gpu_type: &str, architecture: &str) -> bool {
    (gpu_type.is_empty() || capabilities.gpu_types.contains(gpu_type))
        && (architecture.is_empty() || capabilities.architectures.contains(architecture))
}

fn profile_info<'a>(
    member: &'a Member,
    report: &'a Report,
    offer: &'a Offer,
    resolved: &'a ResolvedSpec,
) -> ProfileInfo<'a> {
    let can = &report.capabilities;
    ProfileInfo {
        name: &offer.name,
        runner: &member.runner().id,
        capabilities: can,
        levels: resolved
            .spec
            .ingress()
            .iter()
            .filter_map(|(name, level)| makes(can, level).then_some(name))
            .collect::<Vec<&LevelName>>(),
        modes: resolved
            .spec
            .egress()
            .modes()
            .iter()
            .filter_map(|(name, mode)| enforces(can, mode).then_some(name))
            .collect::<Vec<&ModeName>>(),
    }
}

fn enforces(capabilities: &Capabilities, mode: &EgressMode) -> bool {
    capabilities.egress.contains(&mode.kind())
}

fn makes(capabilities: &Capabilities, level: &Exposure) -> bool {
    let service = &level.service.service_type;
    capabilities.services.contains(service)
        && (level.route.is_none() || capabilities.routes.serves(level.scope))
}

/// The part of a sorted list behind a token, and the token of the next part.
fn page<T>(
    listing: &Listing,
    items: impl Iterator<Item = (String, T)>,
    wanted: i32,
    token: &str,
) -> ApiResult<(Vec<T>, String)> {
    let size = match usize::try_from(wanted) {
        Ok(0) => PAGE_SIZE,
        Ok(size) => size.min(PAGE_SIZE_MAX),
        Err(_) => {
            let description = format!("is {wanted}; it must not be negative");
            return Err(invalid("page_size", description));
        }
    };
    let after: Option<String> = page::after(listing, token)?;
    let mut items: Vec<(String, T)> = items
        .filter(|(key, _)| after.as_ref().is_none_or(|after| key > after))
        .collect();
    items.sort_by(|left, right| left.0.cmp(&right.0));
    let is_last = items.len() <= size;
    items.truncate(size);
    let next = items.last().filter(|_| !is_last);
    let next = listing.token(next.map(|(key, _)| key));
    Ok((items.into_iter().map(|(_, item)| item).collect(), next))
}

fn view(number: i32) -> ApiResult<pb::RunnerView> {
    let known = [pb::RunnerView::Basic, pb::RunnerView::Full];
    pb::RunnerView::try_from(number).map_err(|_| {
        let what = unknown_number(number, &known, pb::RunnerView::as_str_name);
        invalid("view", what)
    })
}

fn needed(field: &str, value: &str) -> ApiResult<()> {
    if value.is_empty() {
        return Err(invalid(field, "is needed"));
    }
    Ok(())
}

fn runner_not_found(id: &str) -> ApiError {
    let shown: String = id.chars().take(64).collect();
    let message = format!("there is no runner {shown:?}; list the runners to see which there are");
    Refusal::new(Reason::RunnerNotFound, message)
        .with("runner_id", shown)
        .into()
}

/// Of one runner, if one was named: others may offer the profile.
fn profile_not_found(name: &str, runner: &str) -> ApiError {
    let shown: String = name.chars().take(64).collect();
    if runner.is_empty() {
        let message =
            format!("there is no profile {shown:?}; list the profiles to see which there are");
        return Refusal::new(Reason::ProfileNotFound, message)
            .with("profile_name", shown)
            .into();
    }
    let message = format!(
        "runner {runner} has no profile {shown:?}; list the profiles to see which runners have it"
    );
    Refusal::new(Reason::ProfileNotFound, message)
        .with("profile_name", shown)
        .with("runner_id", runner)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(count: usize) -> impl Iterator<Item = (String, usize)> {
        (0..count).map(|number| (format!("{number:03}"), number))
    }

    fn listing() -> Listing {
        Listing::new("numbers", &"acme".parse().unwrap())
    }

    #[test]
    fn pages_cover_a_list_exactly_once() {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let (part, next) = page(&listing(), items(10), 3, &token).unwrap();
            seen.extend(part);
            if next.is_empty() {
                break;
            }
            token = next;
        }
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_forged_token_is_refused() {
        for token in ["x", "d1-00", "p1-00"] {
            assert!(page(&listing(), items(1), 0, token).is_err(), "{token}");
        }
    }
}
