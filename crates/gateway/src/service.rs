//! The services that clients call.

mod absent;
mod addressed;
mod budget;
mod discovery;
mod list;
mod pause;
mod raw;
mod repeat;
mod sandbox;
mod secrets;
mod start;
mod stop;

pub(crate) use discovery::Discovery;
pub(crate) use repeat::Repeats;
pub(crate) use sandbox::SandboxService;
pub(crate) use secrets::SecretStores;
pub(crate) use start::Admission;
