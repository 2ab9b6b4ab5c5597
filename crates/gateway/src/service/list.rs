//! Listing sandboxes, in pages.

use std::collections::BTreeSet;

use palisade_model::id::SandboxId;
use palisade_model::name::{OrganizationId, ProfileName, RunnerId, Tag};
use palisade_model::tenant::Principal;
use palisade_store::PageRequest;
use palisade_store::sandbox::{ListError, ProfileTerm, SandboxFilter};
use palisade_wire::page_token::Listing;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::v1beta2::{phase_filter, sandbox_summary};

use super::sandbox::SandboxService;
use crate::error::{ApiError, ApiResult, invalid};
use crate::page;

/// What is to be listed.
#[derive(Debug)]
struct Query {
    /// `None` if nothing can match.
    filter: Option<SandboxFilter>,
    page: PageRequest<SandboxId>,
    listing: Listing,
}

impl SandboxService {
    pub(super) async fn list_sandboxes(
        &self,
        caller: &Principal,
        request: pb::ListSandboxesRequest,
    ) -> ApiResult<pb::ListSandboxesResponse> {
        let Query {
            filter,
            page,
            listing,
        } = query(&caller.organization, request)?;
        let Some(filter) = filter else {
            return Ok(pb::ListSandboxesResponse::default());
        };
        let store = &self.tools.store;
        let listed = store.list_sandboxes(&caller.organization, filter, page);
        let listed = listed.await.map_err(|error| match error {
            ListError::TooManyTerms { .. } => too_many_terms(&error),
            ListError::Fault(fault) => fault.into(),
        })?;
        let sandboxes = listed.items.into_iter().map(|sandbox| {
            let sandbox = self.as_seen_now(sandbox);
            let usage = self.hub.usage(sandbox.placement.runner_uid, sandbox.id);
            sandbox_summary(&sandbox, usage)
        });
        Ok(pb::ListSandboxesResponse {
            sandboxes: sandboxes.collect(),
            next_page_token: listing.token(listed.next),
        })
    }
}

fn query(organization: &OrganizationId, request: pb::ListSandboxesRequest) -> ApiResult<Query> {
    let listing = listing(organization, &request);
    let pb::ListSandboxesRequest {
        tags,
        status,
        profile_ids,
        runner_ids,
        profile_names,
        // The whole call has it.
        max_timeout_seconds: _,
        include_stopped,
        page_size,
        page_token,
        volume_ids,
    } = request;
    let page = PageRequest {
        after: page::after(&listing, &page_token)?,
        size: page::size(page_size)?,
    };
    let phase = phase_filter(status)?;
    let tags = tags.iter().map(|text| text.parse::<Tag>().ok()).collect();
    let runners = terms(&runner_ids, |text| text.parse::<RunnerId>().ok());
    let profiles = profile_ids
        .into_iter()
        .chain(profile_names)
        .collect::<Vec<_>>();
    let profiles = profile_terms(&profiles);
    // What is no tag, runner or profile at all is one that nothing has.
    let filter = match (tags, runners, profiles) {
        (Some(tags), Some(runners), Some(profiles)) => Some(SandboxFilter {
            tags,
            phase,
            runners,
            profiles,
            include_terminal: include_stopped,
        }),
        _ => None,
    };
    // No sandbox has a volume.
    let filter = filter.filter(|_| volume_ids.is_empty());
    Ok(Query {
        filter,
        page,
        listing,
    })
}

/// What of a request may not change from page to page.
fn listing(organization: &OrganizationId, request: &pb::ListSandboxesRequest) -> Listing {
    let pb::ListSandboxesRequest {
        tags,
        status,
        profile_ids,
        runner_ids,
        profile_names,
        max_timeout_seconds: _,
        include_stopped,
        page_size: _,
        page_token: _,
        // Nobody gets a page with these.
        volume_ids: _,
    } = request;
    Listing::new("sandboxes", organization)
        .with_any("tags", tags)
        .with("status", status)
        .with_any("profile_ids", profile_ids)
        .with_any("runner_ids", runner_ids)
        .with_any("profile_names", profile_names)
        .with("include_stopped", include_stopped)
}

