//! Kubernetes quantities, exact: no floating point anywhere.
//!
//! A quantity keeps the text that it was written in, since clients compare what
//! comes back with what they sent, beside its value in billionths of the unit.
//! What cannot be held exactly is refused, not rounded. Negative quantities
//! have no meaning for resources and cannot be written down.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Billionths in one unit; the finest step that Kubernetes itself keeps.
const NANOS_PER_UNIT: u128 = 1_000_000_000;

/// An amount of a resource, such as `500m`, `1.5` or `8Gi`.
#[derive(Clone, Debug)]
pub struct Quantity {
    text: String,
    nanos: u128,
}

/// Why a text is not a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Nothing was given.
    #[error("must not be empty")]
    Empty,
    /// Longer than any sensible quantity.
    #[error("has {len} characters; at most {} are allowed", Quantity::LEN_MAX)]
    TooLong {
        /// How long it is.
        len: usize,
    },
    /// A sign below zero.
    #[error("must not be negative")]
    Negative,
    /// The number before the suffix is not one.
    #[error("must be a decimal number with an optional suffix, such as 500m, 1.5 or 8Gi")]
    BadNumber,
    /// The suffix is none that Kubernetes knows.
    #[error(
        "has an unknown suffix; known are n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei and an exponent such as e3"
    )]
    BadSuffix,
    /// Finer than a billionth.
    #[error("is finer than a billionth, which cannot be held exactly")]
    TooFine,
    /// Larger than can be held.
    #[error("is too large")]
    TooLarge,
}

impl Quantity {
    /// The longest accepted text, in bytes.
    pub const LEN_MAX: usize = 48;

    /// The text, exactly as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the amount is nothing at all.
    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// The amount in whole units, rounded up; `None` beyond 63 bits.
    pub fn to_units(&self) -> Option<u64> {
        ceil(self.nanos, NANOS_PER_UNIT)
    }

    /// Whether the amount is written in units or parts of one, and is not a
    /// number of whole ones: `400m` and `1.5`, and not `0.1Gi`, which is rounded
    /// up as Kubernetes does.
    pub fn is_fraction_of_unit(&self) -> bool {
        let is_multiple = self.text.ends_with(['i', 'k', 'M', 'G', 'T', 'P', 'E']);
        !is_multiple && !self.nanos.is_multiple_of(NANOS_PER_UNIT)
    }

    /// The amount in thousandths, rounded up; `None` beyond 63 bits.
    pub fn to_millis(&self) -> Option<u64> {
        ceil(self.nanos, NANOS_PER_UNIT / 1_000)
    }
}

fn ceil(nanos: u128, step: u128) -> Option<u64> {
    let steps = u64::try_from(nanos.div_ceil(step)).ok()?;
    // 63 bits, so that every amount also fits the signed fields of the wire.
    (steps <= i64::MAX.unsigned_abs()).then_some(steps)
}

/// A number of bytes, as people write it: `10Gi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let quantity: Quantity = text.parse().map_err(|error| format!("{error}"))?;
        let bytes = quantity.to_units();
        bytes.map(Self).ok_or_else(|| "is too much".to_owned())
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Empty);
        }
        if text.len() > Self::LEN_MAX {
            return Err(QuantityError::TooLong { len: text.len() });
        }
        let unsigned = match text.as_bytes()[0] {
            b'-' => return Err(QuantityError::Negative),
            b'+' => &text[1..],
            _ => text,
        };
        let split = unsigned
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(split);
        let (mantissa, places) = mantissa(number)?;
        let nanos = scale(mantissa, places, suffix)?;
        Ok(Self {
            text: text.to_owned(),
            nanos,
        })
    }
}

/// Reads `12.50` as 1250 with two decimal places.
fn mantissa(number: &str) -> Result<(u128, u32), QuantityError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return Err(QuantityError::BadNumber);
    }
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    let mantissa = if significant.is_empty() {
        0
    } else {
        // 48 bytes of text may hold more digits than 128 bits do.
        significant.parse().map_err(|_| QuantityError::TooLarge)?
    };
    let places = u32::try_from(fraction.len()).map_err(|_| QuantityError::TooLong {
        len: fraction.len(),
    })?;
    Ok((mantissa, places))
}

/// A power of ten or of two that a suffix stands for.
enum Scale {
    Ten(i32),
    Two(u32),
}

fn parse_suffix(suffix: &str) -> Result<Scale, QuantityError> {
    Ok(match suffix {
        "n" => Scale::Ten(-9),
        "u" => Scale::Ten(-6),
        "m" => Scale::Ten(-3),
        "" => Scale::Ten(0),
        "k" => Scale::Ten(3),
        "M" => Scale::Ten(6),
        "G" => Scale::Ten(9),
        "T" => Scale::Ten(12),
        "P" => Scale::Ten(15),
        "E" => Scale::Ten(18),
        "Ki" => Scale::Two(10),
        "Mi" => Scale::Two(20),
        "Gi" => Scale::Two(30),
        "Ti" => Scale::Two(40),
        "Pi" => Scale::Two(50),
        "Ei" => Scale::Two(60),
        _ => return parse_exponent(suffix),
    })
}

fn parse_exponent(suffix: &str) -> Result<Scale, QuantityError> {
    let digits = suffix
        .strip_prefix(['e', 'E'])
        .ok_or(QuantityError::BadSuffix)?;
    let magnitude = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    if magnitude.is_empty() || !magnitude.bytes().all(|b| b.is_ascii_digit()) {
        return Err(QuantityError::BadSuffix);
    }
    let exponent: i32 = digits.parse().map_err(|_| QuantityError::TooLarge)?;
    Ok(Scale::Ten(exponent))
}

fn scale(mantissa: u128, places: u32, suffix: &str) -> Result<u128, QuantityError> {
    let (tens, twos) = match parse_suffix(suffix)? {
        Scale::Ten(power) => (power, 0),
        Scale::Two(power) => (0, power),
    };
    if mantissa == 0 {
        return Ok(0);
    }
    let mut nanos = mantissa
        .checked_mul(1 << twos)
        .ok_or(QuantityError::TooLarge)?;
    // Billionths are nine places; what the fraction used is taken off.
    let mut power = i64::from(tens) + 9 - i64::from(places);
    while power > 0 {
        nanos = nanos.checked_mul(10).ok_or(QuantityError::TooLarge)?;
        power -= 1;
    }
    while power < 0 {
        if nanos % 10 != 0 {
            return Err(QuantityError::TooFine);
        }
        nanos /= 10;
        power += 1;
    }
    Ok(nanos)
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Two quantities are equal when their amounts are, whatever their spelling.
impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

#[cfg(test)]
mod tests;
