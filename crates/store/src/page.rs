//! Lists in pages.
//!
//! A page goes on behind a key and not at a number, and every list is ordered
//! by a key that never changes. So a thing that is there all the time is seen
//! exactly once, whatever comes and goes meanwhile.

/// The most items that a page may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(u16);

impl PageSize {
    /// The largest page.
    pub const MAX: Self = Self(1000);

    /// The wanted size, held between one and [`Self::MAX`].
    pub fn clamped(wanted: usize) -> Self {
        let wanted = u16::try_from(wanted).unwrap_or(u16::MAX);
        Self(wanted.clamp(1, Self::MAX.0))
    }

    /// The size as a number.
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

/// Which part of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest<K> {
    /// The key behind which to go on; `None` starts at the beginning.
    pub after: Option<K>,
    /// How much at most.
    pub size: PageSize,
}

impl<K> PageRequest<K> {
    /// The beginning of the list.
    pub fn first(size: PageSize) -> Self {
        Self { after: None, size }
    }
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, K> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// Where to go on; `None` when this is the end.
    pub next: Option<K>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wanted_size_is_held_within_bounds() {
        let sizes = [0, 1, 50, 1000, 1001, usize::MAX].map(|n| PageSize::clamped(n).get());
        assert_eq!(sizes, [1, 1, 50, 1000, 1000, 1000]);
    }
}
