//! Archives and images for tests, the malformed ones included.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use palisade_model::clock::{Clock, Timestamp};
use tar::{EntryType, Header};

use crate::{Digest, Image, ImageError, Platform, Progress, Settings, Source, Store};

/// An archive in the making.
#[derive(Debug, Default)]
pub(crate) struct Archive(Vec<u8>);

impl Archive {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn file(self, path: &str, content: &[u8]) -> Self {
        self.entry(path, EntryType::Regular, content, |_| {})
    }

    pub(crate) fn directory(self, path: &str) -> Self {
        self.entry(path, EntryType::Directory, b"", |header| {
            header.set_mode(0o755);
        })
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.link(path, EntryType::Symlink, target)
    }

    pub(crate) fn hardlink(self, path: &str, target: &str) -> Self {
        self.link(path, EntryType::Link, target)
    }

    pub(crate) fn device(self, path: &str, major: u32, minor: u32) -> Self {
        self.entry(path, EntryType::Char, b"", |header| {
            header.set_device_major(major).unwrap();
            header.set_device_minor(minor).unwrap();
        })
    }

    /// An extended header for the entry that follows.
    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut body = Vec::new();
        for (key, value) in records {
            body.extend_from_slice(&pax_line(key.as_bytes(), value));
        }
        self.entry("pax", EntryType::XHeader, &body, |_| {})
    }

    /// Any entry; names are written as they are, however hostile.
    pub(crate) fn entry(
        mut self,
        path: &str,
        kind: EntryType,
        content: &[u8],
        change: impl FnOnce(&mut Header),
    ) -> Self {
        let mut header = Header::new_gnu();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_600_000_000);
        header.set_size(content.len() as u64);
        change(&mut header);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }

    /// Everything so far, without an end.
    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0
    }

    fn link(self, path: &str, kind: EntryType, target: &str) -> Self {
        self.entry(path, kind, b"", |header| {
            header.set_link_name_literal(target).unwrap();
        })
    }
}

pub(crate) fn pax_line(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [format!("{length} ").as_bytes(), key, b"=", value, b"\n"].concat()
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A clock that stands still.
#[derive(Debug)]
pub(crate) struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000)
    }
}

/// An image in the making, to be written in any of the forms.
#[derive(Clone, Debug)]
pub(crate) struct TestImage {
    pub(crate) layers: Vec<Vec<u8>>,
    pub(crate) config: serde_json::Value,
    pub(crate) architecture: String,
    pub(crate) names: Vec<String>,
}

impl TestImage {
    /// An image of layers that are each one file.
    pub(crate) fn of_files(files: &[(&str, &str)]) -> Self {
        let layer =
            |(path, content): &(&str, &str)| Archive::new().file(path, content.as_bytes()).finish();
        Self {
            layers: files.iter().map(layer).collect(),
            config: serde_json::json!({"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]}),
            architecture: Platform::of_this_machine().architecture().to_owned(),
            names: Vec::new(),
        }
    }

    pub(crate) fn named(mut self, name: &str) -> Self {
        self.names.push(name.to_owned());
        self
    }

    pub(crate) fn document(&self) -> Vec<u8> {
        let diff_ids = self
            .layers
            .iter()
            .map(|layer| Digest::of(layer).to_string());
        let document = serde_json::json!({
            "architecture": self.architecture, "os": "linux", "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids.collect::<Vec<_>>()},
        });
        serde_json::to_vec(&document).unwrap()
    }

    pub(crate) fn id(&self) -> Digest {
        Digest::of(&self.document())
    }

    /// The blobs of an OCI layout, and the digest and size of the manifest.
    pub(crate) fn blobs(&self) -> (Vec<Vec<u8>>, serde_json::Value) {
        let mut blobs: Vec<Vec<u8>> = self.layers.iter().map(|layer| gzip(layer)).collect();
        let descriptor = |kind: &str, blob: &[u8]| {
            serde_json::json!({"mediaType": format!("application/vnd.oci.image.{kind}"),
                "digest": Digest::of(blob).to_string(), "size": blob.len()})
        };
        let layers: Vec<_> = blobs
            .iter()
            .map(|blob| descriptor("layer.v1.tar+gzip", blob))
            .collect();
        let document = self.document();
        let manifest = serde_json::json!({"schemaVersion": 2,
            "config": descriptor("config.v1+json", &document), "layers": layers});
        let manifest = serde_json::to_vec(&manifest).unwrap();
        let mut top = descriptor("manifest.v1+json", &manifest);
        if let Some(name) = self.names.first() {
            top["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": name});
        }
        blobs.push(document);
        blobs.push(manifest);
        (blobs, top)
    }
}

/// The files of an OCI layout with these images.
pub(crate) fn layout(images: &[TestImage]) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![(
        "oci-layout".to_owned(),
        br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
    )];
    let mut manifests = Vec::new();
    for image in images {
        let (blobs, top) = image.blobs();
        manifests.push(top);
        for blob in blobs {
            files.push((format!("blobs/sha256/{}", Digest::of(&blob).hex()), blob));
        }
    }
    let index = serde_json::json!({"schemaVersion": 2, "manifests": manifests});
    files.push(("index.json".to_owned(), serde_json::to_vec(&index).unwrap()));
    files
}

pub(crate) fn archive_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let archive = files
        .iter()
        .fold(Archive::new(), |archive, (path, content)| {
            archive.pax(&[("path", path.as_bytes())]).file("f", content)
        });
    archive.finish()
}

/// What `docker save` writes.
pub(crate) fn docker_save(images: &[TestImage]) -> Vec<u8> {
    let mut files = Vec::new();
    let mut manifest = Vec::new();
    for image in images {
        let name = |layer: &Vec<u8>| format!("{}/layer.tar", Digest::of(layer).hex());
        let config = format!("{}.json", image.id().hex());
        manifest.push(
            serde_json::json!({"Config": config, "RepoTags": image.names,
            "Layers": image.layers.iter().map(name).collect::<Vec<_>>()}),
        );
        files.push((config, image.document()));
        files.extend(
            image
                .layers
                .iter()
                .map(|layer| (name(layer), layer.clone())),
        );
    }
    files.push((
        "manifest.json".to_owned(),
        serde_json::to_vec(&manifest).unwrap(),
    ));
    archive_of(&files)
}

pub(crate) async fn open_store(root: &Path) -> Store {
    Store::open(Settings::new(root), Arc::new(Noon))
        .await
        .unwrap()
}

/// Imports an archive from memory.
pub(crate) async fn import(
    store: &Store,
    archive: Vec<u8>,
    name: &str,
) -> Result<Arc<Image>, ImageError> {
    let source = Source::Reader(Box::new(std::io::Cursor::new(archive)));
    let reference = name.parse().unwrap();
    let imported = store
        .import(source, Some(&reference), &Progress::none())
        .await?;
    Ok(imported.image)
}
