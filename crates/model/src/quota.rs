//! How much an organization and its users may have.
//!
//! Limited is how large one sandbox is, how many live at once, how many are
//! started within a minute, and what is kept in snapshots. Each is limited for the organization as
//! a whole, and for every user of it; a user may have limits of his own in the
//! place of those for every user. What is absent is not limited.
//!
//! Pure: whoever counts says what there is, and [`Quota::check`] decides about
//! starts. Snapshots are decided about in [`crate::snapshot::SnapshotLimits`].

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::name::UserId;
use crate::quantity::Quantity;
use crate::reason::Reason;
use crate::refusal::Refusal;
use crate::sandbox::Owner;
use crate::snapshot::Kept;
use crate::tenant::SandboxQuota;

mod setting;

pub use setting::{TooManyUsers, Whose, Wider};

/// The time in which starts are counted.
pub const RATE_WINDOW: Duration = Duration::from_mins(1);

/// The most users with limits of their own in one organization.
pub const OWN_LIMITS_MAX: usize = 1_000;

/// Everything that is limited in an organization.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quota {
    /// For all users together.
    pub organization: Limits,
    /// For each user.
    pub each_user: Limits,
    /// For these users in the place of that.
    pub users: BTreeMap<UserId, Limits>,
}

/// What is limited for somebody; absent means no limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// The largest sandbox.
    pub sandbox: SandboxQuota,
    /// Sandboxes that live at once.
    pub sandboxes: Option<u32>,
    /// Sandboxes that are started within [`RATE_WINDOW`].
    pub starts_per_minute: Option<u32>,
    /// Snapshots, whatever their state.
    pub snapshots: Option<u32>,
    /// Bytes of the archives of snapshots together.
    pub snapshot_bytes: Option<u64>,
}

/// What is counted of somebody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Sandboxes that live now.
    pub sandboxes: u64,
    /// Sandboxes that were started within [`RATE_WINDOW`].
    pub starts: u64,
    /// Snapshots, if somebody looked.
    pub kept: Kept,
}

/// What there is when somebody asks for one more sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the organization.
    pub organization: Counted,
    /// Of the user.
    pub user: Counted,
}

/// Whose limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// That of the organization.
    Organization,
    /// That of the user.
    User,
}

impl Scope {
    /// Both, the wider one first.
    pub const ALL: [Self; 2] = [Self::Organization, Self::User];

    /// The scope as programs compare it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::User => "user",
        }
    }
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limited {
    /// Sandboxes that live at once.
    Sandboxes,
    /// Starts within a minute.
    StartsPerMinute,
}

impl Limited {
    /// The limit as programs compare it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sandboxes => "sandboxes",
            Self::StartsPerMinute => "starts_per_minute",
        }
    }
}

/// A limit that one more sandbox would pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} of the {} are used up: {used} of {allowed}", .limited.as_str(), .scope.as_str())]
pub struct Exceeded {
    /// Whose limit.
    pub scope: Scope,
    /// Which limit.
    pub limited: Limited,
    /// How many there are.
    pub used: u64,
    /// How many there may be.
    pub allowed: u32,
    /// When there will be room if nothing else is started; `None` if that hangs
    /// on somebody's doing.
    pub room_at: Option<Timestamp>,
}

impl Quota {
    /// The limits of one user.
    pub fn of_user(&self, user: &UserId) -> &Limits {
        self.users.get(user).unwrap_or(&self.each_user)
    }

    /// The limits of the organization, or of one user of it.
    pub fn of(&self, scope: Scope, user: &UserId) -> &Limits {
        match scope {
            Scope::Organization => &self.organization,
            Scope::User => self.of_user(user),
        }
    }

    /// The largest sandbox that a user may start: both limits hold.
    pub fn largest_sandbox(&self, user: &UserId) -> SandboxQuota {
        let (all, own) = (&self.organization.sandbox, &self.of_user(user).sandbox);
        SandboxQuota {
            cpu: lower(all.cpu.as_ref(), own.cpu.as_ref()),
            memory: lower(all.memory.as_ref(), own.memory.as_ref()),
            gpu: all.gpu.into_iter().chain(own.gpu).min(),
        }
    }

    /// Whether there is room for one more sandbox of the user.
    pub fn check(&self, user: &UserId, usage: &Usage) -> Result<(), Exceeded> {
        let all = self
            .organization
            .exceeded(Scope::Organization, usage.organization);
        let own = || self.of_user(user).exceeded(Scope::User, usage.user);
        all.or_else(own).map_or(Ok(()), Err)
    }
}

impl Limits {
    /// Whether something has to be counted for a start.
    pub fn count(&self) -> bool {
        self.sandboxes.is_some() || self.starts_per_minute.is_some()
    }

    /// The first limit that one more sandbox would pass.
    fn exceeded(&self, scope: Scope, counted: Counted) -> Option<Exceeded> {
        let pairs = [
            (Limited::Sandboxes, self.sandboxes, counted.sandboxes),
            (
                Limited::StartsPerMinute,
                self.starts_per_minute,
                counted.starts,
            ),
        ];
        let mut passed = pairs.into_iter().filter_map(|(limited, allowed, used)| {
            let allowed = allowed.filter(|allowed| used >= u64::from(*allowed))?;
            Some(Exceeded {
                scope,
                limited,
                used,
                allowed,
                room_at: None,
            })
        });
        passed.next()
    }
}

