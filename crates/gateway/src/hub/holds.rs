//! How many replies each sandbox is held back for.
//!
//! Invariant: it is let go with the last of them, however many there are at once.

use std::collections::BTreeMap;

use palisade_model::id::SandboxId;

/// How often each sandbox is held.
#[derive(Debug, Default)]
pub(super) struct Holds(BTreeMap<SandboxId, usize>);

impl Holds {
    pub(super) fn take(&mut self, id: SandboxId) {
        *self.0.entry(id).or_default() += 1;
    }

    /// Gives back what was taken once.
    pub(super) fn give_back(&mut self, id: SandboxId) {
        if let Some(count) = self.0.get_mut(&id) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.0.remove(&id);
            }
        }
    }

    pub(super) fn are_on(&self, id: SandboxId) -> bool {
        self.0.contains_key(&id)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_sandbox_is_held_until_the_last_reply_was_sent() {
        let id = SandboxId::new(Uuid::from_u128(1));
        let mut holds = Holds::default();
        holds.take(id);
        holds.take(id);
        holds.give_back(id);
        assert!(holds.are_on(id));
        holds.give_back(id);
        assert!(!holds.are_on(id));
        assert!(holds.0.is_empty());
    }
}
