//! Whether external addresses can be those of sandboxes on this host.
//!
//! Pure. The host leads them to the router, so that none of them may be its own.

use std::net::IpAddr;

use palisade_model::cidr::Cidr;

use super::host::Survey;
use super::layout::Layout;
use super::service::{Booking, ExternalPools, Place};

/// Why they cannot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExternalError {
    /// The host would lose an address of its own.
    #[error(
        "the address pool {range} holds {address}, which this host has itself; \
         take it out of --address-pool"
    )]
    Own {
        /// The range.
        range: Cidr,
        /// The address.
        address: Cidr,
    },
    /// Sandboxes have these addresses among each other.
    #[error("the address pool {range} overlaps {pool}, which sandboxes have addresses from")]
    OfSandboxes {
        /// The range.
        range: Cidr,
        /// The pool of the sandboxes.
        pool: Cidr,
    },
    /// Nothing on the host would know what to do with them.
    #[error("the address pool {range} is of version 6, which this host does not know")]
    NoV6 {
        /// The range.
        range: Cidr,
    },
    /// The pools were changed while sandboxes have addresses from them.
    #[error(
        "a running sandbox has the address {address}, whose address pool is no longer \
         configured; remove the sandbox first, or keep the pool"
    )]
    Given {
        /// The address.
        address: IpAddr,
    },
}

/// The ranges of all pools, if sandboxes can have addresses from them here.
pub(super) fn check(
    pools: &ExternalPools,
    layout: &Layout,
    survey: &Survey,
) -> Result<Vec<Cidr>, ExternalError> {
    let own = survey.host_addresses();
    for range in pools.ranges() {
        if !range.is_ipv4() && layout.pool6.is_none() {
            return Err(ExternalError::NoV6 { range });
        }
        let mut sandboxes = layout.pools();
        if let Some(pool) = sandboxes.find(|pool| pool.covers(range) || range.covers(*pool)) {
            return Err(ExternalError::OfSandboxes { range, pool });
        }
        if let Some(address) = own.iter().find(|address| range.covers(**address)) {
            let address = *address;
            return Err(ExternalError::Own { range, address });
        }
    }
    Ok(pools.ranges().collect())
}

/// Refuses pools without the addresses that sandboxes have already.
pub(super) fn check_given<'a>(
    pools: &ExternalPools,
    bookings: impl Iterator<Item = &'a Booking>,
) -> Result<(), ExternalError> {
    let given = bookings.flat_map(|booking| match &booking.place {
        Place::External { addresses } => addresses.as_slice(),
        Place::Node { .. } => &[],
    });
    let is_lost = |address: &&IpAddr| !pools.ranges().any(|range| range.contains(**address));
    match given.copied().find(|address| is_lost(&address)) {
        None => Ok(()),
        Some(address) => Err(ExternalError::Given { address }),
    }
}
