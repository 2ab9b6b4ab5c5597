//! Tables that fit where they are shown.
//!
//! In a pipe every cell is whole. In a terminal, columns that may shrink do so
//! first; then the columns that matter least are left out; the first one always
//! stays. How wide a terminal is, is not known here.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::escape::on_one_line;

/// The blanks between two columns.
const GAP: usize = 3;

/// The fewest characters that a cut cell shows.
const CELL_MIN: usize = 8;

/// The fewest characters that a cut name shows.
const NAME_MIN: usize = 24;

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its heading.
    pub(crate) name: &'static str,
    /// How much it matters; columns that matter least go first.
    pub(crate) worth: u8,
    /// To how few characters its cells may be cut, if at all.
    pub(crate) least: Option<usize>,
    /// Whether only the wide table has it.
    pub(crate) is_wide: bool,
}

impl Column {
    /// A column whose cells are whole or not there.
    pub(crate) const fn whole(name: &'static str, worth: u8) -> Self {
        Self {
            name,
            worth,
            least: None,
            is_wide: false,
        }
    }

    /// A column whose cells may be cut.
    pub(crate) const fn soft(name: &'static str, worth: u8) -> Self {
        Self {
            least: Some(CELL_MIN),
            ..Self::whole(name, worth)
        }
    }

    /// A column of names, which are cut when nothing else helps.
    pub(crate) const fn name(name: &'static str, worth: u8) -> Self {
        Self {
            least: Some(NAME_MIN),
            ..Self::whole(name, worth)
        }
    }

    /// The same, in the wide table only.
    pub(crate) const fn wide(self) -> Self {
        Self {
            is_wide: true,
            ..self
        }
    }
}

/// How wide each column is shown; `None` leaves it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout(Vec<Option<usize>>);

impl Layout {
    /// The layout that shows the rows within `width`, or whole without one.
    pub(crate) fn of(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> Self {
        let natural = columns.iter().enumerate().map(|(place, column)| {
            let cells = rows.iter().filter_map(|row| row.get(place));
            let widest = cells.map(|cell| on_one_line(cell).width()).max();
            Some(widest.unwrap_or(0).max(column.name.width()))
        });
        let mut layout = Self(natural.collect());
        if let Some(width) = width {
            layout.fit(columns, width);
        }
        layout
    }

    /// The heading as a line.
    pub(crate) fn heading(&self, columns: &[Column]) -> String {
        self.line(columns.iter().map(|column| column.name))
    }

    /// A row as a line.
    pub(crate) fn row(&self, row: &[String]) -> String {
        self.line(row.iter().map(String::as_str))
    }

    fn line<'a>(&self, cells: impl Iterator<Item = &'a str>) -> String {
        let mut line = String::new();
        let mut pending = 0;
        for (cell, width) in cells.zip(&self.0) {
            let Some(width) = *width else {
                continue;
            };
            line.extend(std::iter::repeat_n(' ', pending));
            let cell = cut(&on_one_line(cell), width);
            pending = width.saturating_sub(cell.width()) + GAP;
            line.push_str(&cell);
        }
        line.truncate(line.trim_end().len());
        line
    }

    fn fit(&mut self, columns: &[Column], width: usize) {
        let leave_out = |layout: &Self| {
            let shown = columns.iter().enumerate().skip(1);
            let shown = shown.filter(|(place, _)| layout.0[*place].is_some());
            shown.min_by_key(|(_, column)| column.worth)
        };
        let natural = self.0.clone();
        loop {
            // What is left out makes room for what had to shrink.
            for (shown, natural) in self.0.iter_mut().zip(&natural) {
                *shown = shown.and(*natural);
            }
            self.shrink(columns, width);
            if self.total() <= width {
                return;
            }
            let Some((least, _)) = leave_out(self) else {
                break;
            };
            self.0[least] = None;
        }
        // Only the first column is left.
        if let Some(first) = self.0.first_mut() {
            *first = first.map(|natural| natural.min(width.max(1)));
        }
    }

    /// Takes from the widest of the columns that may shrink, one at a time.
    fn shrink(&mut self, columns: &[Column], width: usize) {
        while self.total() > width {
            let soft = self
                .0
                .iter_mut()
                .zip(columns)
                .filter_map(|(shown, column)| {
                    let shown = shown.as_mut()?;
                    let least = column.least?.max(column.name.width());
                    (*shown > least).then_some(shown)
                });
            let Some(widest) = soft.max_by_key(|shown| **shown) else {
                return;
            };
            *widest -= 1;
        }
    }

    fn total(&self) -> usize {
        let shown = self.0.iter().flatten();
        let gaps = shown.clone().count().saturating_sub(1) * GAP;
        shown.sum::<usize>() + gaps
    }
}

/// The text within `width`, with a mark where it was cut.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        shown.push(c);
    }
    shown.push('…');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column::whole("NAME", 9),
        Column::soft("EGRESS", 5),
        Column::whole("ID", 3),
    ];

    fn shown(width: Option<usize>) -> Vec<String> {
        let row = ["agents", "internet*,deny-all,allowlist", "0123456789"];
        let rows = vec![row.map(str::to_owned).to_vec()];
        let layout = Layout::of(&COLUMNS, &rows, width);
        vec![layout.heading(&COLUMNS), layout.row(&rows[0])]
    }

    #[test]
    fn a_pipe_gets_every_cell_whole() {
        let lines = shown(None);
        assert_eq!(
            lines[1],
            "agents   internet*,deny-all,allowlist   0123456789"
        );
    }

    #[test]
    fn soft_columns_shrink_before_others_go() {
        assert_eq!(
            shown(Some(40))[1],
            "agents   internet*,deny-al…   0123456789"
        );
        assert_eq!(shown(Some(24))[1], "agents   internet*,deny…");
        assert_eq!(shown(Some(10))[1], "agents");
        assert_eq!(shown(Some(4))[1], "age…");
    }

    #[test]
    fn no_line_is_wider_than_it_may_be() {
        for width in 1..80 {
            for line in shown(Some(width)) {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn wide_characters_and_hostile_ones_keep_the_columns_straight() {
        let rows = vec![
            vec!["日本".to_owned(), "a".to_owned(), "b".to_owned()],
            vec!["x\u{1b}[1m".to_owned(), "a".to_owned(), "b".to_owned()],
        ];
        let layout = Layout::of(&COLUMNS, &rows, None);
        assert_eq!(layout.row(&rows[0]), "日本         a        b");
        assert_eq!(layout.row(&rows[1]), "x\\u{1b}[1m   a        b");
    }
}