/// Alternatives of one field; `None` if some were given and none can match.
fn terms<T: Ord>(texts: &[String], read: impl Fn(&str) -> Option<T>) -> Option<BTreeSet<T>> {
    let terms: BTreeSet<T> = texts.iter().filter_map(|text| read(text)).collect();
    (texts.is_empty() || !terms.is_empty()).then_some(terms)
}

/// Clients give names where ids are asked for, so that each text can be both.
fn profile_terms(texts: &[String]) -> Option<BTreeSet<ProfileTerm>> {
    let mut terms = BTreeSet::new();
    for text in texts {
        terms.extend(text.parse().ok().map(ProfileTerm::Id));
        terms.extend(ProfileName::new(text.as_str()).ok().map(ProfileTerm::Name));
    }
    (texts.is_empty() || !terms.is_empty()).then_some(terms)
}

fn too_many_terms(error: &ListError) -> ApiError {
    invalid("tags", format!("cannot be served: {error}"))
}

#[cfg(test)]
mod tests {
    use palisade_model::reason::Reason;

    use super::*;

    fn query(request: pb::ListSandboxesRequest) -> ApiResult<Query> {
        super::query(&"acme".parse().unwrap(), request)
    }

    #[test]
    fn a_token_leads_on_in_its_own_list_whatever_the_size_of_pages() {
        let id = SandboxId::new(uuid::Uuid::from_u128(7));
        let asked = pb::ListSandboxesRequest {
            tags: vec!["b".to_owned(), "a".to_owned()],
            page_size: 2,
            ..Default::default()
        };
        let page_token = query(asked.clone()).unwrap().listing.token(Some(id));
        let next = pb::ListSandboxesRequest {
            tags: vec!["a".to_owned(), "b".to_owned()],
            page_size: 5,
            max_timeout_seconds: 3,
            page_token: page_token.clone(),
            ..Default::default()
        };
        assert_eq!(query(next.clone()).unwrap().page.after, Some(id));
        let changes: [fn(&mut pb::ListSandboxesRequest); 7] = [
            |it| it.tags.push("c".to_owned()),
            |it| it.tags.clear(),
            |it| it.status = 2,
            |it| it.include_stopped = true,
            |it| it.runner_ids.push("local".to_owned()),
            |it| it.profile_ids.push("ci".to_owned()),
            |it| it.profile_names.push("ci".to_owned()),
        ];
        for change in changes {
            let mut other = next.clone();
            change(&mut other);
            let error = query(other).unwrap_err();
            assert_eq!(error.refusal.reason, Reason::InvalidRequest);
            assert!(error.refusal.message.contains("another list"), "{error:?}");
        }
        for page_token in ["7", "s1-00000000000000000000000000000007"] {
            let page_token = page_token.to_owned();
            let error = query(pb::ListSandboxesRequest {
                page_token,
                ..asked.clone()
            });
            assert_eq!(error.unwrap_err().refusal.reason, Reason::InvalidRequest);
        }
    }

    #[test]
    fn what_can_match_nothing_asks_the_store_nothing() {
        let request = pb::ListSandboxesRequest {
            runner_ids: vec!["NOT A RUNNER".to_owned()],
            ..Default::default()
        };
        assert_eq!(query(request).unwrap().filter, None);
    }

    #[test]
    fn one_alternative_that_cannot_match_does_no_harm() {
        let request = pb::ListSandboxesRequest {
            runner_ids: vec!["NOT A RUNNER".to_owned(), "local".to_owned()],
            ..Default::default()
        };
        let filter = query(request).unwrap().filter.unwrap();
        assert_eq!(filter.runners, ["local".parse().unwrap()].into());
    }

    #[test]
    fn no_sandbox_has_a_volume() {
        let request = |status| pb::ListSandboxesRequest {
            volume_ids: vec!["v".to_owned()],
            status,
            ..Default::default()
        };
        assert_eq!(query(request(0)).unwrap().filter, None);
        let wrong = query(request(99)).unwrap_err();
        assert_eq!(wrong.refusal.reason, Reason::InvalidRequest);
    }
}
