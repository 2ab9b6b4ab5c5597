//! Staying with a list and telling of every change.
//!
//! The server is asked again and again, at a steady pace; what is new, changed
//! or gone is written as it is seen. A server that is away for a while is waited
//! for, with growing pauses. It ends when the process is told to, or when the
//! server says that asking again cannot help.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::{Item, Listing};
use crate::cli::Format;
use crate::error::{CliError, Exit};
use crate::out::{Column, Layout, Out};

/// How long it is between two looks.
const PACE: Duration = Duration::from_secs(1);

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
    first: Vec<Item>,
    fetch: impl AsyncFn() -> Result<Vec<Item>, CliError>,
    out: &mut Out,
) -> Result<ExitCode, CliError> {
    let columns = columns(listing);
    let rows: Vec<_> = first
        .iter()
        .map(|item| row(listing, Event::Modified, item))
        .collect();
    let layout = Layout::of(&columns, &rows, out.width());
    let is_table = matches!(listing.args.output.output, Format::Table | Format::Wide);
    if is_table && !listing.args.no_headers {
        out.line(layout.heading(&columns));
    }
    let mut known = BTreeMap::new();
    let mut now = first;
    let mut pause = PACE;
    loop {
        for (event, item) in changes(&mut known, now) {
            write(listing, event, &item, &layout, out);
        }
        if out.is_closed() {
            return Ok(ExitCode::SUCCESS);
        }
        now = loop {
            sleep(pause).await;
            match fetch().await.and_then(|items| listing.chosen(items)) {
                Ok(items) => break items,
                Err(error) if may_pass(&error) => {
                    out.error(&error);
                    pause = (pause * 2).min(PAUSE_MAX);
                    out.note(format_args!("trying again in {} s", pause.as_secs()));
                }
                Err(error) => return Err(error),
            }
        };
        pause = PACE;
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
            Some(old) if old == item => {}
            Some(_) => changes.push((Event::Modified, item.clone())),
            None => changes.push((Event::Added, item.clone())),
        }
        known.insert(item.name.clone(), item);
    }
    changes.extend(before.into_values().map(|item| (Event::Deleted, item)));
    changes
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

fn write(listing: &Listing<'_>, event: Event, item: &Item, layout: &Layout, out: &mut Out) {
    match &listing.args.output.output {
        Format::Table | Format::Wide => out.line(layout.row(&row(listing, event, item))),
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
