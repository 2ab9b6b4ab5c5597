//! Notes in a text that is edited: what is wrong with it, at its lines.
//!
//! A note is a comment line with a mark of its own, so that all of them can be
//! taken out again before the text is read. Line numbers are those of the text
//! without notes.

use std::collections::BTreeMap;

use palisade_wire::spelling::Finding;

/// What every note starts with.
const MARK: &str = "#! ";

/// The text without notes.
pub(crate) fn strip(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    lines
        .filter(|line| !line.trim_start().starts_with(MARK))
        .collect()
}

/// Whether there is nothing in the text but comments.
pub(crate) fn is_blank(text: &str) -> bool {
    text.lines()
        .map(str::trim)
        .all(|line| line.is_empty() || line.starts_with('#'))
}

/// The text with a note above each line that something is wrong with.
pub(crate) fn annotate(text: &str, findings: &[Finding]) -> String {
    let count = match findings.len() {
        1 => "one mistake".to_owned(),
        more => format!("{more} mistakes"),
    };
    let top = [
        format!("This has {count}, each told above its line. Nothing was sent."),
        "Notes like this one go by themselves. Empty the file to give up.".to_owned(),
    ];
    noted(text, &top, "error", findings)
}

/// The text with notes at its top and above lines, these behind a word.
pub(crate) fn noted(text: &str, top: &[String], word: &str, findings: &[Finding]) -> String {
    let mut at_lines: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for finding in findings {
        let line = finding.place.map_or(1, |place| place.line as usize).max(1);
        let note = format!("{word}: {}", finding.violation);
        at_lines.entry(line).or_default().push(note);
    }
    let mut out = String::new();
    push_notes(top, "", &mut out);
    let mut last = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        push_notes(
            &at_lines.remove(&number).unwrap_or_default(),
            indent_of(line),
            &mut out,
        );
        out.push_str(line);
        last = number;
    }
    if last > 0 && !out.ends_with('\n') {
        out.push('\n');
    }
    // A text can also end too early.
    for notes in at_lines.into_values() {
        push_notes(&notes, "", &mut out);
    }
    out
}

fn push_notes(notes: &[String], indent: &str, out: &mut String) {
    for line in notes.iter().flat_map(|note| note.lines()) {
        out.push_str(indent);
        out.push_str(MARK);
        out.push_str(line);
        out.push('\n');
    }
}

fn indent_of(line: &str) -> &str {
    let rest = line.trim_start_matches(' ');
    &line[..line.len() - rest.len()]
}

#[cfg(test)]
mod tests {
    use palisade_model::violation::{FieldPath, Violation, ViolationKind};
    use palisade_wire::document::Place;

    use super::*;

    fn finding(line: u32, what: &str) -> Finding {
        let path = FieldPath::root().key("spec");
        Finding {
            violation: Violation::new(path, ViolationKind::Invalid, what),
            place: (line > 0).then_some(Place { line, column: 1 }),
        }
    }

    #[test]
    fn a_note_stands_above_its_line_with_its_indent() {
        let text = "a: 1\n  b: 2\n";
        let noted = annotate(text, &[finding(2, "is wrong")]);
        assert!(
            noted.contains("a: 1\n  #! error: spec is wrong\n  b: 2\n"),
            "{noted}"
        );
        assert_eq!(strip(&noted), text);
    }

    #[test]
    fn notes_without_a_place_or_behind_the_end_are_not_lost() {
        let text = "a: 1";
        let noted = annotate(text, &[finding(0, "one"), finding(9, "two")]);
        assert!(
            noted.contains("#! error: spec one\na: 1\n#! error: spec two\n"),
            "{noted}"
        );
        assert_eq!(strip(&noted), "a: 1\n");
    }

    #[test]
    fn comments_of_people_stay() {
        let text = "#!/bin/sh\n# mine\n  #mine too\na: 1\n";
        assert_eq!(strip(&annotate(text, &[finding(4, "x")])), text);
    }

    #[test]
    fn a_message_of_several_lines_stays_a_note() {
        let noted = annotate("a: 1\n", &[finding(1, "x\ny: 2")]);
        assert_eq!(strip(&noted), "a: 1\n");
    }

    #[test]
    fn only_comments_are_nothing() {
        assert!(is_blank("\n# x\n  #y\n"));
        assert!(!is_blank("# x\na: 1\n"));
    }
}
