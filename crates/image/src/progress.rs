//! What is happening, for a person who waits.
//!
//! Events are hints: they go through a bounded channel, and one that finds it
//! full is dropped, so that a slow terminal never slows an unpack. What came of
//! the work is in the return value of the call, never only in an event.

use tokio::sync::mpsc;

use crate::digest::Digest;

/// One step of an import, a pull or a bootstrap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new stage begins, in words.
    Stage(String),
    /// A layer is being fetched.
    Fetching {
        /// The layer as it travels.
        blob: Digest,
        /// Bytes that have arrived.
        bytes_done: u64,
        /// Bytes in all.
        bytes_total: u64,
    },
    /// A layer is being unpacked.
    Unpacking {
        /// The layer as it travels, if that has a name.
        blob: Option<Digest>,
        /// Packed bytes that have been read.
        bytes_done: u64,
        /// Packed bytes in all.
        bytes_total: u64,
    },
    /// A layer is in the store.
    LayerReady {
        /// The layer's uncompressed content.
        layer: Digest,
        /// Whether it was there before.
        was_present: bool,
    },
}

/// Where events go; `Progress::none()` if nobody looks.
#[derive(Clone, Debug, Default)]
pub struct Progress(Option<mpsc::Sender<Event>>);

impl Progress {
    /// Events between two looks at the channel; more than that are dropped.
    pub const QUEUE_LEN: usize = 256;

    /// Bytes between two events of one layer.
    pub(crate) const STEP_BYTES: u64 = 1 << 20;

    /// Nobody looks.
    pub fn none() -> Self {
        Self(None)
    }

    /// A bounded channel, and its receiving end.
    pub fn channel() -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(Self::QUEUE_LEN);
        (Self(Some(sender)), receiver)
    }

    /// Tells of `event`, if there is room. Never waits.
    pub(crate) fn tell(&self, event: Event) {
        if let Some(sender) = &self.0 {
            // A full channel means that there is news enough to show; a closed
            // one that nobody looks any more. Neither is this work's concern.
            let _ = sender.try_send(event);
        }
    }

    pub(crate) fn stage(&self, text: impl Into<String>) {
        if self.0.is_some() {
            self.tell(Event::Stage(text.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_channel_drops_the_event_and_does_not_block() {
        let (progress, mut events) = Progress::channel();
        for n in 0..=Progress::QUEUE_LEN {
            progress.stage(n.to_string());
        }
        let mut seen = 0;
        while events.try_recv().is_ok() {
            seen += 1;
        }
        assert_eq!(seen, Progress::QUEUE_LEN);
    }
}
