//! Files that arrived and are not written yet: a disk that can be made slow.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

#[derive(Debug, Default)]
pub(super) struct Uploads {
    are_held: watch::Sender<bool>,
    held: Mutex<Vec<String>>,
}

/// A file that is held up; no more once it is dropped.
struct Held<'a> {
    uploads: &'a Uploads,
    path: &'a str,
}

impl Uploads {
    pub(super) fn hold(&self, are_held: bool) {
        self.are_held.send_replace(are_held);
    }

    pub(super) fn held(&self) -> Vec<String> {
        self.lock().clone()
    }

    /// Waits for as long as files are held up.
    pub(super) async fn pass(&self, path: &str) {
        self.lock().push(path.to_owned());
        let _held = Held {
            uploads: self,
            path,
        };
        let mut are_held = self.are_held.subscribe();
        // The sender is here as long as this is.
        let _ = are_held.wait_for(|are_held| !are_held).await;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut held = self.uploads.lock();
        if let Some(at) = held.iter().position(|path| path == self.path) {
            held.swap_remove(at);
        }
    }
}
