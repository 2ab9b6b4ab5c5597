//! The seam behind which sandboxes run.
//!
//! [`Backend`] makes them exist and cease to; [`Attach`] talks to one that runs.
//! The contracts are in the traits, and `conformance` holds a test for each
//! sentence of them that every implementation runs, `fake` included. Nothing
//! here knows of containers, pods or a network.

pub mod attach;
pub mod backend;
#[cfg(feature = "testing")]
pub mod conformance;
#[cfg(feature = "testing")]
pub mod fake;
mod snapshots;
mod upload;

pub use attach::{
    Archive, Attach, AttachError, EXEC_QUEUE_MAX, Exec, ExecEvent, ExecInput, ExecSpec, FileError,
    LogChunk, LogQuery, Logs, Terminal, Tunnel, TunnelEvent,
};
pub use backend::{
    Backend, CapacityError, CpuUse, EnsureError, ListError, PauseError, RemoveError, Sighting,
    StopError, Usage, View,
};
pub use snapshots::{FetchError, SnapshotSource};
pub use upload::Upload;
