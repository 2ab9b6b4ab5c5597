//! Numbers for what sandboxes have in common.
//!
//! Rules compare numbers. Whatever several sandboxes share, such as their
//! openings or a claim, has one number for as long as any of them has it.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

/// A number that rules compare.
///
/// Carried in the mark of each packet while the router looks at it. The first
/// two bytes of the mark mirror the last two, so that it is the same number in
/// either byte order: `nft` keeps marks in network order inside ranges, but not
/// elsewhere, and this need not know where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Mark(u16);

impl Mark {
    /// Whoever is no sandbox. Given to nothing else.
    pub(super) const STRANGER: Self = Self(u16::MAX);

    /// As the kernel keeps it. Never zero, the mark of packets whose sender is
    /// not known.
    pub(super) fn bytes(self) -> [u8; 4] {
        let [high, low] = self.0.to_be_bytes();
        [low, high, high, low]
    }

    /// As sockets are told.
    pub(super) fn number(self) -> u32 {
        u32::from_be_bytes(self.bytes())
    }

    /// As `nft` reads it.
    pub(super) fn text(self) -> String {
        format!("{:#010x}", self.number())
    }
}

/// Values that have sandboxes, each with its number.
#[derive(Debug)]
pub(super) struct Numbers<T> {
    users: HashMap<Arc<T>, (Mark, usize)>,
    values: BTreeMap<Mark, Arc<T>>,
    last: u16,
}

/// There is no number left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the sandboxes on this runner have more than {LEN_MAX} different egress rules or owners already"
)]
pub struct TooManyKinds;

/// The most values at a time. As many numbers again are unused, so that none is
/// given out again soon.
const LEN_MAX: usize = 32 * 1024;

impl<T: Eq + Hash> Numbers<T> {
    /// Counts one more sandbox with this value; tells whether it is the first.
    pub(super) fn enter(&mut self, value: T) -> Result<(Mark, bool), TooManyKinds> {
        if let Some((mark, users)) = self.users.get_mut(&value) {
            *users += 1;
            return Ok((*mark, false));
        }
        let mark = self.free().ok_or(TooManyKinds)?;
        let value = Arc::new(value);
        self.users.insert(Arc::clone(&value), (mark, 1));
        self.values.insert(mark, value);
        self.last = mark.0;
        Ok((mark, true))
    }

    /// Likewise for several values: all of them, or none.
    pub(super) fn enter_all(&mut self, values: Vec<T>) -> Result<Vec<Mark>, TooManyKinds> {
        let mut marks = Vec::with_capacity(values.len());
        for value in values {
            match self.enter(value) {
                Ok((mark, _)) => marks.push(mark),
                Err(error) => {
                    self.leave_all(&marks);
                    return Err(error);
                }
            }
        }
        Ok(marks)
    }

    /// The value of a number, if it has just one sandbox left.
    pub(super) fn value_if_last(&self, mark: Mark) -> Option<Arc<T>> {
        let value = self.values.get(&mark)?;
        let (_, users) = self.users.get(value)?;
        (*users <= 1).then(|| Arc::clone(value))
    }

    /// Counts one sandbox less; without any, the number is free.
    pub(super) fn leave(&mut self, mark: Mark) {
        let Some(value) = self.values.get(&mark) else {
            return;
        };
        if let Some((_, users)) = self.users.get_mut(value)
            && *users > 1
        {
            *users -= 1;
            return;
        }
        self.users.remove(value);
        self.values.remove(&mark);
    }

    /// Likewise for several numbers.
    pub(super) fn leave_all(&mut self, marks: &[Mark]) {
        for mark in marks {
            self.leave(*mark);
        }
    }

    /// Every number with its value.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Mark, &T)> {
        self.values
            .iter()
            .map(|(mark, value)| (*mark, value.as_ref()))
    }

    /// A number that was not in use lately.
    fn free(&self) -> Option<Mark> {
        if self.values.len() >= LEN_MAX {
            return None;
        }
        (self.last..Mark::STRANGER.0 - 1)
            .chain(0..self.last)
            .map(|before| Mark(before + 1))
            .find(|mark| !self.values.contains_key(mark))
    }
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self {
            users: HashMap::new(),
            values: BTreeMap::new(),
            last: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_the_same_in_either_byte_order() {
        for number in [1, 0x00ff, 0x0102, u16::MAX] {
            let mark = Mark(number).bytes();
            assert_eq!(u32::from_be_bytes(mark), u32::from_le_bytes(mark));
            assert_ne!(mark, [0; 4]);
        }
        assert_ne!(Mark(0x0102).bytes(), Mark(0x0201).bytes());
    }

    #[test]
    fn a_number_lives_as_long_as_it_has_sandboxes() {
        let mut numbers = Numbers::default();
        let (first, is_new) = numbers.enter("a").unwrap();
        assert!(is_new);
        assert_eq!(numbers.enter("a"), Ok((first, false)));
        let (second, _) = numbers.enter("b").unwrap();
        assert_ne!(first, second);
        assert_eq!(numbers.value_if_last(first), None);
        numbers.leave(first);
        assert_eq!(numbers.value_if_last(first).as_deref(), Some(&"a"));
        numbers.leave(first);
        assert_eq!(numbers.value_if_last(first), None);
        assert_eq!(numbers.iter().count(), 1);
    }

    #[test]
    fn a_number_is_not_given_out_again_at_once() {
        let mut numbers = Numbers::default();
        let (first, _) = numbers.enter("a").unwrap();
        numbers.leave(first);
        let (second, _) = numbers.enter("a").unwrap();
        assert_ne!(first, second);
    }

    #[test]
    fn what_does_not_fit_whole_is_not_counted() {
        let mut numbers = Numbers::default();
        for value in 1..LEN_MAX {
            numbers.enter(value).unwrap();
        }
        assert_eq!(numbers.enter_all(vec![0, LEN_MAX]), Err(TooManyKinds));
        assert_eq!(numbers.iter().count(), LEN_MAX - 1);
        assert!(numbers.enter(0).is_ok());
    }
}
