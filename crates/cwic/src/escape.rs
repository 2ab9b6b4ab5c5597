//! Texts of others, made harmless for a terminal.
//!
//! What moves a cursor, changes a terminal or turns the order of reading is
//! shown as what it is, such as `\u{1b}`. Nothing is left out.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with everything harmful shown; line ends and tabs stay.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    show(text, |c| is_harmful(c) && !matches!(c, '\n' | '\t'))
}

/// The text on one line: line ends and tabs are shown too.
pub(crate) fn on_one_line(text: &str) -> Cow<'_, str> {
    show(text, is_harmful)
}

/// A JSON text that means the same and has nothing harmful in it.
///
/// Outside of strings JSON has none of these characters but line ends.
pub(crate) fn json(text: &str) -> Cow<'_, str> {
    let is_shown = |c: char| is_harmful(c) && c != '\n';
    if !text.contains(is_shown) {
        return Cow::Borrowed(text);
    }
    let mut harmless = String::with_capacity(text.len());
    for c in text.chars() {
        if is_shown(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(harmless, "\\u{unit:04x}");
            }
        } else {
            harmless.push(c);
        }
    }
    Cow::Owned(harmless)
}

/// Whether a terminal does something else with the character than show it.
pub(crate) fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

fn show(text: &str, is_shown: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_shown) {
        return Cow::Borrowed(text);
    }
    let mut harmless = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' if is_shown(c) => harmless.push_str("\\n"),
            '\t' if is_shown(c) => harmless.push_str("\\t"),
            '\r' => harmless.push_str("\\r"),
            c if is_shown(c) => harmless.extend(c.escape_unicode()),
            c => harmless.push(c),
        }
    }
    Cow::Owned(harmless)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[2Jb\u{9b}2J\rc\u{202e}d\ne\tf";

    #[test]
    fn nothing_in_a_text_reaches_the_terminal_as_a_command() {
        assert_eq!(
            visible(HOSTILE),
            "a\\u{1b}[2Jb\\u{9b}2J\\rc\\u{202e}d\ne\tf"
        );
        assert!(on_one_line(HOSTILE).ends_with("d\\ne\\tf"));
        assert_eq!(visible("naïve 日本 🦀"), "naïve 日本 🦀");
    }

    #[test]
    fn json_means_the_same_afterwards() {
        let value = serde_json::json!({ "a": HOSTILE, "tag\u{e0001}": "x\u{2066}" });
        let text = format!("{value:#}");
        let harmless = json(&text);
        assert!(!harmless.contains(|c| is_harmful(c) && c != '\n'));
        let back: serde_json::Value = serde_json::from_str(&harmless).unwrap();
        assert_eq!(back, value);
    }
}
