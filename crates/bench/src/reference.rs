//! The OCI runtime alone, on the bundle that the platform made for a sandbox.
//!
//! From the bundle of a running sandbox it keeps user namespace, mounts, seccomp
//! and limits; it runs `echo` instead of process 1 of the platform, in an empty
//! network namespace, on the image itself, read-only. It is to run in a mount
//! namespace of its own, with which what it mounts goes. So it does less than the
//! platform: no overlay, no cable, no rules.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{self, Instant};

/// Where runners keep what is to be gone after a reboot.
const RUN_DIRECTORY: &str = "/run/palisade";
/// The longest that one run may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A bundle, and the runtime that it is run with.
#[derive(Debug)]
pub(crate) struct Reference {
    bundle: TempDir,
}

impl Reference {
    /// Takes the bundle of a sandbox that runs, as the runtime remembers it.
    pub(crate) fn of_sandbox(id: &str, images: &Path) -> anyhow::Result<Self> {
        let found = find(Path::new(RUN_DIRECTORY), &|path| {
            path.ends_with("config.json") && path.to_string_lossy().contains(id)
        });
        let text = std::fs::read(found.context("the sandbox has no bundle")?)?;
        let mut config: Value = serde_json::from_slice(&text)?;
        let root = find(images, &|path| path.ends_with("usr/bin/python3.11"));
        let root = root.context("the image python:3.11 is not there")?;
        let root = root.ancestors().nth(3).context("the image has no root")?;
        let bundle = tempfile::Builder::new()
            .prefix("palisade-reference-")
            .tempdir()?;
        // Its user namespace has to get to the root, where nobody else may look.
        std::fs::set_permissions(bundle.path(), Permissions::from_mode(0o711))?;
        let place = bundle.path().join("root");
        std::fs::create_dir(&place)?;
        bind(root, &place)?;
        strip(&mut config, &place);
        std::fs::write(bundle.path().join("config.json"), config.to_string())?;
        Ok(Self { bundle })
    }

    /// Runs the bundle once; returns how long that took.
    pub(crate) async fn run(&self, name: &str) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let running = Command::new("crun")
            .arg("run")
            .arg("--bundle")
            .arg(self.bundle.path())
            .arg(name)
            .stdin(Stdio::null())
            .output();
        let ended = time::timeout(PATIENCE, running).await??;
        let took = began.elapsed();
        let errors = String::from_utf8_lossy(&ended.stderr);
        ensure!(ended.stdout == b"hello\n", "crun run failed: {errors}");
        Ok(took)
    }
}

fn bind(from: &Path, to: &Path) -> anyhow::Result<()> {
    let mut mount = std::process::Command::new("mount");
    // Read-only: taking the bundle away must not reach into the image.
    let bound = mount.args(["-o", "bind,ro"]).arg(from).arg(to).status()?;
    ensure!(bound.success(), "the image could not be bound");
    Ok(())
}

/// Takes out what needs the platform.
fn strip(config: &mut Value, root: &Path) {
    config["process"]["args"] = json!(["/bin/echo", "hello"]);
    config["process"]["cwd"] = json!("/");
    config["root"] = json!({ "path": root, "readonly": true });
    if let Some(map) = config.as_object_mut() {
        map.remove("hooks");
        map.remove("annotations");
    }
    if let Some(linux) = config["linux"].as_object_mut() {
        linux.remove("cgroupsPath");
    }
    if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
        for namespace in namespaces {
            if let Some(map) = namespace.as_object_mut() {
                map.remove("path");
            }
        }
    }
    // What is bound from the host hides files that a read-only image may lack.
    if let Some(mounts) = config["mounts"].as_array_mut() {
        mounts.retain(|mount| mount["type"] != "bind");
    }
}

/// The first file below a directory that is wanted.
fn find(directory: &Path, is_wanted: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_wanted(&path) {
                return Some(path);
            }
            if is_directory {
                directories.push(path);
            }
        }
    }
    None
}
