//! The texts that stand in an address: the parameters of a query, and the escapes of
//! a path.
//!
//! Nothing is mended. An escape that is none, or one that makes no UTF-8, is refused:
//! decoding it to something near would name another thing than was asked for.

use std::borrow::Cow;

/// How much of what cannot be read is shown.
const SHOWN_CHARS_MAX: usize = 64;

/// A part of an address cannot be read as text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadText {
    /// A `%` is not that of an escape.
    #[error("holds {0:?}, where a % has no two hex digits behind it; write it as %25")]
    Escape(String),
    /// What the escapes stand for is not UTF-8.
    #[error("holds {0:?}, which is not UTF-8 once it is decoded")]
    NotUtf8(String),
}

/// The parameters of a query, in their order.
pub fn pairs(query: &str) -> Result<Vec<(String, String)>, BadText> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    let pairs = parts.map(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        Ok((parameter(key, part)?, parameter(value, part)?))
    });
    pairs.collect()
}

/// Whether a path can be read as text at all.
pub fn check_path(path: &str) -> Result<(), BadText> {
    let mut parts = path.split('/');
    parts.try_for_each(|part| decoded(part, part).map(drop))
}

/// Where a plus is a blank, as forms write it.
fn parameter(text: &str, within: &str) -> Result<String, BadText> {
    decoded(&text.replace('+', " "), within).map(Cow::into_owned)
}

fn decoded<'t>(text: &'t str, within: &str) -> Result<Cow<'t, str>, BadText> {
    let shown = || within.chars().take(SHOWN_CHARS_MAX).collect();
    let mut pieces = text.split('%');
    let first = pieces.next().unwrap_or_default();
    if first.len() == text.len() {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = first.as_bytes().to_vec();
    for piece in pieces {
        let (byte, rest) = escape(piece).ok_or_else(|| BadText::Escape(shown()))?;
        bytes.push(byte);
        bytes.extend_from_slice(rest.as_bytes());
    }
    let text = String::from_utf8(bytes);
    text.map(Cow::Owned).map_err(|_| BadText::NotUtf8(shown()))
}

/// The byte that the digits at the beginning stand for, and what follows.
fn escape(text: &str) -> Option<(u8, &str)> {
    let (digits, rest) = text.split_at_checked(2)?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let byte = u8::from_str_radix(digits, 16).ok()?;
    is_hex.then_some((byte, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Vec<(String, String)> {
        pairs(query).unwrap()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pairs = pairs.iter();
        pairs
            .map(|(key, text)| ((*key).to_owned(), (*text).to_owned()))
            .collect()
    }

    #[test]
    fn parameters_come_in_their_order_and_decoded() {
        let expected = owned(&[("tags", "a b"), ("tags", "c+d"), ("x", ""), ("ü", "1=2")]);
        assert_eq!(read("tags=a+b&tags=c%2Bd&&x&%c3%BC=1=2"), expected);
        assert_eq!(read(""), []);
        assert_eq!(read("a%26b=%25"), owned(&[("a&b", "%")]));
    }

    #[test]
    fn what_is_no_text_is_refused_and_shown() {
        for bad in ["%ff", "%C3", "a%ED%A0%80"] {
            let query = format!("pageSize=1&tags={bad}");
            let shown = format!("tags={bad}");
            assert_eq!(pairs(&query), Err(BadText::NotUtf8(shown)));
            let path = format!("/x/{bad}/y");
            assert_eq!(check_path(&path), Err(BadText::NotUtf8(bad.to_owned())));
        }
        // Halves of one character are none, on whichever side of a slash.
        assert!(check_path("/%C3/%BC").is_err());
    }

    #[test]
    fn a_percent_sign_that_begins_no_escape_is_refused() {
        for bad in ["%", "%z", "%zz", "%+1", "%-1", "100%", "%1", "%ü"] {
            assert_eq!(pairs(bad), Err(BadText::Escape(bad.to_owned())));
            assert_eq!(check_path(bad), Err(BadText::Escape(bad.to_owned())));
        }
        assert_eq!(check_path("/v1beta2/a+b/%2Fetc%2Fa%20b"), Ok(()));
    }
}
