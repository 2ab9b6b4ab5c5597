//! The network as a whole, in namespaces made for each test.

mod attaching;
mod changing;
mod closing;
mod cost;
mod crowding;
mod incoming;
mod intruding;
mod leaving;
mod matrix;
mod peers;
mod probe;
mod raw;
mod reopening;
mod resolving;
mod services;
mod spoofing;
mod throughput;
mod world;

pub(super) use world::alone;
