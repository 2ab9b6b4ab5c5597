//! Columns as values of the domain.

use std::str::FromStr;

use palisade_model::clock::Timestamp;
use palisade_model::profile::Revision;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::fault::fault;
use crate::error::Fault;
use crate::form::Unreadable;
use crate::page::{Page, PageSize};

/// Reads the columns of a row by their names.
pub(super) trait Columns {
    fn text(&self, column: &'static str) -> Result<String, Fault>;
    fn number(&self, column: &'static str) -> Result<i64, Fault>;
    fn bytes(&self, column: &'static str) -> Result<Vec<u8>, Fault>;
    fn optional_number(&self, column: &'static str) -> Result<Option<i64>, Fault>;

    /// A text that reads as a `T`.
    fn parsed<T: FromStr>(&self, column: &'static str) -> Result<T, Fault> {
        parsed(column, &self.text(column)?)
    }

    fn instant(&self, column: &'static str) -> Result<Timestamp, Fault> {
        self.number(column).map(Timestamp::from_micros)
    }

    fn optional_instant(&self, column: &'static str) -> Result<Option<Timestamp>, Fault> {
        let micros = self.optional_number(column)?;
        Ok(micros.map(Timestamp::from_micros))
    }

    fn revision(&self, column: &'static str) -> Result<Revision, Fault> {
        let number = u32::try_from(self.number(column)?);
        number
            .map(Revision)
            .map_err(|_| Unreadable::new("column", column).into())
    }
}

impl Columns for SqliteRow {
    fn text(&self, column: &'static str) -> Result<String, Fault> {
        self.try_get(column).map_err(fault)
    }

    fn number(&self, column: &'static str) -> Result<i64, Fault> {
        self.try_get(column).map_err(fault)
    }

    fn bytes(&self, column: &'static str) -> Result<Vec<u8>, Fault> {
        self.try_get(column).map_err(fault)
    }

    fn optional_number(&self, column: &'static str) -> Result<Option<i64>, Fault> {
        self.try_get(column).map_err(fault)
    }
}

pub(super) fn parsed<T: FromStr>(column: &'static str, text: &str) -> Result<T, Fault> {
    text.parse()
        .map_err(|_| Unreadable::new("column", column).into())
}

/// How many rows to ask for: one more than wanted, which tells of a next page.
pub(super) fn limit(size: PageSize) -> i64 {
    i64::try_from(size.get()).map_or(i64::MAX, |size| size + 1)
}

/// The page that the rows make, asked for with [`limit`].
pub(super) fn page<T, K>(
    rows: &[SqliteRow],
    size: PageSize,
    item: fn(&SqliteRow) -> Result<T, Fault>,
    key: fn(&T) -> K,
) -> Result<Page<T, K>, Fault> {
    let shown = rows.iter().take(size.get());
    let items = shown.map(item).collect::<Result<Vec<_>, _>>()?;
    let next = items.last().filter(|_| rows.len() > size.get()).map(key);
    Ok(Page { items, next })
}
