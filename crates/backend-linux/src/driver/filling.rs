//! Making the file system of a sandbox, and filling it, before anything starts.

use std::sync::Arc;

use bytes::Bytes;
use palisade_backend::FetchError;
use palisade_model::snapshot::{FileSystem, Restore};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Driver, chain};
use crate::file_system::{ChunkReader, Made};
use crate::state::{self, End};

/// How often what did not come whole is asked for again.
const TRIES_MAX: u32 = 3;

/// What an archive comes through.
type Chunks = mpsc::Receiver<Result<Bytes, FetchError>>;

/// How one attempt went wrong.
enum Failed {
    /// It can be tried again.
    Lost,
    For(String),
}

impl Driver {
    /// Makes the file system that the launch asks for, if it does.
    pub(super) async fn file_system(&self) -> Result<Option<Made>, End> {
        let Some(wanted) = self.sandbox.launch.file_system.clone() else {
            return Ok(None);
        };
        let mut wishes = self.sandbox.wishes();
        tokio::select! {
            biased;
            _ = wishes.wait_for(|wish| wish.stop_by.is_some()) => Err(self.stopped()),
            made = self.make(&wanted) => made.map(Some).map_err(|reason| self.failed(&reason)),
        }
    }

    async fn make(&self, wanted: &FileSystem) -> Result<Made, String> {
        for _ in 1..TRIES_MAX {
            match self.try_to_make(wanted).await {
                Ok(made) => return Ok(made),
                Err(Failed::Lost) => {}
                Err(Failed::For(reason)) => return Err(reason),
            }
        }
        match self.try_to_make(wanted).await {
            Ok(made) => Ok(made),
            Err(Failed::Lost) => Err(crate::file_system::failed(&FetchError::Lost.to_string())),
            Err(Failed::For(reason)) => Err(reason),
        }
    }

    async fn try_to_make(&self, wanted: &FileSystem) -> Result<Made, Failed> {
        let Some(restore) = wanted.restore else {
            self.show_starting("making its file system");
            return self.make_and_fill(wanted.bytes, None).await;
        };
        self.show_starting("restoring its file system");
        let source = self.shared.config.snapshots.as_ref();
        let source = source.ok_or_else(|| Failed::For("no snapshots come here".to_owned()))?;
        let chunks = source.fetch(self.sandbox.id()).await;
        let chunks = chunks.map_err(|error| match error {
            FetchError::Lost => Failed::Lost,
            FetchError::Refused { message } => Failed::For(crate::file_system::failed(&message)),
        })?;
        self.make_and_fill(wanted.bytes, Some((restore, chunks)))
            .await
    }

    async fn make_and_fill(
        &self,
        bytes: u64,
        filling: Option<(Restore, Chunks)>,
    ) -> Result<Made, Failed> {
        let (shared, sandbox) = (Arc::clone(&self.shared), Arc::clone(&self.sandbox));
        let cancel = CancellationToken::new();
        // Nobody waits for what is given up, and it must not go on for long.
        let _abandoned = cancel.clone().drop_guard();
        let filling =
            filling.map(|(restore, chunks)| (restore, ChunkReader::new(chunks, cancel.clone())));
        let made = self.blocking(move || {
            let place = &sandbox.state;
            // Freeing waits for this, so that nothing appears after it.
            let held = state::hold(&place.starting_file())?;
            let _held = held.ok_or_else(|| std::io::Error::other("it is being started already"))?;
            if sandbox.is_unwanted() {
                return Err(std::io::Error::other("it was removed before it started"));
            }
            let maker = shared.file_systems.as_ref();
            let maker = maker
                .ok_or_else(|| std::io::Error::other("this host makes no file systems any more"))?;
            let made = maker.make(&place.file_system(), bytes)?;
            let Some((restore, reader)) = filling else {
                return Ok(Ok(made));
            };
            let lost = reader.lost();
            let filled = made.fill(&restore.content, bytes, reader, &cancel);
            Ok(match filled {
                Ok(()) => Ok(made),
                Err(_) if lost.is_cancelled() => Err(Failed::Lost),
                Err(reason) => Err(Failed::For(reason)),
            })
        });
        match made.await {
            Ok(made) => made,
            Err(error) => Err(Failed::For(format!(
                "its file system could not be made: {}",
                chain(&error)
            ))),
        }
    }
}
