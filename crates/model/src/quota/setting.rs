//! Setting the limits of users within those of their organization.
//!
//! Both hold for every start, so that limits of a user beyond those of the
//! organization would do no harm; they are refused because whoever sets them
//! means them, and would not get them. Who may set what is not decided here.

use super::{Limits, OWN_LIMITS_MAX, Quota};
use crate::name::UserId;
use crate::quantity::Quantity;
use crate::snapshot::SnapshotLimits;
use crate::tenant::SandboxQuota;

/// Users whose limits are set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Every user that has none of his own.
    EachUser,
    /// This one alone.
    User(UserId),
}

/// As many users have limits of their own as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{OWN_LIMITS_MAX} users have limits of their own, and no more can; take those of another user away"
)]
pub struct TooManyUsers;

/// A limit of a user beyond that of the organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wider {
    /// The limit, as programs compare it.
    pub limit: &'static str,
    /// What is asked for.
    pub asked: String,
    /// What the organization may have.
    pub allowed: String,
}

impl Quota {
    /// The quota with the limits of somebody replaced, or taken away from a user;
    /// all others stay.
    pub fn with(mut self, whose: &Whose, limits: Option<Limits>) -> Result<Self, TooManyUsers> {
        match (whose, limits) {
            (Whose::EachUser, limits) => self.each_user = limits.unwrap_or_default(),
            (Whose::User(user), None) => {
                self.users.remove(user);
            }
            (Whose::User(user), Some(limits)) => {
                let is_known = self.users.contains_key(user);
                if !is_known && self.users.len() >= OWN_LIMITS_MAX {
                    return Err(TooManyUsers);
                }
                self.users.insert(user.clone(), limits);
            }
        }
        Ok(self)
    }

    /// What of these limits is beyond what the organization may have; `server` is
    /// what holds where its quota says nothing.
    pub fn wider(&self, limits: &Limits, server: Option<&SnapshotLimits>) -> Vec<Wider> {
        let Limits {
            sandbox: SandboxQuota { cpu, memory, gpu },
            sandboxes,
            starts_per_minute,
            snapshots,
            snapshot_bytes,
        } = limits;
        let own = &self.organization;
        let kept_max = own.snapshots.map(u64::from);
        let kept_max = kept_max.or(server.map(|server| server.count));
        let bytes_max = own.snapshot_bytes.or(server.map(|server| server.bytes));
        let amounts = [
            amount("cpu", cpu.as_ref(), own.sandbox.cpu.as_ref()),
            amount("memory", memory.as_ref(), own.sandbox.memory.as_ref()),
        ];
        let counts = [
            count("gpus", *gpu, own.sandbox.gpu),
            count("sandboxes", *sandboxes, own.sandboxes),
            count(
                "starts_per_minute",
                *starts_per_minute,
                own.starts_per_minute,
            ),
            count("snapshots", snapshots.map(u64::from), kept_max),
            count("snapshot_bytes", *snapshot_bytes, bytes_max),
        ];
        amounts.into_iter().chain(counts).flatten().collect()
    }
}

fn amount(
    limit: &'static str,
    asked: Option<&Quantity>,
    allowed: Option<&Quantity>,
) -> Option<Wider> {
    let (asked, allowed) = asked.zip(allowed)?;
    (asked > allowed).then(|| Wider {
        limit,
        asked: asked.to_string(),
        allowed: allowed.to_string(),
    })
}

fn count<T: Ord + ToString>(
    limit: &'static str,
    asked: Option<T>,
    allowed: Option<T>,
) -> Option<Wider> {
    let (asked, allowed) = asked.zip(allowed)?;
    (asked > allowed).then(|| Wider {
        limit,
        asked: asked.to_string(),
        allowed: allowed.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_most(sandboxes: u32) -> Limits {
        Limits {
            sandboxes: Some(sandboxes),
            ..Limits::default()
        }
    }

    fn user(name: &str) -> Whose {
        Whose::User(name.parse().unwrap())
    }

    #[test]
    fn the_limits_of_one_are_replaced_and_those_of_others_stay() {
        let quota = Quota {
            organization: at_most(9),
            ..Quota::default()
        };
        let quota = quota.with(&Whose::EachUser, Some(at_most(3))).unwrap();
        let quota = quota.with(&user("ada"), Some(at_most(5))).unwrap();
        assert_eq!(quota.organization, at_most(9));
        assert_eq!(quota.of_user(&"ada".parse().unwrap()), &at_most(5));
        assert_eq!(quota.of_user(&"bob".parse().unwrap()), &at_most(3));
        let quota = quota.with(&user("ada"), None).unwrap();
        assert_eq!(quota.of_user(&"ada".parse().unwrap()), &at_most(3));
        let quota = quota.with(&Whose::EachUser, None).unwrap();
        assert_eq!(quota.each_user, Limits::default());
    }

    #[test]
    fn the_number_of_users_with_limits_of_their_own_is_bounded() {
        let mut quota = Quota::default();
        for number in 0..OWN_LIMITS_MAX {
            let whose = user(&format!("user-{number}"));
            quota = quota.with(&whose, Some(at_most(1))).unwrap();
        }
        let more = quota.clone().with(&user("one-more"), Some(at_most(1)));
        assert_eq!(more, Err(TooManyUsers));
        let known = quota.with(&user("user-0"), Some(at_most(2)));
        assert!(known.is_ok());
    }

    #[test]
    fn what_is_beyond_the_organization_is_told_limit_by_limit() {
        let sized = |cpu: &str, memory: &str, most: u32| Limits {
            sandbox: SandboxQuota {
                cpu: Some(cpu.parse().unwrap()),
                memory: Some(memory.parse().unwrap()),
                gpu: Some(most),
            },
            sandboxes: Some(most),
            starts_per_minute: Some(most),
            snapshots: Some(most),
            snapshot_bytes: Some(most.into()),
        };
        let quota = Quota {
            organization: sized("2", "4Gi", 5),
            ..Quota::default()
        };
        assert_eq!(quota.wider(&sized("2000m", "4096Mi", 5), None), []);
        assert_eq!(quota.wider(&Limits::default(), None), []);
        let wider = quota.wider(&sized("2500m", "5Gi", 6), None);
        let told = wider
            .iter()
            .map(|it| (it.limit, it.asked.as_str(), it.allowed.as_str()));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                ("cpu", "2500m", "2"),
                ("memory", "5Gi", "4Gi"),
                ("gpus", "6", "5"),
                ("sandboxes", "6", "5"),
                ("starts_per_minute", "6", "5"),
                ("snapshots", "6", "5"),
                ("snapshot_bytes", "6", "5"),
            ]
        );
        // Where nothing is limited, anything may be.
        assert_eq!(Quota::default().wider(&sized("99", "9Ti", 9), None), []);
    }

    #[test]
    fn where_the_quota_says_nothing_about_snapshots_the_server_does() {
        let server = SnapshotLimits {
            count: 10,
            bytes: 100,
            in_flight: 1,
            failed: 1,
        };
        let asked = Limits {
            snapshots: Some(11),
            snapshot_bytes: Some(100),
            ..Limits::default()
        };
        let wider = Quota::default().wider(&asked, Some(&server));
        let expected = Wider {
            limit: "snapshots",
            asked: "11".to_owned(),
            allowed: "10".to_owned(),
        };
        assert_eq!(wider, [expected]);
    }
}
