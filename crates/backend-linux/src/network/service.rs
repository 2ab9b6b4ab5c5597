//! What leads from the addresses of the host, and from external ones, to ports of
//! sandboxes.
//!
//! A `NodePort` is a port of every address of the host; a `LoadBalancer` has an
//! address of its own, out of a pool. Either is booked for a sandbox before it is
//! connected, is in the router's table in the transaction that admits the sandbox,
//! and leaves with it. Nothing is remembered: the next run of a runner reads from
//! the table which sandbox has what.
//!
//! Where something leads decides nothing: whoever comes this way has to be let in
//! by a door of the sandbox, like everybody else.

mod addresses;
mod book;
mod front;
mod ports;
mod probe;
mod settings;

use palisade_model::policy::Door;

pub use book::BookError;
pub use settings::{
    ExternalPool, ExternalPools, ExternalPoolsError, NodePorts, NodePortsError, PoolName,
    PoolNameError, Services,
};

pub(crate) use book::{Booking, Place};

pub(super) use addresses::addresses;
pub(super) use book::Book;
pub(super) use front::{Front, members};
pub(super) use probe::is_free;

/// What a sandbox wants in front of its doors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// What of.
    pub kind: Kind,
    /// Its doors, in the order in which they were asked for.
    pub doors: Vec<Door>,
}

/// What leads to a sandbox besides its own addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ports of the host.
    NodePort,
    /// An address of its own, from this pool or from the usual one.
    LoadBalancer {
        /// The name of the pool.
        pool: Option<String>,
    },
}
