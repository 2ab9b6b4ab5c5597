//! Pages of lists that go on behind an id.
//!
//! A token is opaque to clients. It names what to go on behind, so that paging is
//! stable while things come and go; its beginning says which list it belongs to.

use palisade_store::PageSize;
use uuid::Uuid;

use crate::error::{ApiResult, invalid};

/// How many are wanted.
pub(crate) fn size(wanted: i32) -> ApiResult<PageSize> {
    match usize::try_from(wanted) {
        // Clients that name no size get the largest page.
        Ok(0) => Ok(PageSize::MAX),
        Ok(size) => Ok(PageSize::clamped(size)),
        Err(_) => Err(invalid(
            "page_size",
            format!("is {wanted}; it must not be negative"),
        )),
    }
}

/// The token that leads behind an id.
pub(crate) fn token(prefix: &str, after: Uuid) -> String {
    format!("{prefix}{}", after.simple())
}

/// The id that a token leads behind; `None` at the beginning of the list.
pub(crate) fn after(prefix: &str, token: &str) -> ApiResult<Option<Uuid>> {
    if token.is_empty() {
        return Ok(None);
    }
    let id = token.strip_prefix(prefix);
    let id = id.and_then(|id| Uuid::try_parse(id).ok());
    id.map(Some)
        .ok_or_else(|| invalid("page_token", "is not a token that this server gave out"))
}
