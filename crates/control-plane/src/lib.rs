//! Profiles, runners and bindings: the rules about them, and REST.
//!
//! A request is parsed at the edge, judged whole against what the store holds,
//! and written in one transaction; who else must know learns it from the
//! store's feed of changes. Nothing here places or runs a sandbox. The
//! organization of a request is always that of its token.

mod bindings;
mod changes;
mod deletion;
mod denials;
mod error;
mod etag;
mod guardrails;
mod http;
mod live;
mod page;
mod placing;
mod plane;
mod profiles;
mod quotas;
mod runners;
mod usage;

pub use deletion::Deletions;
pub use http::{OpenApiDocument, router};
pub use live::{NoRunners, RunnerLive};
pub use plane::{ControlPlane, Limits};
