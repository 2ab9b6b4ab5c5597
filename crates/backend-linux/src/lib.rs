//! Sandboxes as containers on this Linux host.
//!
//! The only crate that may hold `unsafe` code, each block with its reason.
//! [`network`] gives a sandbox its addresses and keeps it within its policy;
//! [`dns`] looks names up for it.

pub mod dns;
mod netlink;
pub mod network;
