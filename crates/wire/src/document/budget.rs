//! How much a document may grow to.
//!
//! The size of the text bounds what is written in it once; aliases can make
//! much out of little, so that what they stand for is paid for each time.

use super::{Fault, FaultKind, Node, Place};

/// The most values in all documents of one text.
pub(super) const NODES_MAX: usize = 50_000;

/// The most bytes of scalars in all documents of one text.
pub(super) const TEXT_BYTES_MAX: usize = 2 * super::BYTES_MAX;

/// What may still be spent.
#[derive(Debug)]
pub(super) struct Budget {
    nodes: usize,
    text_bytes: usize,
}

/// What a value costs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weight {
    nodes: usize,
    text_bytes: usize,
    levels: usize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            nodes: NODES_MAX,
            text_bytes: TEXT_BYTES_MAX,
        }
    }

    /// Pays for one value.
    pub(super) fn spend_node(&mut self, place: Place) -> Result<(), Fault> {
        let weight = Weight {
            nodes: 1,
            ..Weight::default()
        };
        self.spend(weight, place)
    }

    /// Pays for the text of a key or a scalar.
    pub(super) fn spend_text(&mut self, text_bytes: usize, place: Place) -> Result<(), Fault> {
        let weight = Weight {
            text_bytes,
            ..Weight::default()
        };
        self.spend(weight, place)
    }

    /// Pays for a value and all below it.
    pub(super) fn spend(&mut self, weight: Weight, place: Place) -> Result<(), Fault> {
        self.nodes = self
            .nodes
            .checked_sub(weight.nodes)
            .ok_or_else(|| Fault::new(place, FaultKind::TooManyNodes))?;
        self.text_bytes = self
            .text_bytes
            .checked_sub(weight.text_bytes)
            .ok_or_else(|| Fault::new(place, FaultKind::TooMuchText))?;
        Ok(())
    }
}

impl Weight {
    /// What a copy of `node` costs.
    pub(super) fn of(node: &Node) -> Self {
        let mut sum = Self {
            nodes: 1,
            text_bytes: node.text_len(),
            levels: 0,
        };
        for (key_len, child) in node.children() {
            let below = Self::of(child);
            sum.nodes += below.nodes;
            sum.text_bytes += below.text_bytes + key_len;
            sum.levels = sum.levels.max(below.levels);
        }
        sum.levels += usize::from(node.is_container());
        sum
    }

    /// How many lists and maps nest in it.
    pub(super) fn levels(self) -> usize {
        self.levels
    }
}
