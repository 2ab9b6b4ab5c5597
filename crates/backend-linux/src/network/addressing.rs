//! Which pools a runner uses.
//!
//! Pure. Pools that are in use are kept as long as the configuration allows
//! them, so that a restart changes nothing for the sandboxes that run. New ones
//! must not overlap anything that the host has a route or an address for.

use palisade_model::cidr::Cidr;

use super::config::{Config, Pool4, Pool6, PoolChoice};
use super::host::Survey;
use super::layout::{self, Layout};

/// What to do about the pools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Use these.
    Use(Layout),
    /// Give those up that the router has.
    GiveUp,
}

/// Why there are no pools to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolConflict {
    /// The host has another use for the addresses.
    #[error(
        "the sandbox addresses {pool} overlap {used}, which this host uses; \
         configure a pool that it does not use"
    )]
    Taken {
        /// The pool.
        pool: Cidr,
        /// What the host uses.
        used: Cidr,
    },
    /// The host has another use for everything that is tried without being told.
    #[error(
        "this host uses a part of every range that sandbox addresses are taken from by default; \
         configure a pool that it does not use"
    )]
    NoneFree,
}

/// Chooses the pools, given those that the router has already.
pub(super) fn choose(
    config: &Config,
    has_v6: bool,
    present: &[Cidr],
    survey: &Survey,
) -> Result<Choice, PoolConflict> {
    let instance = config.instance.clone();
    let layout = |pool4, pool6| {
        Choice::Use(Layout {
            instance: instance.clone(),
            pool4,
            pool6,
        })
    };
    if present.is_empty() {
        let uplink = layout::host_uplink(&config.instance);
        let pool4 = choose4(config.pool4, survey, &uplink)?;
        let pool6 = if has_v6 {
            Some(choose6(config, survey, &uplink)?)
        } else {
            None
        };
        return Ok(layout(pool4, pool6));
    }
    let present4 = present.iter().find_map(|range| Pool4::new(*range).ok());
    let present6 = present.iter().find_map(|range| Pool6::new(*range).ok());
    let allows6 = match (present6, has_v6) {
        (Some(pool), true) => config.pool6.allows(pool),
        (None, false) => true,
        (Some(_), false) | (None, true) => false,
    };
    Ok(match present4 {
        Some(pool4) if allows6 && config.pool4.allows(pool4) => layout(pool4, present6),
        Some(_) | None => Choice::GiveUp,
    })
}

fn choose4(
    choice: PoolChoice<Pool4>,
    survey: &Survey,
    uplink: &str,
) -> Result<Pool4, PoolConflict> {
    match choice {
        PoolChoice::Fixed(pool) => check(pool.range(), survey, uplink).map(|()| pool),
        PoolChoice::Automatic => Pool4::automatic()
            .find(|pool| check(pool.range(), survey, uplink).is_ok())
            .ok_or(PoolConflict::NoneFree),
    }
}

fn choose6(config: &Config, survey: &Survey, uplink: &str) -> Result<Pool6, PoolConflict> {
    let pool = match config.pool6 {
        PoolChoice::Fixed(pool) => pool,
        PoolChoice::Automatic => {
            Pool6::automatic(&config.instance).ok_or(PoolConflict::NoneFree)?
        }
    };
    check(pool.range(), survey, uplink).map(|()| pool)
}

fn check(pool: Cidr, survey: &Survey, uplink: &str) -> Result<(), PoolConflict> {
    match survey.conflict(pool, uplink) {
        None => Ok(()),
        Some(used) => Err(PoolConflict::Taken { pool, used }),
    }
}

impl<P: Copy + PartialEq> PoolChoice<P> {
    fn allows(self, pool: P) -> bool {
        match self {
            Self::Automatic => true,
            Self::Fixed(wanted) => wanted == pool,
        }
    }
}
