//! Which runner and which profile serve a request, or why none does.
//!
//! Pure: a decision is a function of a [`Fleet`] and what is asked. [`select`]
//! and [`explain`] judge by the same functions, constraint by constraint in the
//! order of [`Constraint::ALL`]; a candidate is admitted only if it meets all.
//! Nothing is reserved here: whoever asks counts what it granted, and asks again
//! with the new [`Usage`] if somebody else was faster.
//!
//! Candidates are the pairs of a runner of the caller's organization and a
//! profile that it offers. When several profiles of one runner would do, its
//! default goes first, then the order in which they are bound; among runners
//! the fullest one that still has room wins.
//!
//! A refusal is structural if no candidate would do on an empty, healthy fleet.
//! Only if one would, it is said to be away (`UNAVAILABLE`, if none that would do
//! is there) or full (`RESOURCE_EXHAUSTED`), with a time to try again.

mod admitted;
mod amounts;
mod asking;
mod case;
mod check;
mod closest;
mod constraint;
mod decide;
mod diagnosis;
mod digest;
mod explanation;
mod fleet;
mod gap;
mod judge;
mod kind;
mod launch;
mod message;
mod offer;
mod place;
mod refused;
mod score;
mod trailer;

pub use asking::Asking;
pub use closest::{Change, Closest, Resized};
pub use constraint::{Constraint, Tier};
pub use decide::{explain, select};
pub use diagnosis::Cause;
pub use explanation::{Candidate, Explanation, Shortfall, Verdict};
pub use fleet::{Fleet, Live, Member, Presence, Report, Usage};
pub use launch::{Launched, SANDBOX_ID_VARIABLE, launch};
pub use offer::Offer;
pub use place::Placement;
pub use refused::{Refused, Unplaced, Violated};

#[cfg(test)]
mod tests;
