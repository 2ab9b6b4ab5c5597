//! The one task that acts on one sandbox.
//!
//! ```text
//!  record ─► start ─► watch process 1 ─► write the end ─► free ─► wait ─► remove
//!     any time: a wish for removal ─────────────────────────────────────┘
//! ```
//!
//! In: wishes, the end of process 1. Out: views, and the sandbox itself. Ends
//! when the sandbox is gone, or the backend closes; then the sandbox goes on
//! without it, and the next run's driver takes over from what is on the disk.

mod booking;
pub(crate) mod ending;
mod filling;
mod freezing;
mod starting;
pub(crate) mod watching;

use std::error::Error;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use palisade_backend::View;
use tokio::time;
use tracing::{info, warn};

use crate::room;
use crate::sandbox::{Frozen, Recorded, Removal, Sandbox};
use crate::shared::Shared;
use crate::state::End;

/// How long to wait before trying again to free what could not be freed.
const RETRY: Duration = Duration::from_secs(1);

/// Where a driver takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// Nothing is written down yet.
    Wish,
    /// It is written down; nothing of it ever ran.
    Record,
    /// It was started.
    Start,
    /// It runs, but its policy is not in force any more.
    Unguarded,
    /// It has ended, and all is free.
    End,
}

/// Acts on one sandbox.
#[derive(Debug)]
pub(crate) struct Driver {
    shared: Arc<Shared>,
    sandbox: Arc<Sandbox>,
}

impl Driver {
    /// Makes the task that acts on a sandbox.
    pub(crate) fn spawn(shared: &Arc<Shared>, sandbox: &Arc<Sandbox>, from: From) {
        let driver = Self {
            shared: Arc::clone(shared),
            sandbox: Arc::clone(sandbox),
        };
        let closing = shared.closing.clone();
        shared.tasks.spawn(async move {
            // What is dropped half-way is found again by the next run.
            tokio::select! {
                biased;
                () = closing.cancelled() => {}
                () = driver.run(from) => {}
            }
        });
    }

    async fn run(self, from: From) {
        match from {
            From::Wish => {
                if !self.record().await {
                    return;
                }
            }
            From::Record | From::Start | From::Unguarded | From::End => {
                self.sandbox.set_recorded(Recorded::Yes);
            }
        }
        if from != From::End {
            let mut wishes = self.sandbox.wishes();
            // The life leaves nothing that freeing does not find.
            let end = tokio::select! {
                biased;
                _ = wishes.wait_for(|wish| wish.removals > 0) => None,
                end = self.live(from) => Some(end),
            };
            self.shared.handed.forget(self.sandbox.id());
            self.sandbox.set_frozen(Frozen::Never);
            if let Some(end) = end {
                self.end(end).await;
            }
        }
        self.remove_when_wished().await;
    }

    /// Writes the wish down; `false` if that failed, and then nothing exists.
    async fn record(&self) -> bool {
        let sandbox = Arc::clone(&self.sandbox);
        let written = self.blocking(move || sandbox.state.record(&sandbox.launch));
        match written.await {
            Ok(file) => {
                self.sync(file);
                true
            }
            Err(error) => {
                self.give_up_recording(&error);
                let sandbox = Arc::clone(&self.sandbox);
                // What is left of it has no launch, and goes at the next start.
                let _ = self.blocking(move || sandbox.state.remove()).await;
                self.shared.sandboxes().remove(&self.sandbox.id());
                self.sandbox.set_removal(Removal::Done);
                false
            }
        }
    }

    /// Has the wish on the disk while the sandbox starts already: whoever
    /// wished waits for both, and the disk takes its time.
    fn sync(&self, file: File) {
        let sandbox = Arc::clone(&self.sandbox);
        self.shared
            .tasks
            .spawn_blocking(move || match file.sync_data() {
                Ok(()) => sandbox.set_recorded(Recorded::Yes),
                Err(error) => {
                    sandbox.set_recorded(Recorded::Failed(error.to_string()));
                    // Nobody was told that it exists.
                    sandbox.wish_removal();
                }
            });
    }

