//! The network as a whole, in namespaces made for each test.

mod attaching;
mod probe;
mod resolving;
mod world;
