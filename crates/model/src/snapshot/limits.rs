//! How much may be kept in snapshots, and what one more would pass.
//!
//! The limits of an organization are those of its quota, and where that says
//! nothing those of the server. A user is limited by the quota alone.

use crate::name::UserId;
use crate::quota::{Quota, Scope};

/// The most that an organization may have of snapshots unless its quota says
/// otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotLimits {
    /// Snapshots, but for those that failed: they hold nothing.
    pub count: u64,
    /// Bytes of their archives together.
    pub bytes: u64,
    /// Snapshots that are being taken at once; no quota changes it.
    pub in_flight: u64,
    /// Records of snapshots that failed; the oldest go, and nothing is refused for them.
    pub failed: u64,
}

/// What somebody has of snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// How many, but for those that failed.
    pub count: u64,
    /// Bytes of their archives.
    pub bytes: u64,
}

/// A limit that one more snapshot would pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Beyond {
    /// As many snapshots as there may be.
    #[error(
        "the {} has {used} snapshots and may have {allowed}; delete one, or have the limit raised",
        .scope.as_str()
    )]
    Count {
        /// Whose limit.
        scope: Scope,
        /// How many there are.
        used: u64,
        /// How many there may be.
        allowed: u64,
    },
    /// As many bytes as there may be.
    #[error(
        "the snapshots of the {} hold {used} bytes and may hold {allowed}, and this one has {asked}; \
         delete one, or have the limit raised",
        .scope.as_str()
    )]
    Bytes {
        /// Whose limit.
        scope: Scope,
        /// How many there are.
        used: u64,
        /// How many more there would be.
        asked: u64,
        /// How many there may be.
        allowed: u64,
    },
    /// As many as may be taken at once.
    #[error("{used} snapshots of the organization are being taken; {allowed} are allowed at once")]
    InFlight {
        /// How many there are.
        used: u64,
        /// How many there may be.
        allowed: u64,
    },
}

impl SnapshotLimits {
    /// How many snapshots there may be, if that is limited.
    pub fn count_of(&self, quota: &Quota, scope: Scope, owner: Option<&UserId>) -> Option<u64> {
        match scope {
            Scope::Organization => {
                let own = quota.organization.snapshots.map(u64::from);
                Some(own.unwrap_or(self.count))
            }
            Scope::User => quota.of_user(owner?).snapshots.map(u64::from),
        }
    }

    /// How many bytes they may hold, if that is limited.
    pub fn bytes_of(&self, quota: &Quota, scope: Scope, owner: Option<&UserId>) -> Option<u64> {
        match scope {
            Scope::Organization => Some(quota.organization.snapshot_bytes.unwrap_or(self.bytes)),
            Scope::User => quota.of_user(owner?).snapshot_bytes,
        }
    }

    /// Whether one more snapshot of a user may be taken.
    pub fn check_count(
        &self,
        quota: &Quota,
        owner: Option<&UserId>,
        kept: impl Fn(Scope) -> Kept,
    ) -> Result<(), Beyond> {
        for scope in Scope::ALL {
            let used = kept(scope).count;
            if let Some(allowed) = self.count_of(quota, scope, owner)
                && used >= allowed
            {
                return Err(Beyond::Count {
                    scope,
                    used,
                    allowed,
                });
            }
        }
        Ok(())
    }

    /// Whether a snapshot of a user may hold so many bytes.
    pub fn check_bytes(
        &self,
        quota: &Quota,
        (owner, asked): (Option<&UserId>, u64),
        kept: impl Fn(Scope) -> Kept,
    ) -> Result<(), Beyond> {
        for scope in Scope::ALL {
            let used = kept(scope).bytes;
            if let Some(allowed) = self.bytes_of(quota, scope, owner)
                && used.saturating_add(asked) > allowed
            {
                return Err(Beyond::Bytes {
                    scope,
                    used,
                    asked,
                    allowed,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::Limits;

    const SERVER: SnapshotLimits = SnapshotLimits {
        count: 10,
        bytes: 1_000,
        in_flight: 2,
        failed: 5,
    };

    fn ada() -> UserId {
        "ada".parse().unwrap()
    }

    fn quota(organization: Limits, each_user: Limits) -> Quota {
        Quota {
            organization,
            each_user,
            ..Quota::default()
        }
    }

    fn limits(snapshots: u32, bytes: u64) -> Limits {
        Limits {
            snapshots: Some(snapshots),
            snapshot_bytes: Some(bytes),
            ..Limits::default()
        }
    }

    fn has(count: u64, bytes: u64) -> impl Fn(Scope) -> Kept {
        move |_| Kept { count, bytes }
    }

    #[test]
    fn without_a_quota_the_limits_of_the_server_hold_for_the_organization() {
        let none = Quota::default();
        let user = ada();
        assert_eq!(SERVER.check_count(&none, Some(&user), has(9, 0)), Ok(()));
        let beyond = SERVER.check_count(&none, Some(&user), has(10, 0));
        let expected = Beyond::Count {
            scope: Scope::Organization,
            used: 10,
            allowed: 10,
        };
        assert_eq!(beyond, Err(expected));
        let beyond = SERVER.check_bytes(&none, (Some(&user), 101), has(0, 900));
        assert!(matches!(beyond, Err(Beyond::Bytes { asked: 101, .. })));
        assert_eq!(
            SERVER.check_bytes(&none, (Some(&user), 100), has(0, 900)),
            Ok(())
        );
    }

    #[test]
    fn a_quota_of_the_organization_stands_in_their_place_in_both_directions() {
        let user = ada();
        let more = quota(limits(20, 2_000), Limits::default());
        assert_eq!(SERVER.check_count(&more, Some(&user), has(19, 0)), Ok(()));
        let less = quota(limits(1, 5), Limits::default());
        assert!(SERVER.check_count(&less, Some(&user), has(1, 0)).is_err());
        assert!(
            SERVER
                .check_bytes(&less, (Some(&user), 6), has(0, 0))
                .is_err()
        );
    }

    #[test]
    fn a_limit_of_the_user_holds_as_well_and_says_so() {
        let user = ada();
        let each = quota(Limits::default(), limits(1, 50));
        let beyond = SERVER
            .check_count(&each, Some(&user), has(1, 0))
            .unwrap_err();
        assert!(
            beyond
                .to_string()
                .starts_with("the user has 1 snapshots and may have 1")
        );
        let beyond = SERVER
            .check_bytes(&each, (Some(&user), 20), has(0, 40))
            .unwrap_err();
        let expected = Beyond::Bytes {
            scope: Scope::User,
            used: 40,
            asked: 20,
            allowed: 50,
        };
        assert_eq!(beyond, expected);
        // Whose it was is not known of all: they count for the organization alone.
        assert_eq!(SERVER.check_count(&each, None, has(1, 0)), Ok(()));
    }
}