    fn give_up_recording(&self, error: &std::io::Error) {
        warn!(sandbox.id = %self.sandbox.id(), error = %error, "could not record a sandbox");
        self.sandbox
            .set_recorded(Recorded::Failed(error.to_string()));
    }

    async fn live(&self, from: From) -> End {
        match from {
            From::Wish | From::Record => match self.start().await {
                Ok(()) => self.watch().await,
                Err(end) => end,
            },
            From::Start | From::End => self.watch().await,
            From::Unguarded => self.give_up().await,
        }
    }

    /// Writes down how it ended, frees what it held, and shows it.
    async fn end(&self, end: End) {
        let mut wishes = self.sandbox.wishes();
        loop {
            let Err(error) = self.try_end(end.clone()).await else {
                break;
            };
            warn!(
                sandbox.id = %self.sandbox.id(),
                error = %error,
                "could not free what a sandbox held; trying again"
            );
            let unwanted = wishes.wait_for(|wish| wish.removals > 0);
            if time::timeout(RETRY, unwanted).await.is_ok() {
                return;
            }
        }
        info!(sandbox.id = %self.sandbox.id(), "sandbox has ended");
        self.shared.show(&self.sandbox, end.view());
    }

    async fn try_end(&self, end: End) -> std::io::Result<()> {
        let (shared, sandbox) = (Arc::clone(&self.shared), Arc::clone(&self.sandbox));
        self.blocking(move || match sandbox.state.record_end(&end) {
            // What it holds is the room that is missing. Should the runner end before it
            // is written down, the end is found out anew.
            Err(error) if room::is_missing(&error) => {
                shared.free(&sandbox.state)?;
                sandbox.state.record_end(&end)
            }
            recorded => recorded.and_then(|()| shared.free(&sandbox.state)),
        })
        .await?;
        self.release_image().await
    }

    async fn remove_when_wished(&self) {
        let mut wishes = self.sandbox.wishes();
        let mut tried = 0;
        loop {
            let another = wishes.wait_for(|wish| wish.removals > tried).await;
            let Ok(attempt) = another.map(|wish| wish.removals) else {
                return;
            };
            tried = attempt;
            match self.remove().await {
                Ok(()) => break,
                Err(error) => self.sandbox.set_removal(Removal::Failed {
                    attempt,
                    message: error.to_string(),
                }),
            }
        }
        self.shared.sandboxes().remove(&self.sandbox.id());
        self.sandbox.set_removal(Removal::Done);
        self.shared.hints.hint(self.sandbox.id());
        info!(sandbox.id = %self.sandbox.id(), "sandbox is gone");
    }

    async fn remove(&self) -> std::io::Result<()> {
        let (shared, sandbox) = (Arc::clone(&self.shared), Arc::clone(&self.sandbox));
        self.blocking(move || shared.free(&sandbox.state)).await?;
        self.release_image().await?;
        let sandbox = Arc::clone(&self.sandbox);
        self.blocking(move || sandbox.state.remove()).await
    }

    async fn release_image(&self) -> std::io::Result<()> {
        let holder = self.shared.holder(self.sandbox.id());
        let holder = holder.map_err(std::io::Error::other)?;
        let released = self.shared.config.images.store().release(&holder).await;
        released.map_err(std::io::Error::other)
    }

    /// Shows what is being done to start it.
    fn show_starting(&self, what: &str) {
        self.shared
            .show(&self.sandbox, View::Starting(what.to_owned()));
    }

    /// Does something that blocks, to its end even if nobody waits for it.
    async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> std::io::Result<T> + Send + 'static,
    ) -> std::io::Result<T> {
        let done = self.shared.tasks.spawn_blocking(act).await;
        done.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }
}

/// An error with everything that led to it, as one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
