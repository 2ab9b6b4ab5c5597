//! Staying with a list and telling of every change.
//!
//! The server is asked again whenever it told of a change; what is new, changed
//! or gone is written as it is seen. A server that is away for a while is waited
//! for, with growing pauses. It ends when the process is told to, or when the
//! server says that asking again cannot help.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;
use unicode_width::UnicodeWidthStr as _;

use super::{Feed, Item, Listing};
use crate::cli::Format;
use crate::error::{CliError, Exit};
use crate::out::{Column, Layout, Out};

/// The first pause while the server is away.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause while the server is away.
const PAUSE_MAX: Duration = Duration::from_secs(30);

const EVENT: Column = Column::whole("EVENT", 8);

/// What happened to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Added,
    Modified,
    Deleted,
}

impl Event {
    fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// Shows what there is, then every change.
pub(super) async fn run(
    listing: &Listing<'_>,
    fetch: impl AsyncFn() -> Result<Vec<Item>, CliError>,
    mut feed: Feed<'_>,
    out: &mut Out,
) -> Result<ExitCode, CliError> {
    // Before the first look, so that nothing is missed.
    out.during("waiting for the server", feed.begin()).await;
    let first = listing.chosen(out.during("waiting for the server", fetch()).await?)?;
    let mut table = Growing::of(listing, &first, out);
    let is_table = matches!(listing.args.output.output, Format::Table | Format::Wide);
    if is_table && !listing.args.no_headers {
        out.line(table.layout.heading(&table.columns));
    }
    let mut known = BTreeMap::new();
    let mut now = first;
    loop {
        for (event, item) in changes(&mut known, now) {
            write(listing, event, &item, &mut table, out);
        }
        if out.is_closed() {
            return Ok(ExitCode::SUCCESS);
        }
        feed.wait().await;
        let mut pause = PAUSE;
        now = loop {
            match fetch().await.and_then(|items| listing.chosen(items)) {
                Ok(items) => break items,
                Err(error) if may_pass(&error) => {
                    out.error(&error);
                    pause = (pause * 2).min(PAUSE_MAX);
                    out.note(format_args!("trying again in {} s", pause.as_secs()));
                    sleep(pause).await;
                    feed.begin().await;
                }
                Err(error) => return Err(error),
            }
        };
    }
}

/// Whether asking again can help.
fn may_pass(error: &CliError) -> bool {
    match error.exit() {
        Exit::Failure | Exit::TimedOut | Exit::Refused => true,
        Exit::Interrupted
        | Exit::Terminated
        | Exit::NotFound
        | Exit::NotAllowed
        | Exit::Conflict
        | Exit::NotCompared
        | Exit::Usage => false,
    }
}

/// What is different between what is known and what is now, which is known then.
fn changes(known: &mut BTreeMap<String, Item>, now: Vec<Item>) -> Vec<(Event, Item)> {
    let mut before = std::mem::take(known);
    let mut changes = Vec::new();
    for item in now {
        match before.remove(&item.name) {
            Some(old) if is_same(&old, &item) => {}
            Some(_) => changes.push((Event::Modified, item.clone())),
            None => changes.push((Event::Added, item.clone())),
        }
        known.insert(item.name.clone(), item);
    }
    changes.extend(before.into_values().map(|item| (Event::Deleted, item)));
    changes
}

/// Whether two looks at an item saw the same. What is always on the move, and
/// nobody's change, does not count.
fn is_same(one: &Item, other: &Item) -> bool {
    const MOVING: [&str; 2] = ["lastHeartbeatAt", "currentResourceUsage"];
    let still = |item: &Item| {
        let mut answer = item.answer.clone();
        if let Some(fields) = answer.as_object_mut() {
            fields.retain(|key, _| !MOVING.contains(&key.as_str()));
        }
        answer
    };
    one == other || still(one) == still(other)
}

fn columns(listing: &Listing<'_>) -> Vec<Column> {
    let (mut columns, _) = listing.table(&[]);
    columns.insert(0, EVENT);
    columns
}

fn row(listing: &Listing<'_>, event: Event, item: &Item) -> Vec<String> {
    let (_, rows) = listing.table(std::slice::from_ref(item));
    let cells = rows.into_iter().flatten();
    std::iter::once(event.as_str().to_owned())
        .chain(cells)
        .collect()
}

/// A table whose rows are not known before: it gets wider as they do.
struct Growing {
    columns: Vec<Column>,
    /// The longest cell of each column so far.
    longest: Vec<String>,
    layout: Layout,
}

impl Growing {
    fn of(listing: &Listing<'_>, items: &[Item], out: &Out) -> Self {
        let columns = columns(listing);
        let mut table = Self {
            longest: columns
                .iter()
                .map(|column| column.name.to_owned())
                .collect(),
            layout: Layout::of(&columns, &[], None),
            columns,
        };
        for item in items {
            table.grow(&row(listing, Event::Modified, item));
        }
        table.lay_out(out);
        table
    }

    /// Makes room for a row; whether there was too little.
    fn grow(&mut self, row: &[String]) -> bool {
        let mut has_grown = false;
        for (longest, cell) in self.longest.iter_mut().zip(row) {
            if cell.width() > longest.width() {
                cell.clone_into(longest);
                has_grown = true;
            }
        }
        has_grown
    }

    fn lay_out(&mut self, out: &Out) {
        let rows = std::slice::from_ref(&self.longest);
        self.layout = Layout::of(&self.columns, rows, out.width());
    }

    /// A row as a line; in a terminal under a heading of its own if the columns
    /// have moved.
    fn line(&mut self, row: &[String], has_heading: bool, out: &mut Out) {
        if self.grow(row) {
            self.lay_out(out);
            if has_heading && out.width().is_some() {
                out.line(self.layout.heading(&self.columns));
            }
        }
        out.line(self.layout.row(row));
    }
}

fn write(listing: &Listing<'_>, event: Event, item: &Item, table: &mut Growing, out: &mut Out) {
    match &listing.args.output.output {
        Format::Table | Format::Wide => {
            table.line(&row(listing, event, item), !listing.args.no_headers, out);
        }
        Format::Json => out.json_line(&json!({ "type": event.as_str(), "object": item.answer })),
        Format::Yaml => {
            out.text(&format!("--- # {}\n", event.as_str()));
            out.yaml(&item.document);
        }
        Format::Name => out.exact(&format!("{}\n", item.name)),
        Format::JsonPath(template) => {
            out.exact(&format!("{}\n", template.render(&item.answer)));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn item(name: &str, revision: u32) -> Item {
        Item {
            name: name.to_owned(),
            answer: json!({ "revision": revision }),
            document: Value::Null,
            labels: BTreeMap::new(),
            cells: Vec::new(),
        }
    }

    #[test]
    fn every_change_is_told_once() {
        let mut known = BTreeMap::new();
        let mut told = |now: Vec<Item>| -> Vec<(Event, String)> {
            let changes = changes(&mut known, now).into_iter();
            changes.map(|(event, item)| (event, item.name)).collect()
        };
        let name = |text: &str| text.to_owned();
        assert_eq!(told(vec![item("a", 1)]), [(Event::Added, name("a"))]);
        assert_eq!(told(vec![item("a", 1)]), []);
        assert_eq!(
            told(vec![item("a", 2), item("b", 1)]),
            [(Event::Modified, name("a")), (Event::Added, name("b"))]
        );
        assert_eq!(told(vec![item("b", 1)]), [(Event::Deleted, name("a"))]);
    }
}
