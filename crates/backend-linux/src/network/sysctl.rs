//! Kernel settings of the network namespace that the calling thread is in.

use std::io;
use std::path::PathBuf;

/// A setting could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("could not access the kernel setting net.{name}")]
pub struct SysctlError {
    name: String,
    #[source]
    source: io::Error,
}

/// Whether the kernel has this setting. `name` is below `net`, with slashes.
pub(super) fn exists(name: &str) -> bool {
    path(name).exists()
}

/// Whether a setting has a value other than zero.
pub(super) fn is_on(name: &str) -> Result<bool, SysctlError> {
    let value = std::fs::read_to_string(path(name)).map_err(|source| failure(name, source))?;
    Ok(value.trim() != "0")
}

/// Sets a setting.
pub(super) fn set(name: &str, value: &str) -> Result<(), SysctlError> {
    std::fs::write(path(name), value).map_err(|source| failure(name, source))
}

/// Sets a setting that old kernels do not have.
pub(super) fn set_if_there(name: &str, value: &str) -> Result<(), SysctlError> {
    if exists(name) {
        set(name, value)
    } else {
        Ok(())
    }
}

fn path(name: &str) -> PathBuf {
    PathBuf::from("/proc/sys/net").join(name)
}

fn failure(name: &str, source: io::Error) -> SysctlError {
    SysctlError {
        name: name.replace('/', "."),
        source,
    }
}
