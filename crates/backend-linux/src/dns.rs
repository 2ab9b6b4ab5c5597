//! The resolver of the runner: the only one that its sandboxes can reach.

mod directory;

pub use directory::{Directory, Names};
