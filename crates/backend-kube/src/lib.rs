//! Sandboxes as pods of a Kubernetes cluster.
//!
//! [`manifest`] makes the objects of a sandbox from its launch, and [`view`] says
//! where a sandbox is from what the cluster tells of its pod; both are pure. What
//! is particular to a cluster is in [`settings`], and what things are called there
//! in [`naming`].

//! [`KubeBackend`] watches the cluster and has a task for each sandbox that acts.

mod address;
mod api;
mod attach;
mod backend;
mod cache;
mod connect;
mod direct;
mod driver;
pub mod end;
mod enforcement;
mod facts;
mod hints;
mod lease;
pub mod manifest;
mod namespaces;
pub mod naming;
mod probe;
mod refusal;
mod right;
mod sandbox;
mod secrets;
pub mod settings;
mod shared;
mod slim;
mod usage;
pub mod view;
mod words;

pub use backend::{KubeBackend, OpenError};
pub use connect::{Cluster, ConnectError};
pub use lease::{Lease, LeaseError};
