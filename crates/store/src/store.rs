//! The whole store, and what holds for all of it.

use palisade_model::clock::Timestamp;
use palisade_model::name::UserId;

use crate::change::Changes;
use crate::organization::Organizations;
use crate::profile::Profiles;
use crate::runner::Runners;
use crate::sandbox::Sandboxes;
use crate::secret::SecretStores;
use crate::snapshot::Snapshots;
use crate::token::Tokens;

/// Everything that Palisade remembers.
///
/// # Contract
///
/// Beside what each family promises:
///
/// * A call that returned is durable: what it did survives the end of the
///   process, however that comes.
/// * A call is one transaction. It takes effect whole or not at all, and no
///   reader sees half of it.
/// * A read sees every call that returned before it began.
/// * Each call names an organization and touches nothing of another one. What
///   belongs to another is answered exactly like what does not exist. The
///   exceptions say so: finding a token, and the upkeep of the whole store.
/// * A call whose future is dropped, or that fails with
///   [`Fault::Unavailable`](crate::Fault::Unavailable), may have taken effect,
///   whole. All others have not.
/// * Calls may come from many tasks and, where the database allows, from many
///   processes. They have some order in which all of this holds.
pub trait Store:
    Organizations + Tokens + Profiles + Runners + Sandboxes + Snapshots + SecretStores + Changes
{
}

impl<
    T: Organizations + Tokens + Profiles + Runners + Sandboxes + Snapshots + SecretStores + Changes,
> Store for T
{
}

/// Who made a change, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The user.
    pub by: UserId,
    /// The instant, from the caller's clock.
    pub at: Timestamp,
}