impl Exceeded {
    /// What the caller is told.
    pub fn refusal(&self, owner: &Owner, now: Timestamp) -> Refusal {
        let Self {
            scope,
            limited,
            used,
            allowed,
            room_at,
        } = self;
        let whose = match scope {
            Scope::Organization => format!("organization {}", owner.organization),
            Scope::User => format!("user {}", owner.user),
        };
        let message = match limited {
            Limited::Sandboxes => format!(
                "{whose} has {used} sandboxes and may have {allowed}; stop one, or have the limit raised"
            ),
            Limited::StartsPerMinute => format!(
                "{whose} started {used} sandboxes within a minute and may start {allowed}; \
                 start them more slowly, or have the limit raised"
            ),
        };
        let refusal = Refusal::new(Reason::QuotaExceeded, message)
            .with("limit", limited.as_str())
            .with("scope", scope.as_str())
            .with("used", used.to_string())
            .with("asked", "1")
            .with("allowed", allowed.to_string());
        match room_at {
            Some(at) => refusal.retry_after(at.saturating_since(now).max(RETRY_MIN)),
            None => refusal,
        }
    }
}

/// Nobody is told to come back at once.
const RETRY_MIN: Duration = Duration::from_millis(100);

fn lower(left: Option<&Quantity>, right: Option<&Quantity>) -> Option<Quantity> {
    left.into_iter().chain(right).min().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(sandboxes: Option<u32>, starts_per_minute: Option<u32>) -> Limits {
        Limits {
            sandboxes,
            starts_per_minute,
            ..Limits::default()
        }
    }

    fn counted(sandboxes: u64, starts: u64) -> Counted {
        Counted {
            sandboxes,
            starts,
            ..Counted::default()
        }
    }

    fn ada() -> UserId {
        "ada".parse().unwrap()
    }

    #[test]
    fn what_is_not_limited_is_not_refused() {
        let usage = Usage {
            organization: counted(1_000_000, 1_000_000),
            user: counted(1_000_000, 1_000_000),
        };
        assert_eq!(Quota::default().check(&ada(), &usage), Ok(()));
    }

    #[test]
    fn every_limit_refuses_once_it_is_reached_and_not_before() {
        let two = |sandboxes, starts| limits(sandboxes, starts);
        let cases = [
            (Scope::Organization, Limited::Sandboxes, two(Some(2), None)),
            (
                Scope::Organization,
                Limited::StartsPerMinute,
                two(None, Some(2)),
            ),
            (Scope::User, Limited::Sandboxes, two(Some(2), None)),
            (Scope::User, Limited::StartsPerMinute, two(None, Some(2))),
        ];
        for (scope, limited, limits) in cases {
            let quota = match scope {
                Scope::Organization => Quota {
                    organization: limits,
                    ..Quota::default()
                },
                Scope::User => Quota {
                    each_user: limits,
                    ..Quota::default()
                },
            };
            let usage = |count| Usage {
                organization: counted(count, count),
                user: counted(count, count),
            };
            assert_eq!(quota.check(&ada(), &usage(1)), Ok(()));
            let exceeded = quota.check(&ada(), &usage(2)).unwrap_err();
            assert_eq!((exceeded.scope, exceeded.limited), (scope, limited));
            assert_eq!((exceeded.used, exceeded.allowed), (2, 2));
        }
    }

    #[test]
    fn own_limits_stand_in_the_place_of_those_for_every_user() {
        let quota = Quota {
            each_user: limits(Some(1), None),
            users: [(ada(), limits(Some(5), None))].into(),
            ..Quota::default()
        };
        let usage = Usage {
            user: counted(3, 0),
            ..Usage::default()
        };
        assert_eq!(quota.check(&ada(), &usage), Ok(()));
        assert!(quota.check(&"bob".parse().unwrap(), &usage).is_err());
    }

    #[test]
    fn the_lower_size_of_organization_and_user_holds() {
        let sized = |cpu: &str, gpu| Limits {
            sandbox: SandboxQuota {
                cpu: Some(cpu.parse().unwrap()),
                memory: None,
                gpu,
            },
            ..Limits::default()
        };
        let quota = Quota {
            organization: sized("8", Some(1)),
            each_user: sized("500m", None),
            ..Quota::default()
        };
        let largest = quota.largest_sandbox(&ada());
        assert_eq!(largest.cpu, Some("500m".parse().unwrap()));
        assert_eq!(largest.gpu, Some(1));
        assert_eq!(largest.memory, None);
    }

    #[test]
    fn a_refusal_says_which_limit_how_much_and_when() {
        let exceeded = Exceeded {
            scope: Scope::User,
            limited: Limited::StartsPerMinute,
            used: 7,
            allowed: 6,
            room_at: Some(Timestamp::from_micros(5_000_000)),
        };
        let owner = Owner {
            organization: "acme".parse().unwrap(),
            user: ada(),
        };
        let refusal = exceeded.refusal(&owner, Timestamp::from_micros(2_000_000));
        assert_eq!(refusal.reason, Reason::QuotaExceeded);
        assert_eq!(refusal.retry_after, Some(Duration::from_secs(3)));
        for (key, value) in [
            ("limit", "starts_per_minute"),
            ("scope", "user"),
            ("used", "7"),
            ("asked", "1"),
            ("allowed", "6"),
        ] {
            assert_eq!(refusal.metadata[key], value);
        }
        assert!(refusal.message.contains("user ada"), "{}", refusal.message);
    }
}
