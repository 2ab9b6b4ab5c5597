//! The domain of Palisade as pure values and functions.
//!
//! Nothing here does I/O, reads a clock or knows a protocol. Values are valid
//! by construction; decisions are functions of their arguments. The only JSON
//! here is data: patches and the structured form in which a spec is layered.

pub mod cidr;
pub mod clock;
pub mod denial;
pub mod document;
pub mod id;
pub mod image;
pub mod label;
pub mod lint;
pub mod merge;
pub mod name;
pub mod namespace;
pub mod placement;
pub mod pod;
pub mod policy;
pub mod pool;
pub mod profile;
pub mod quantity;
pub mod quota;
pub mod reason;
pub mod refusal;
pub mod resolve;
pub mod runner;
pub mod sandbox;
pub mod secret;
pub mod snapshot;
pub mod template;
pub mod tenant;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod token;
pub mod violation;
