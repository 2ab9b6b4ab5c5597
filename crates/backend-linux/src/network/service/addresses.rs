//! External addresses, one of each version for a sandbox.
//!
//! Pure, as the book is.

use std::net::IpAddr;
use std::time::Duration;

use palisade_model::cidr::Cidr;
use palisade_model::pool::Room;
use tokio::time::Instant;

use super::book::BookError;
use super::settings::ExternalPool;
use crate::network::layout::Slot;
use crate::network::pool::{Pool, PoolExhausted};

/// The addresses of a pool, those of one version at a time.
#[derive(Debug)]
pub(super) struct Addresses {
    pub(super) name: String,
    versions: Vec<Version>,
}

#[derive(Debug)]
struct Version {
    ranges: Vec<Cidr>,
    pool: Pool,
}

impl Addresses {
    pub(super) fn new(pool: &ExternalPool, rest: Duration, given: &[IpAddr], start: u32) -> Self {
        let versions = [true, false].into_iter().filter_map(|is_ipv4| {
            let ranges = pool.ranges.iter().copied();
            let ranges = ranges.filter(|range| range.is_ipv4() == is_ipv4);
            let ranges = ranges.collect::<Vec<_>>();
            let capacity = ranges.iter().map(|range| count(*range)).sum();
            let taken = given.iter().filter_map(|address| slot(&ranges, *address));
            let pool = Pool::new(capacity, rest, taken.collect(), start);
            (!ranges.is_empty()).then_some(Version { ranges, pool })
        });
        Self {
            name: pool.name.to_string(),
            versions: versions.collect(),
        }
    }

    /// One address of each version, or none at all.
    pub(super) fn take(&mut self, now: Instant) -> Result<Vec<IpAddr>, BookError> {
        let mut addresses = Vec::with_capacity(self.versions.len());
        for version in &mut self.versions {
            match version.take(now) {
                Ok(address) => addresses.extend(address),
                Err(exhausted) => {
                    let error = version.exhaustion(&self.name, exhausted);
                    self.put_back(&addresses);
                    return Err(error);
                }
            }
        }
        Ok(addresses)
    }

    /// How many there are, and how many cannot be had now: of the version of which fewest are left.
    pub(super) fn room(&self, now: Instant) -> Room {
        let rooms = self.versions.iter().map(|version| version.pool.room(now));
        rooms.min_by_key(|room| room.free()).unwrap_or_default()
    }

    /// Nobody was told of them, so that they need no rest.
    fn put_back(&mut self, addresses: &[IpAddr]) {
        for version in &mut self.versions {
            for slot in version.slots(addresses) {
                version.pool.put_back(slot);
            }
        }
    }

    /// Gives back those of some addresses that are from here.
    pub(super) fn give_back(&mut self, addresses: &[IpAddr], now: Instant) {
        for version in &mut self.versions {
            for slot in version.slots(addresses) {
                version.pool.give_back(slot, now);
            }
        }
    }
}

impl Version {
    fn take(&mut self, now: Instant) -> Result<Option<IpAddr>, PoolExhausted> {
        let slot = self.pool.take(now)?;
        Ok(address(&self.ranges, slot))
    }

    fn slots(&self, addresses: &[IpAddr]) -> Vec<Slot> {
        let slots = addresses.iter();
        slots
            .filter_map(|address| slot(&self.ranges, *address))
            .collect()
    }

    fn exhaustion(&self, pool: &str, exhausted: PoolExhausted) -> BookError {
        let is_ipv4 = self.ranges.iter().any(|range| range.is_ipv4());
        BookError::AddressesExhausted {
            pool: pool.to_owned(),
            version: if is_ipv4 { 4 } else { 6 },
            count: exhausted.capacity,
            resting: exhausted.resting,
        }
    }
}

/// How many addresses a range has; ranges are small.
fn count(range: Cidr) -> u32 {
    let bits = if range.is_ipv4() { 32 } else { 128 };
    1 << (bits - range.prefix_len()).min(31)
}

/// The place of an address among all of some ranges.
fn slot(ranges: &[Cidr], address: IpAddr) -> Option<Slot> {
    let mut before = 0;
    for range in ranges {
        if range.contains(address) {
            let offset = number(address).checked_sub(number(range.first()))?;
            return Some(Slot(before + u32::try_from(offset).ok()?));
        }
        before += count(*range);
    }
    None
}

/// Undoes [`slot`].
fn address(ranges: &[Cidr], Slot(mut place): Slot) -> Option<IpAddr> {
    for range in ranges {
        if place < count(*range) {
            return Some(nth(*range, place));
        }
        place -= count(*range);
    }
    None
}

/// An address of a range by its number, which must be below [`count`].
fn nth(range: Cidr, place: u32) -> IpAddr {
    let bits = number(range.first()) + u128::from(place);
    match range.first() {
        IpAddr::V4(first) => {
            let low = u32::try_from(bits).map_or(first, Into::into);
            IpAddr::V4(low)
        }
        IpAddr::V6(_) => IpAddr::V6(bits.into()),
    }
}

/// Every address of a range, which must be small.
pub(in crate::network) fn addresses(range: Cidr) -> impl Iterator<Item = IpAddr> {
    (0..count(range)).map(move |place| nth(range, place))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}
