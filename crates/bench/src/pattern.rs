//! Bytes of which each is known by its place, so that what is lost, doubled or
//! out of order is seen without keeping anything.

use anyhow::ensure;

/// No divisor of any size in which bytes travel.
const LEN: usize = 65_521;

/// An endless sequence of bytes.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Vec<u8>);

impl Pattern {
    pub(crate) fn new() -> Self {
        let mut state: u32 = 2_463_534_242;
        let bytes = (0..LEN).map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[1]
        });
        Self(bytes.collect())
    }

    /// So many bytes from a place on.
    pub(crate) fn bytes(&self, place: u64, size: usize) -> Vec<u8> {
        let from = Self::index(place);
        self.0
            .iter()
            .cycle()
            .skip(from)
            .take(size)
            .copied()
            .collect()
    }

    /// Whether these are the bytes from a place on.
    pub(crate) fn check(&self, place: u64, seen: &[u8]) -> anyhow::Result<()> {
        let mut rest = seen;
        let mut from = Self::index(place);
        while !rest.is_empty() {
            let size = rest.len().min(LEN - from);
            let same = self.0[from..from + size] == rest[..size];
            ensure!(same, "bytes from {place} on came back as others");
            rest = &rest[size..];
            from = 0;
        }
        Ok(())
    }

    fn index(place: u64) -> usize {
        usize::try_from(place % LEN as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_bytes_at_the_right_place_are_accepted() {
        let pattern = Pattern::new();
        for place in [0, 5, LEN as u64 - 1, 10 * LEN as u64 + 7] {
            let bytes = pattern.bytes(place, 3 * LEN);
            assert!(pattern.check(place, &bytes).is_ok());
            assert!(pattern.check(place + 1, &bytes).is_err());
        }
    }
}
