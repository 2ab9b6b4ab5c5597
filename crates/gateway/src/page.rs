//! Pages of lists that go on behind a key.

use std::str::FromStr;

use palisade_store::PageSize;
use palisade_wire::page_token::Listing;

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

/// The key that a token leads behind; `None` at the beginning of the list.
pub(crate) fn after<K: FromStr>(listing: &Listing, token: &str) -> ApiResult<Option<K>> {
    let after = listing.after(token);
    after.map_err(|error| invalid("page_token", error.to_string()))
}
