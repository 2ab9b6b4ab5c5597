//! The backend on a real cluster.
//!
//! `make test-kube` brings a whole node up for all of them. `make test-kube-api`
//! brings an API server up for those that need no more; a stand-in says there what
//! a node would. Every test has an instance of its own in the one cluster, so that
//! they run side by side, but for those that stop parts of it.

mod addresses;
mod conformance;
mod crashes;
mod direct;
mod faults;
mod fields;
mod figures;
mod lease;
mod many;
mod namespaces;
mod network;
mod node;
mod objects;
mod outages;
mod parts;
mod profile;
mod proxy;
mod second_node;
mod stand_in;
mod support;
