//! Tokens for the next page of a list.
//!
//! A token is the key behind which the list goes on, made opaque so that nobody
//! builds on it. It needs no protection: whatever somebody puts in, only things
//! of the caller's own organization come out.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use palisade_model::refusal::Refusal;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use palisade_store::{Fault, Page, PageRequest, PageSize};

use crate::error::{ApiError, ApiResult};

/// The size of a page when nobody says.
const SIZE_DEFAULT: usize = 100;

/// The longest token, in bytes; the keys are names.
const TOKEN_LEN_MAX: usize = 1024;

/// The part of a list that `size` and `token` ask for. `list` names the list,
/// so that a token of another one is not taken.
pub(crate) fn request<K: FromStr>(
    list: &str,
    size: Option<&str>,
    token: Option<&str>,
) -> ApiResult<PageRequest<K>> {
    let after = match token.filter(|token| !token.is_empty()) {
        Some(token) => Some(decode(list, token).ok_or_else(bad_token)?),
        None => None,
    };
    Ok(PageRequest {
        after,
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

/// The token that goes on behind `key`; empty at the end of the list.
pub(crate) fn token(list: &str, key: Option<String>) -> String {
    key.map(|key| URL_SAFE_NO_PAD.encode(format!("{list}\n{key}")))
        .unwrap_or_default()
}

fn decode<K: FromStr>(list: &str, token: &str) -> Option<K> {
    if token.len() > TOKEN_LEN_MAX {
        return None;
    }
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (named, key) = text.split_once('\n')?;
    (named == list).then(|| key.parse().ok()).flatten()
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

fn bad_token() -> ApiError {
    let what = "is not a token of this list; start again without one";
    invalid("pageToken", what)
}

fn invalid(field: &str, what: impl Into<String>) -> ApiError {
    let path = FieldPath::root().key(field);
    Refusal::invalid(vec![Violation::new(path, ViolationKind::Invalid, what)]).into()
}

#[cfg(test)]
mod tests {
    use palisade_model::name::DisplayName;

    use super::*;

    fn ask(size: Option<&str>, token: Option<&str>) -> Option<PageRequest<DisplayName>> {
        request("profiles", size, token).ok()
    }

    #[test]
    fn a_token_goes_on_behind_its_key() {
        let token = token("profiles", Some("ü / x".to_owned()));
        let request = ask(None, Some(&token)).unwrap();
        assert_eq!(request.after.unwrap().as_str(), "ü / x");
        assert_eq!(super::token("profiles", None), "");
    }

    #[test]
    fn a_token_that_is_none_is_refused() {
        let foreign = token("runners", Some("x".to_owned()));
        let hollow = token("profiles", Some(String::new()));
        let long = "A".repeat(2000);
        for token in ["!", "AA", "zzzz", &foreign, &hollow, &long] {
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
