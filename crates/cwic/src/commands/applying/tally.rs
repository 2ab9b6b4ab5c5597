//! Keeping count of what was refused, and the failure that comes of it.

use std::process::ExitCode;

use crate::commands::Ended;
use crate::error::{CliError, Exit};
use crate::input::Batch;
use crate::out::Out;

/// The most refusals that are told in one failure.
const TOLD_MAX: usize = 20;

/// What was refused so far.
#[derive(Debug)]
pub(super) struct Tally {
    /// How many documents there are.
    count: usize,
    /// How many were told already.
    told: usize,
    /// The kind of failure, as long as it is the same for all.
    exit: Option<Exit>,
    /// Those that were not told yet.
    kept: Vec<CliError>,
}

impl Tally {
    /// A count for all documents.
    pub(super) fn new(batch: &Batch) -> Self {
        Self {
            count: batch.documents.len() + batch.mistakes.len(),
            told: 0,
            exit: None,
            kept: Vec::new(),
        }
    }

    /// Tells of a refusal at once; the others go on.
    pub(super) fn refuse(&mut self, error: &CliError, out: &mut Out) {
        out.error(error);
        self.told += 1;
        let exit = error.exit();
        let same = self.exit.is_none_or(|before| before == exit);
        self.exit = Some(if same { exit } else { Exit::Failure });
    }

    /// Keeps a refusal, because of which nothing is going to be changed.
    pub(super) fn keep(&mut self, error: CliError) {
        self.kept.push(error);
    }

    /// Ends it all if a refusal was kept.
    pub(super) fn check(&mut self) -> Result<(), CliError> {
        let refused = self.kept.len();
        let Some(first) = self.kept.first().cloned() else {
            return Ok(());
        };
        if self.count == 1 {
            return Err(first);
        }
        let what = format!(
            "{refused} of {} documents are refused; nothing was changed",
            self.count
        );
        let mut error = CliError::new(first.exit(), what);
        error.reason.clone_from(&first.reason);
        error.request_id.clone_from(&first.request_id);
        for kept in self.kept.iter().take(TOLD_MAX) {
            for why in &kept.why {
                error.why.push(format!("{}: {why}", kept.what));
            }
        }
        if refused > TOLD_MAX {
            error.why.push(format!("and {} more", refused - TOLD_MAX));
        }
        Err(error.next("correct them, or make the others all the same: --continue-on-error"))
    }

    /// The failure that ends it in the middle.
    pub(super) fn stopped(error: CliError, done: usize, all: usize) -> CliError {
        if all == 1 {
            return error;
        }
        let left = all - done - 1;
        error.because(format!(
            "{done} documents were made before it; {left} after it were not tried"
        ))
    }

    /// The end, which is a failure if anything was refused.
    pub(super) fn end(self) -> Ended {
        let Some(exit) = self.exit else {
            return Ok(ExitCode::SUCCESS);
        };
        let (refused, count) = (self.told, self.count);
        let what = format!("{refused} of {count} documents were refused");
        Err(CliError::new(exit, what)
            .because("each is told above; the others were made")
            .next("correct them, and run the command again"))
    }
}
