//! Who may reach whom.
//!
//! Pure decisions, made once: backends generate their enforcement from
//! [`EgressRules`], and a probe compares what it measures with [`decide`]. The
//! two cannot drift apart, since both come from the same value.
//!
//! A connection between sandboxes is open only if the egress mode of the caller
//! allows the target **and** the target exposes that port at a level whose scope
//! admits the caller ([`Standing::reaches`]; as something to look up, [`claims`] and
//! [`taken`]). Replies to allowed flows pass; that is the backend's work.
//!
//! What stays closed whatever a profile says: the host and its loopback, the
//! metadata addresses, link-local and multicast addresses, ranges that translate
//! into others ([`ranges`] says which), the gateway's control addresses, and
//! sandboxes by their address instead of by a peer mode. Private ranges are closed
//! to `internet`, and open to an `allowlist` that names them or a part of them:
//! the list is the administrator's own guardrail. A wider range that merely
//! happens to cover them, such as `0.0.0.0/0`, does not open them.

mod claim;
mod peer;
pub mod ranges;
mod rules;
mod standing;
mod verdict;

pub use claim::{CLAIMS_MAX, Claim, Group, claims, taken};
pub use peer::{Party, Visitor, admits};
pub use rules::{
    Block, Dns, EgressRules, NAME_PORTS, NameKind, Peers, Surroundings, Target, decide,
};
pub use standing::{Door, Exposed, Knock, Standing};
pub use verdict::{Allowed, Closed, Closure, Refused, Verdict};

#[cfg(test)]
mod tests;
