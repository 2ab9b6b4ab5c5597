//! Process 1 of the sandboxes as a file on this host.
//!
//! The program is a part of this one. It is kept under the digest of its
//! content: sandboxes that run keep theirs while the runner is upgraded.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::init_binary::{self, INIT_BINARY};
use crate::network::hex;
use crate::state::State;

/// Where the program is.
pub(crate) fn place(state: &State) -> PathBuf {
    let digest = hex(&Sha256::digest(INIT_BINARY)[..16]);
    state.programs().join(format!("init-{digest}"))
}

/// Has the program on the disk. One that is there stays: on a full disk another copy
/// would find no room.
pub(crate) fn install(place: &Path) -> io::Result<()> {
    let is_there = fs::read(place).is_ok_and(|kept| !kept.is_empty() && kept == INIT_BINARY);
    if is_there {
        return Ok(());
    }
    init_binary::write_to(place)
}
