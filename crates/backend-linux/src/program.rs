//! Process 1 of the sandboxes as a file on this host.
//!
//! The program is a part of this one. It is kept under the digest of its
//! content: sandboxes that run keep theirs while the runner is upgraded.

use std::io;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::init_binary::{self, INIT_BINARY};
use crate::network::hex;
use crate::state::State;

/// Has the program on the disk; tells where.
pub(crate) fn install(state: &State) -> io::Result<PathBuf> {
    let digest = hex(&Sha256::digest(INIT_BINARY)[..16]);
    let path = state.programs().join(format!("init-{digest}"));
    init_binary::write_to(&path)?;
    Ok(path)
}
