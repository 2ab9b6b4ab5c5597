//! The parts of a list that callers ask for, and lists that are needed whole.

use std::str::FromStr;

use palisade_model::refusal::Refusal;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use palisade_store::{Fault, Page, PageRequest, PageSize};
use palisade_wire::page_token::Listing;

use crate::error::{ApiError, ApiResult};

/// The size of a page when nobody says.
const SIZE_DEFAULT: usize = 100;

/// The part of a list that `size` and `token` ask for.
pub(crate) fn request<K: FromStr>(
    listing: &Listing,
    size: Option<&str>,
    token: Option<&str>,
) -> ApiResult<PageRequest<K>> {
    let after = listing.after(token.unwrap_or_default());
    Ok(PageRequest {
        after: after.map_err(|error| invalid("pageToken", error.to_string()))?,
        size: self::size(size)?,
    })
}

/// Everything that a list holds, fetched page by page.
pub(crate) async fn all<T, K, F>(
    mut fetch: impl FnMut(PageRequest<K>) -> F,
) -> Result<Vec<T>, Fault>
where
    F: Future<Output = Result<Page<T, K>, Fault>>,
{
    let mut items = Vec::new();
    let mut request = PageRequest::first(PageSize::MAX);
    loop {
        let page = fetch(request).await?;
        items.extend(page.items);
        if page.next.is_none() {
            return Ok(items);
        }
        request = PageRequest {
            after: page.next,
            size: PageSize::MAX,
        };
    }
}

/// Zero and nothing mean the default; more than the most means the most.
fn size(text: Option<&str>) -> ApiResult<PageSize> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(PageSize::clamped(SIZE_DEFAULT));
    };
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    if !is_number {
        let what = format!("must be a whole number from 0 to {}", PageSize::MAX.get());
        return Err(invalid("pageSize", what));
    }
    // More digits than a number holds are more than the most.
    Ok(match text.parse().unwrap_or(usize::MAX) {
        0 => PageSize::clamped(SIZE_DEFAULT),
        wanted => PageSize::clamped(wanted),
    })
}

fn invalid(field: &str, what: impl Into<String>) -> ApiError {
    let path = FieldPath::root().key(field);
    Refusal::invalid(vec![Violation::new(path, ViolationKind::Invalid, what)]).into()
}

#[cfg(test)]
mod tests {
    use palisade_model::name::DisplayName;

    use super::*;

    fn profiles() -> Listing {
        Listing::new("profiles", &"acme".parse().unwrap())
    }

    fn ask(size: Option<&str>, token: Option<&str>) -> Option<PageRequest<DisplayName>> {
        request(&profiles(), size, token).ok()
    }

    #[test]
    fn a_token_goes_on_behind_its_key() {
        let token = profiles().token(Some("ü / x"));
        let request = ask(None, Some(&token)).unwrap();
        assert_eq!(request.after.unwrap().as_str(), "ü / x");
        assert_eq!(ask(None, Some("")).unwrap().after, None);
    }

    #[test]
    fn a_token_that_is_none_is_refused() {
        let hollow = profiles().token(Some(""));
        for token in ["!", "AA", "zzzz", &hollow] {
            assert!(ask(None, Some(token)).is_none(), "{token}");
        }
    }

    #[test]
    fn a_size_is_held_within_bounds() {
        let size = |text| ask(Some(text), None).map(|request| request.size.get());
        assert_eq!(size("0"), Some(100));
        assert_eq!(size(""), Some(100));
        assert_eq!(size("7"), Some(7));
        assert_eq!(size("99999999999999999999999"), Some(1000));
        assert_eq!((size("-1"), size("x"), size("1.5")), (None, None, None));
    }
}
