//! The network as a whole, in namespaces made for each test.

mod attaching;
mod changing;
mod closing;
mod cost;
mod crowding;
mod matrix;
mod peers;
mod probe;
mod reopening;
mod resolving;
mod services;
mod spoofing;
mod world;

pub(super) use world::alone;
