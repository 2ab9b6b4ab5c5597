//! `palisade program`: the program by which a sandbox can be asked what it reaches.
//!
//! A runner of a cluster has this run in the pods that are to be asked, as their
//! images need not have it.

use anyhow::Context as _;

use crate::cli::ProgramArgs;

/// Writes it.
pub(super) fn run(args: &ProgramArgs) -> anyhow::Result<()> {
    let ProgramArgs { file } = args;
    palisade_backend_linux::init_binary::write_to(file)
        .with_context(|| format!("the program was not written to {}", file.display()))
}
