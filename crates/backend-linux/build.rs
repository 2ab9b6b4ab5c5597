//! Builds `palisade-init` as a static executable, so that it can be part of this
//! crate: there is one program to ship, and process 1 always fits it.
//!
//! A second cargo does that, with a target directory of its own, as the first one
//! holds the lock of its. It runs whatever the first one does, `check` and `doc`
//! included, but only builds what has changed. Where nothing may be built, as on
//! a documentation service (`DOCS_RS` is set), an empty file stands in for it,
//! which can be included but not run.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is built.
const PACKAGE: &str = "palisade-init";

/// The profile of the workspace that it is built with.
const PROFILE: &str = "init";

/// What the first cargo says to its compilers, and the second must not hear:
/// lints, wrappers, flags and profiles are for this machine and this run.
const NOT_INHERITED: &[&str] = &[
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "CARGO_ENCODED_RUSTDOCFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_BUILD_BUILD_DIR",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
    "LLVM_PROFILE_FILE",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    let binary = out.join(PACKAGE);
    println!("cargo::rerun-if-env-changed=DOCS_RS");
    if env::var_os("DOCS_RS").is_some() {
        fs::write(&binary, [])?;
        return Ok(());
    }
    let root = root()?;
    for source in [
        "crates/init/src",
        "crates/init/Cargo.toml",
        "crates/init-channel/src",
        "crates/init-channel/Cargo.toml",
        "crates/init-protocol/src",
        "crates/init-protocol/Cargo.toml",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    let built = build(&root, &out.join("init"))?;
    replace_if_changed(&built, &binary)?;
    Ok(())
}

/// Builds it, and returns where it is.
fn build(root: &Path, target_directory: &Path) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let target = variable("TARGET")?;
    let mut cargo = Command::new(variable("CARGO")?);
    for (name, _) in env::vars_os() {
        if is_not_inherited(&name) {
            cargo.env_remove(name);
        }
    }
    let status = cargo
        .current_dir(root)
        // With a target named, the flags are not for procedural macros.
        .args(["build", "--locked", "--package", PACKAGE])
        .args(["--profile", PROFILE, "--target"])
        .arg(&target)
        .arg("--target-dir")
        .arg(target_directory)
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .status()?;
    if !status.success() {
        return Err(format!("{PACKAGE} could not be built: {status}").into());
    }
    Ok(target_directory.join(target).join(PROFILE).join(PACKAGE))
}

fn is_not_inherited(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    NOT_INHERITED.contains(&name.as_ref())
        || name.starts_with("CARGO_PROFILE_")
        || name.starts_with("CARGO_CFG_")
        || name.starts_with("CARGO_FEATURE_")
        || (name.starts_with("CARGO_TARGET_") && name.ends_with("_RUSTFLAGS"))
}

/// Whatever includes the file is built again only if there is something new.
fn replace_if_changed(new: &Path, old: &Path) -> io::Result<()> {
    let bytes = fs::read(new)?;
    if fs::read(old).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    fs::write(old, bytes)
}

fn root() -> Result<PathBuf, Box<dyn std::error::Error>> {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let root = here.ancestors().nth(2).ok_or("the workspace has no root")?;
    Ok(root.to_path_buf())
}

fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("cargo did not set {name}"))
}
