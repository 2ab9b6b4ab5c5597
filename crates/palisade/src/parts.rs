//! The parts of the platform, each put together from settings.

pub(crate) mod bootstrap;
pub(crate) mod cluster;
pub(crate) mod images;
pub(crate) mod ingress;
pub(crate) mod metrics;
pub(crate) mod platform;
pub(crate) mod runner;
pub(crate) mod secrets;
pub(crate) mod snapshots;
pub(crate) mod store;
pub(crate) mod supervisor;
