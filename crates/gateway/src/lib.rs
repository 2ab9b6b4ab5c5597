//! Admits sandboxes and talks to the runners that run them.
//!
//! A request is parsed at the edge, placed by the pure function of the model
//! over a picture of the fleet, recorded in the store, and carried out by a
//! runner that dialled in. Nothing here runs a sandbox, and nothing here is the
//! only place that knows of one: what a process that ends forgets, the next one
//! reads from the store and hears from the runners.

mod access;
mod auth;
mod bulk;
mod config;
mod context;
mod data;
mod error;
mod follow;
mod gateway;
mod guard;
mod hex;
mod hub;
mod page;
mod picture;
mod queue;
mod rest;
mod service;
mod snapshots;
mod tools;
mod upkeep;
mod visits;

pub use config::{GatewayConfig, SessionLimits};
pub use gateway::{Gateway, LiveView, TaskError};
pub use snapshots::{BadBucket, Buckets, SnapshotSettings};
