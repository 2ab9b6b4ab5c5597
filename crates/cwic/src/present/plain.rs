//! Texts of others, made harmless for a terminal.

/// The text without what moves a cursor, changes a terminal or turns the order
/// of reading around; line ends and tabs stay.
pub(crate) fn plain(text: &str) -> String {
    let harmless = |c: char| {
        if (c.is_control() && !matches!(c, '\n' | '\t')) || turns_order(c) {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.chars().map(harmless).collect()
}

fn turns_order(c: char) -> bool {
    matches!(
        c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn nothing_in_a_text_reaches_the_terminal_as_a_command() {
        let text = "a\u{1b}[2Jb\u{9b}2J\rc\u{202e}d\ne\tf";
        assert_eq!(
            plain(text),
            "a\u{fffd}[2Jb\u{fffd}2J\u{fffd}c\u{fffd}d\ne\tf"
        );
    }
}
