//! Showing many things, or one: chosen, put in order, and written in the format
//! that was asked for.
//!
//! What the things are is not known here: each comes as an [`Item`] with all the
//! forms that it can be shown in.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::cli::{Format, ListArgs};
use crate::error::{CliError, Exit};
use crate::order;
use crate::out::{Column, Layout, Out};

mod feed;
mod watching;

pub(crate) use feed::Feed;

/// A thing in every form that it can be shown in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// What people call it.
    pub(crate) name: String,
    /// As the API answers.
    pub(crate) answer: Value,
    /// As people write it.
    pub(crate) document: Value,
    /// What it can be chosen by.
    pub(crate) labels: BTreeMap<String, String>,
    /// What the columns of a table show.
    pub(crate) cells: Vec<String>,
}

/// What is listed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listing<'a> {
    /// The columns that the cells belong to.
    pub(crate) columns: &'a [Column],
    /// Whether one thing was asked for by its name.
    pub(crate) is_single: bool,
    /// How it is to be shown.
    pub(crate) args: &'a ListArgs,
}

impl Listing<'_> {
    /// Shows what `fetch` finds; stays and shows changes when that is wanted, of
    /// which the feed tells.
    pub(crate) async fn run(
        &self,
        fetch: impl AsyncFn() -> Result<Vec<Item>, CliError>,
        feed: Feed<'_>,
        out: &mut Out,
    ) -> Result<ExitCode, CliError> {
        if self.args.watch {
            return watching::run(self, fetch, feed, out).await;
        }
        let items = self.chosen(out.during("waiting for the server", fetch()).await?)?;
        self.write(&items, out);
        Ok(ExitCode::SUCCESS)
    }

    /// The items that were asked for, in the order that was asked for.
    fn chosen(&self, mut items: Vec<Item>) -> Result<Vec<Item>, CliError> {
        if let Some(selector) = &self.args.selector {
            items.retain(|item| selector.matches(&item.labels));
        }
        let Some(key) = &self.args.sort_by else {
            return Ok(items);
        };
        let value = |item: &Item| key.value([&item.answer, &item.document]).cloned();
        let mut keyed: Vec<_> = items.into_iter().map(|item| (value(&item), item)).collect();
        if !keyed.is_empty() && keyed.iter().all(|(value, _)| value.is_none()) {
            let what = format!("nothing can be put in order by {:?}", key.text());
            return Err(CliError::new(Exit::Usage, what)
                .because("none of them has such a field")
                .next("name a field as -o json or -o yaml shows it, such as revision"));
        }
        keyed.sort_by(|(one, _), (other, _)| order::compare(one.as_ref(), other.as_ref()));
        Ok(keyed.into_iter().map(|(_, item)| item).collect())
    }

    /// Shows items in the format that was asked for.
    pub(crate) fn write(&self, items: &[Item], out: &mut Out) {
        match &self.args.output.output {
            Format::Table | Format::Wide => self.write_table(items, out),
            Format::Json => out.json(&self.answer(items)),
            Format::Yaml => write_yaml(items, out),
            Format::Name => {
                for item in items {
                    out.exact(&format!("{}\n", item.name));
                }
            }
            Format::JsonPath(template) => {
                let mut text = template.render(&self.answer(items));
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push('\n');
                }
                out.exact(&text);
            }
        }
    }

    /// One answer, or an object that holds them all and has room for more.
    fn answer(&self, items: &[Item]) -> Value {
        match items {
            [one] if self.is_single => one.answer.clone(),
            all => {
                let all: Vec<_> = all.iter().map(|item| &item.answer).collect();
                json!({ "items": all })
            }
        }
    }

    fn write_table(&self, items: &[Item], out: &mut Out) {
        let (columns, rows) = self.table(items);
        let layout = Layout::of(&columns, &rows, out.width());
        if !self.args.no_headers {
            out.line(layout.heading(&columns));
        }
        for row in &rows {
            out.line(layout.row(row));
        }
    }

    fn table(&self, items: &[Item]) -> (Vec<Column>, Vec<Vec<String>>) {
        let is_wide = matches!(self.args.output.output, Format::Wide);
        let is_shown = |column: &Column| is_wide || !column.is_wide;
        let rows = items.iter().map(|item| {
            let cells = item.cells.iter().zip(self.columns);
            let cells = cells.filter(|(_, column)| is_shown(column));
            cells.map(|(cell, _)| cell.clone()).collect()
        });
        let rows = rows.collect();
        let columns = self.columns.iter().copied().filter(is_shown).collect();
        (columns, rows)
    }
}

/// Documents one after the other, ready to be read with -f.
fn write_yaml(items: &[Item], out: &mut Out) {
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.text("---\n");
        }
        out.yaml(&item.document);
    }
}
