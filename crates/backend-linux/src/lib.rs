//! Sandboxes as containers on this Linux host.
//!
//! The only crate that may hold `unsafe` code, each block with its reason.
//! [`network`] gives a sandbox its addresses and keeps it within its policy;
//! [`dns`] looks names up for it.

mod attach;
mod backend;
mod cgroup;
mod config;
mod container;
pub mod dns;
mod driver;
mod file_system;
mod ingress;
pub mod init_binary;
pub mod init_client;
mod init_config;
mod laps;
mod machine;
mod netlink;
pub mod network;
mod open;
mod pause;
mod program;
mod records;
mod refusal;
mod room;
mod sandbox;
mod secrets;
mod services;
mod shared;
mod state;

pub use backend::LinuxBackend;
pub use cgroup::CgroupError;
pub use config::{Handler, HandlerKind, Https, LinuxConfig};
pub use container::ProbeError;
pub use ingress::IngressError;
pub use open::OpenError;
