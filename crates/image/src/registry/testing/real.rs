//! The registry that other people use, on a free port of this machine.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::testing::{TestImage, layout};

/// A registry process; it ends with the value.
pub(crate) struct RealRegistry {
    child: Child,
    address: String,
    folder: TempDir,
}

/// `tester` with the password `s3cret`.
const HTPASSWD: &str = "tester:$2b$04$APG/fm2.mmWWBgkxxQrYFefqgrWU7ha3VztCxwRp6/ESbHIb/00IO\n";

impl RealRegistry {
    pub(crate) fn open() -> Self {
        Self::start("")
    }

    /// One that wants the name `tester` and the password `s3cret`.
    pub(crate) fn locked() -> Self {
        Self::start("auth: {htpasswd: {realm: test, path: HTPASSWD}}\n")
    }

    fn start(auth: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("htpasswd"), HTPASSWD).unwrap();
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: \"127.0.0.1:0\"}}\n{}",
            path("data"),
            auth.replace("HTPASSWD", &path("htpasswd")),
        );
        fs::write(path("config.yml"), config).unwrap();
        let mut child = Command::new("docker-registry")
            .args(["serve", &path("config.yml")])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the package docker-registry is installed");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .find_map(|line| {
                let line = line.unwrap();
                let (_, rest) = line.split_once("listening on ")?;
                Some(rest.split_once('"')?.0.to_owned())
            })
            .expect("the registry listens");
        // It must never wait for somebody to read what it says.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address,
            folder,
        }
    }

    /// A name in this registry.
    pub(crate) fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }

    /// A file with the credentials of `tester`.
    pub(crate) fn credentials(&self, password: &str) -> std::path::PathBuf {
        let path = self.folder.path().join("config.json");
        let entry = serde_json::json!({"username": "tester", "password": password});
        let json = serde_json::json!({"auths": {&self.address: entry}});
        fs::write(&path, json.to_string()).unwrap();
        path
    }

    /// Pushes the images of one layout, as one index if there are several.
    pub(crate) fn push(&self, images: &[TestImage], name: &str) {
        let folder = tempfile::tempdir().unwrap();
        write_layout(folder.path(), images);
        let pushed = Command::new("skopeo")
            .args(["copy", "--all", "--quiet", "--preserve-digests"])
            .args(["--dest-tls-verify=false", "--dest-creds=tester:s3cret"])
            .arg(format!("oci:{}:it", folder.path().display()))
            .arg(format!("docker://{}", self.name(name)))
            .output()
            .expect("the package skopeo is installed");
        let said = String::from_utf8_lossy(&pushed.stderr);
        assert!(pushed.status.success(), "{said}");
    }
}

/// A layout whose only name is `it`.
fn write_layout(folder: &Path, images: &[TestImage]) {
    let mut files = layout(images);
    let (_, index) = files.last_mut().unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(index).unwrap();
    for (entry, image) in json["manifests"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .zip(images)
    {
        entry["platform"] = serde_json::json!({"os": "linux", "architecture": image.architecture});
    }
    if images.len() > 1 {
        json["mediaType"] = "application/vnd.oci.image.index.v1+json".into();
        let inner = serde_json::to_vec(&json).unwrap();
        let digest = crate::Digest::of(&inner);
        json["manifests"] = serde_json::json!([{
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "digest": digest.to_string(), "size": inner.len()}]);
        *index = Vec::new();
        files.insert(0, (format!("blobs/sha256/{}", digest.hex()), inner));
    }
    let names = serde_json::json!({"org.opencontainers.image.ref.name": "it"});
    json["manifests"][0]["annotations"] = names;
    files.last_mut().unwrap().1 = serde_json::to_vec(&json).unwrap();
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

impl Drop for RealRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
