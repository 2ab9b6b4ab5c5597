//! What Palisade remembers, and what it promises about it.
//!
//! [`Store`] is the seam: seven families of records and the feed of their
//! changes, each a trait whose contract is written sentence by sentence. This
//! crate knows no protocol and decides nothing about profiles, placement or
//! rights; it keeps what it is given, whole, and refuses what would contradict
//! what it already keeps. It reads no clock and makes no ids: times and ids
//! arrive as values.

mod change;
#[cfg(feature = "testing")]
pub mod conformance;
mod error;
mod form;
mod organization;
mod page;
pub mod profile;
mod reference;
pub mod runner;
pub mod sandbox;
pub mod secret;
pub mod snapshot;
mod sqlite;
mod store;
mod token;

pub use change::{BadPlace, Change, Changes, FeedError, OwnChange, Place, Sequence, Subject};
pub use error::{Cause, Fault, GetError};
pub use organization::{CreateOrganizationError, Organizations, UpdateQuotaError};
pub use page::{Page, PageRequest, PageSize};
pub use profile::Profiles;
pub use reference::{ProfileRef, RunnerRef};
pub use runner::Runners;
pub use sandbox::Sandboxes;
pub use secret::SecretStores;
pub use snapshot::Snapshots;
pub use sqlite::SqliteStore;
pub use store::{Stamp, Store};
pub use token::{CreateTokenError, Tokens};
