//! The network's side of ports and addresses that lead to sandboxes.
//!
//! They are booked before a sandbox is connected, lead to it exactly while it is,
//! and are given back when it is disconnected, or when it never came to that.

use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;

use palisade_model::cidr::Cidr;
use palisade_model::id::SandboxId;
use palisade_model::policy::{Door, Standing};
use palisade_model::pool::Rooms;
use palisade_model::profile::Scope;
use tokio::sync::watch;
use tokio::time::Instant;

use super::error::{AttachError, DetachError};
use super::service::{self, Book, BookError, Booking, Place, Wish};
use super::{Network, lock};

/// Who has which ports and addresses. Locked after everything else.
#[derive(Debug)]
pub(super) struct Bookings {
    book: Mutex<Book>,
    /// The address of the host that clients are told, if there is one.
    node: Option<IpAddr>,
    /// The addresses of all pools.
    external: Vec<Cidr>,
    /// Tells that something was given back.
    returns: watch::Sender<u64>,
}

/// Where clients find a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) doors: Vec<Door>,
}

impl Bookings {
    pub(super) fn new(book: Book, node: Option<IpAddr>, external: Vec<Cidr>) -> Self {
        Self {
            book: Mutex::new(book),
            node,
            external,
            returns: watch::Sender::new(0),
        }
    }

    /// The addresses of all pools.
    pub(super) fn external(&self) -> &[Cidr] {
        &self.external
    }

    /// What a sandbox has.
    pub(super) fn of(&self, id: SandboxId) -> Option<Booking> {
        lock(&self.book).get(id).cloned()
    }

    /// Gives back what a sandbox has; does nothing if that is nothing.
    pub(super) fn release(&self, id: SandboxId) {
        if lock(&self.book).release(id, Instant::now()) {
            self.returns
                .send_modify(|count| *count = count.wrapping_add(1));
        }
    }
}

impl Network {
    /// Books ports or an address for a sandbox, or finds what it has already. They
    /// lead to it from when it is connected until it is disconnected.
    pub fn book(&self, id: SandboxId, wish: &Wish) -> Result<(), BookError> {
        // The host's own services keep their ports.
        let host = lock(&self.host);
        let is_free = |doors: &[Door]| {
            let free = || doors.iter().all(|door| service::is_free(*door));
            host.namespace.visit(free).unwrap_or(false)
        };
        lock(&self.bookings.book).enter(id, wish, Instant::now(), is_free)?;
        Ok(())
    }

    /// How much there is to be booked, and how much of it is or still rests.
    pub(crate) fn rooms(&self) -> Rooms {
        lock(&self.bookings.book).rooms(Instant::now())
    }

    /// The address and port that clients of a sandbox are told.
    pub fn service_address(&self, id: SandboxId) -> Option<SocketAddr> {
        self.bookings.of(id)?.address(self.node())
    }

    /// Every address and port at which a sandbox is found from outside.
    pub(crate) fn found_at(&self, id: SandboxId) -> Option<Found> {
        let booking = self.bookings.of(id)?;
        let doors = booking.node_doors();
        Some(match booking.place {
            Place::Node { .. } => Found {
                addresses: vec![self.node()],
                doors,
            },
            Place::External { addresses } => Found {
                addresses,
                doors: booking.doors,
            },
        })
    }

    /// The address of this host that clients are told. Without one that leads to the
    /// outside, only the host itself can be a client.
    pub(crate) fn node(&self) -> IpAddr {
        let own = || self.layout.host().v4.into();
        self.bookings.node.unwrap_or_else(own)
    }

    /// Changes whenever something that was booked is given back.
    pub(crate) fn returns(&self) -> watch::Receiver<u64> {
        self.bookings.returns.subscribe()
    }

    /// Has ports of the host lead to a sandbox that is connected, if it has some.
    pub(super) fn publish(&self, id: SandboxId, standing: &Standing) -> Result<(), AttachError> {
        let doors = published(standing, self.bookings.of(id).as_ref());
        if doors.is_empty() {
            return Ok(());
        }
        Ok(lock(&self.host).publish(&self.layout, &doors)?)
    }

    /// Has them lead there no more.
    pub(super) fn withdraw(&self, id: SandboxId) -> Result<(), DetachError> {
        let doors = self.bookings.of(id).map(|booking| booking.node_doors());
        match doors {
            Some(doors) if !doors.is_empty() => {
                Ok(lock(&self.host).withdraw(&self.layout, &doors)?)
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// The ports of the host that anybody may come to. Others are for sandboxes, which
/// never get to the host.
pub(super) fn published(standing: &Standing, booking: Option<&Booking>) -> Vec<Door> {
    let exposed = standing.exposed.as_ref();
    let is_public = exposed.is_some_and(|exposed| exposed.scope == Scope::Any);
    let booking = booking.filter(|_| is_public);
    booking.map_or_else(Vec::new, Booking::node_doors)
}
