//! Sandboxes as containers on this Linux host.
//!
//! The only crate that may hold `unsafe` code, each block with its reason.
//! [`network`] gives a sandbox its addresses and keeps it within its policy.

pub mod network;
