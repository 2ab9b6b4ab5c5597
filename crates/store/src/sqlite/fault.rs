//! Which failures of SQLite may pass, and which need a person.

use std::error::Error;
use std::sync::Arc;

use crate::error::Fault;

/// Primary result codes after which trying again is no use: a statement that
/// the schema does not fit, a corrupt file, too much in one value, a broken
/// constraint, a value of another type, and a file that is no database.
const LASTING: [i32; 6] = [1, 11, 18, 19, 20, 26];

/// Takes a failure for what it means to the caller.
pub(super) fn fault(error: sqlx::Error) -> Fault {
    if is_lasting(&error) {
        Fault::Damaged(Arc::new(error))
    } else {
        Fault::Unavailable(Arc::new(error))
    }
}

/// Whether the same call would fail again.
fn is_lasting(error: &sqlx::Error) -> bool {
    if let sqlx::Error::Database(database) = error {
        let code = database.code().and_then(|code| code.parse::<i32>().ok());
        // The low byte of an extended code is the primary one.
        return code.is_some_and(|code| LASTING.contains(&(code & 0xff)));
    }
    matches!(
        error,
        sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::TypeNotFound { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::RowNotFound
    )
}

/// A failure of the file system.
pub(super) fn unavailable(error: impl Error + Send + Sync + 'static) -> Fault {
    Fault::Unavailable(Arc::new(error))
}
