//! What protects the way between a runner and the agent of a sandbox.
//!
//! The Noise protocol `NNpsk0`: both ends know one key, which is of this agent
//! and of no other, and make new ones for each connection. Whoever does not know
//! the key cannot read, change or replay anything, and learns nothing from what
//! he recorded if he gets to know it later. What is not kept secret is how much
//! goes which way, and when.
//!
//! Pure: bytes go in and come out, and whoever calls moves them ([`Handshake`],
//! then [`Sealer`] and [`Opener`]). Invariant: a byte that comes out was sealed by
//! somebody with the key, in this connection, in this order, and nothing between
//! two of them is missing. That nothing is missing at the end is the matter of the
//! protocol inside, which says itself when it is over.

mod handshake;
mod record;

pub use handshake::{GREETING_BYTES, Handshake, KEY_BYTES};
pub use record::{Opener, PLAIN_BYTES_MAX, Sealer};

/// The other end does not know the key, or somebody is in between.
///
/// There is no more to it: what was received means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other end does not know the key, or what it sent was changed on the way")]
pub struct Broken;
