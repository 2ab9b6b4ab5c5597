//! What a sandbox wrote, on its way to a terminal.
//!
//! Colours and line ends pass; everything else that a terminal would act on is
//! shown instead, so that output cannot move the cursor, set titles or type. A
//! pipe or a file gets every byte as it is, and a command with a terminal of
//! its own may do as it likes.

/// Sequences for colours are not longer.
const COLOR_BYTES_MAX: usize = 64;

/// Where in a sequence the text is; it may be cut anywhere.
#[derive(Debug, Default)]
pub(super) struct Filter {
    held: Vec<u8>,
}

impl Filter {
    /// The bytes that a terminal may get, of these and what was held back.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut passed = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            self.take(byte, &mut passed);
        }
        passed
    }

    /// What was held back until the end.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let mut passed = Vec::new();
        self.show_held(&mut passed);
        passed
    }

    fn take(&mut self, byte: u8, passed: &mut Vec<u8>) {
        match self.held.as_slice() {
            [] => self.begin(byte, passed),
            // A control character of Unicode, in two bytes.
            [0xc2] => {
                self.held.clear();
                if (0x80..=0x9f).contains(&byte) {
                    passed.extend_from_slice("\u{fffd}".as_bytes());
                } else {
                    passed.push(0xc2);
                    self.begin(byte, passed);
                }
            }
            [0x1b] if byte == b'[' => self.held.push(byte),
            [0x1b, b'[', ..] if byte == b'm' && self.held.len() < COLOR_BYTES_MAX => {
                passed.append(&mut self.held);
                passed.push(byte);
            }
            [0x1b, b'[', ..]
                if matches!(byte, b'0'..=b'9' | b';' | b':')
                    && self.held.len() < COLOR_BYTES_MAX =>
            {
                self.held.push(byte);
            }
            _ => {
                self.show_held(passed);
                self.begin(byte, passed);
            }
        }
    }

    fn begin(&mut self, byte: u8, passed: &mut Vec<u8>) {
        match byte {
            0x1b | 0xc2 => self.held.push(byte),
            b'\n' | b'\r' | b'\t' => passed.push(byte),
            0..=0x1f | 0x7f => show(byte, passed),
            _ => passed.push(byte),
        }
    }

    fn show_held(&mut self, passed: &mut Vec<u8>) {
        for byte in std::mem::take(&mut self.held) {
            if byte < 0x20 {
                show(byte, passed);
            } else {
                passed.push(byte);
            }
        }
    }
}

/// As `cat -v` shows it.
fn show(byte: u8, passed: &mut Vec<u8>) {
    passed.extend_from_slice(&[b'^', byte ^ 0x40]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(text: &str) -> String {
        let whole = {
            let mut filter = Filter::default();
            let mut passed = filter.pass(text.as_bytes());
            passed.extend(filter.finish());
            passed
        };
        let mut filter = Filter::default();
        let mut cut: Vec<u8> = Vec::new();
        for byte in text.as_bytes() {
            cut.extend(filter.pass(&[*byte]));
        }
        cut.extend(filter.finish());
        assert_eq!(cut, whole, "wherever it is cut");
        String::from_utf8(whole).unwrap()
    }

    #[test]
    fn text_lines_and_colours_pass() {
        for text in [
            "",
            "über £ ✓\r\n\tx",
            "\u{1b}[1;31mred\u{1b}[0m",
            "\u{1b}[38:5:1mx\u{1b}[m",
        ] {
            assert_eq!(filtered(text), text);
        }
    }

    #[test]
    fn what_a_terminal_would_act_on_is_shown() {
        for (text, shown) in [
            ("\u{1b}]0;title\u{7}x", "^[]0;title^Gx"),
            ("\u{1b}[2J\u{1b}[H", "^[[2J^[[H"),
            ("\u{1b}[6n", "^[[6n"),
            ("\u{9b}2J", "\u{fffd}2J"),
            ("a\u{8}b\0\u{7f}", "a^Hb^@^?"),
            ("\u{1b}", "^["),
            ("\u{1b}\u{1b}[31m", "^[\u{1b}[31m"),
        ] {
            assert_eq!(filtered(text), shown);
        }
    }

    #[test]
    fn a_colour_that_never_ends_is_none() {
        let text = format!("\u{1b}[{}m", "1;".repeat(200));
        assert!(!filtered(&text).contains('\u{1b}'));
    }
}
