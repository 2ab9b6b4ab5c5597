//! The network as a whole, in namespaces made for each test.

mod attaching;
mod changing;
mod closing;
mod crowding;
mod probe;
mod reopening;
mod resolving;
mod spoofing;
mod world;
