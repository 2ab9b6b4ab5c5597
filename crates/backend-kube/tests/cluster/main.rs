//! The backend on a real cluster, which `make test-kube` brings up.
//!
//! Every test has an instance of its own in the one cluster, so that they run
//! side by side.

mod conformance;
mod crashes;
mod faults;
mod lease;
mod namespaces;
mod network;
mod node;
mod objects;
mod proxy;
mod support;
