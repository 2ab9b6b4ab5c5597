//! Cron expressions with five fields, in UTC.
//!
//! They are only checked here; nothing in the system runs by them yet, but a
//! window that never comes must not be accepted in silence.

/// Why a text is no cron expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCron {
    /// Not five fields.
    #[error(
        "has {found} fields; five are needed: minute, hour, day of month, month and day of week, such as 0 2 * * SAT"
    )]
    Fields {
        /// How many there are.
        found: usize,
    },
    /// A field that is not understood.
    #[error(
        "has {text:?} as its {field}; allowed are {low} to {high}, *, lists, ranges and steps such as */5"
    )]
    Field {
        /// Which one it is.
        field: &'static str,
        /// Its text.
        text: String,
        /// The least value.
        low: u32,
        /// The greatest value.
        high: u32,
    },
    /// Every field is sound and no day fits them.
    #[error("never happens: no month among these has such a day")]
    Never,
    /// Longer than any sensible expression.
    #[error("has {len} bytes; at most {LEN_MAX} are allowed")]
    TooLong {
        /// How long it is.
        len: usize,
    },
}

const LEN_MAX: usize = 128;

struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    /// Words for values, counted from `low`.
    words: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field {
        name: "minute",
        low: 0,
        high: 59,
        words: &[],
    },
    Field {
        name: "hour",
        low: 0,
        high: 23,
        words: &[],
    },
    Field {
        name: "day of month",
        low: 1,
        high: 31,
        words: &[],
    },
    Field {
        name: "month",
        low: 1,
        high: 12,
        words: &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    },
    // Both 0 and 7 are Sunday.
    Field {
        name: "day of week",
        low: 0,
        high: 7,
        words: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

/// The longest that each month can be.
const DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// Checks a cron expression.
pub fn check_cron(text: &str) -> Result<(), BadCron> {
    if text.len() > LEN_MAX {
        return Err(BadCron::TooLong { len: text.len() });
    }
    let parts = text.split_ascii_whitespace().collect::<Vec<_>>();
    if parts.len() != FIELDS.len() {
        return Err(BadCron::Fields { found: parts.len() });
    }
    let mut values = Vec::with_capacity(FIELDS.len());
    for (field, part) in FIELDS.iter().zip(&parts) {
        let found = field.values(part).ok_or_else(|| BadCron::Field {
            field: field.name,
            text: (*part).to_owned(),
            low: field.low,
            high: field.high,
        })?;
        values.push(found);
    }
    // A restricted day of week is another way in, so that it alone suffices.
    if parts[4].starts_with('*') && !has_day(&values[2], &values[3]) {
        return Err(BadCron::Never);
    }
    Ok(())
}

fn has_day(days: &[u32], months: &[u32]) -> bool {
    let first = days.iter().min().copied().unwrap_or_default();
    months
        .iter()
        .filter_map(|month| DAYS.get(*month as usize - 1))
        .any(|&len| first <= len)
}

impl Field {
    /// The values that the text of this field stands for.
    fn values(&self, text: &str) -> Option<Vec<u32>> {
        let mut values = Vec::new();
        for item in text.split(',') {
            values.extend(self.item(item)?);
        }
        Some(values)
    }

    /// `*`, `5`, `1-5`, each with an optional `/step`.
    fn item(&self, text: &str) -> Option<Vec<u32>> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(number(step)?)),
            None => (text, None),
        };
        let (low, high) = match range.split_once('-') {
            Some((low, high)) => (self.value(low)?, self.value(high)?),
            None if range == "*" => (self.low, self.high),
            None => {
                let low = self.value(range)?;
                (low, if step.is_some() { self.high } else { low })
            }
        };
        let step = step.unwrap_or(1);
        let is_sound = low <= high && (1..=self.high).contains(&step);
        is_sound.then(|| (low..=high).step_by(step as usize).collect())
    }

    fn value(&self, text: &str) -> Option<u32> {
        let word = self
            .words
            .iter()
            .position(|word| word.eq_ignore_ascii_case(text));
        let value = match word {
            Some(place) => self.low + u32::try_from(place).ok()?,
            None => number(text)?,
        };
        (self.low..=self.high).contains(&value).then_some(value)
    }
}

fn number(text: &str) -> Option<u32> {
    let is_digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    is_digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn expressions_as_people_write_them_are_taken() {
        for text in [
            "0 2 * * SAT",
            "*/15 0-6 1,15 * mon-fri",
            "0 0 29 2 *",
            "5/10 * * jan,DEC 7",
            "0 0 31 2 1",
            " 0  0 * * * ",
        ] {
            assert_eq!(check_cron(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn each_broken_rule_has_its_own_error() {
        assert_eq!(check_cron("@weekly"), Err(BadCron::Fields { found: 1 }));
        assert_eq!(check_cron("0 0 * * * *"), Err(BadCron::Fields { found: 6 }));
        assert_eq!(check_cron("0 0 30 2 *"), Err(BadCron::Never));
        assert_eq!(check_cron("0 0 31 4,6,9,11 *"), Err(BadCron::Never));
        let long = "0 0 * * *".repeat(20);
        assert_eq!(check_cron(&long), Err(BadCron::TooLong { len: 180 }));
        for text in [
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "5-1 * * * *",
            "*/0 * * * *",
            "1,,2 * * * *",
            "+1 * * * *",
            "* * * foo *",
            "jan * * * *",
            "*/99 * * * *",
            "100 * * * *",
        ] {
            let error = check_cron(text).unwrap_err();
            assert!(matches!(error, BadCron::Field { .. }), "{text} {error:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_check_panic(text in "[0-9*/,a-z -]{0,40}|.{0,20}") {
            let _ = check_cron(&text);
        }
    }
}
