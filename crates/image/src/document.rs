//! The JSON documents of the image specification, and their checks.
//!
//! The only file that knows their field names. What comes out of
//! [`Manifest::parse`] and [`ImageDocument::parse`] is complete: digests are
//! digests, media types are ones that we can unpack, and counts are within the
//! limits. Both the OCI and the Docker spelling of media types are read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{ImageError, harmless};
use crate::limits::Limits;
use crate::platform::Platform;

const CONFIG_TYPES: [&str; 2] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
];

/// How a layer is packed is seen from its first bytes, as some tools write the
/// wrong one of these.
const LAYER_TYPES: [&str; 6] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
];

/// A manifest of one image, or an index of several.
#[derive(Clone, Debug)]
pub(crate) enum Manifest {
    /// One image.
    Image(ImageManifest),
    /// The same image for several platforms, or several images.
    Index(Vec<IndexEntry>),
}

/// The parts of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageManifest {
    pub(crate) config: Descriptor,
    /// Base first.
    pub(crate) layers: Vec<Descriptor>,
}

/// A named piece of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
}

/// One image of an index.
#[derive(Clone, Debug)]
pub(crate) struct IndexEntry {
    pub(crate) descriptor: Descriptor,
    /// `None` if the index does not say; such entries may be anything.
    pub(crate) platform: Option<Platform>,
    /// Whether the entry is for another system than Linux, or no image at all.
    pub(crate) is_foreign: bool,
    /// Names that the writer of an archive gave to the entry.
    pub(crate) names: Vec<String>,
}

/// The checked configuration document of one image.
#[derive(Clone, Debug)]
pub(crate) struct ImageDocument {
    pub(crate) platform: Platform,
    pub(crate) config: ConfigDocument,
    /// Digests of the unpacked layers, base first.
    pub(crate) diff_ids: Vec<Digest>,
}

/// The `config` object, as it is written.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ConfigDocument {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) env: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) working_dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(skip_serializing)]
    pub(crate) exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop_signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestWire {
    schema_version: u32,
    media_type: Option<String>,
    config: Option<DescriptorWire>,
    layers: Option<Vec<DescriptorWire>>,
    manifests: Option<Vec<DescriptorWire>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescriptorWire {
    media_type: Option<String>,
    digest: String,
    size: u64,
    platform: Option<PlatformWire>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct PlatformWire {
    architecture: String,
    os: String,
    variant: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct ImageWire {
    architecture: String,
    os: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    config: Option<ConfigDocument>,
    rootfs: RootfsWire,
}

#[derive(Deserialize, Serialize)]
struct RootfsWire {
    #[serde(rename = "type")]
    kind: String,
    diff_ids: Vec<String>,
}

const MANIFEST: &str = "the image's manifest";
const CONFIG: &str = "the image's configuration";

impl Manifest {
    /// Reads a manifest or an index.
    pub(crate) fn parse(json: &[u8], limits: &Limits) -> Result<Self, ImageError> {
        // No `..`: a field added to the document must be dealt with here.
        let ManifestWire {
            schema_version,
            media_type,
            config,
            layers,
            manifests,
        } = serde_json::from_slice(json)
            .map_err(|error| ImageError::malformed(MANIFEST, error.to_string()))?;
        if schema_version != 2 {
            return Err(ImageError::Unsupported {
                what: format!("a manifest of version {schema_version}"),
                instead: "push the image again with a tool of this decade",
            });
        }
        let is_index = media_type
            .as_deref()
            .is_some_and(|kind| kind.contains("index") || kind.contains("list"));
        match (config, layers, manifests) {
            (None, None, Some(entries)) => index(entries),
            (Some(config), Some(layers), None) if !is_index => image(&config, &layers, limits),
            _ => Err(ImageError::malformed(
                MANIFEST,
                "it is neither an image nor an index",
            )),
        }
    }
}

fn image(
    config: &DescriptorWire,
    layers: &[DescriptorWire],
    limits: &Limits,
) -> Result<Manifest, ImageError> {
    check_type(config, &CONFIG_TYPES, "a container image")?;
    if layers.len() > limits.layers_max {
        return Err(ImageError::TooLarge {
            what: "the number of layers",
            limit: limits.layers_max as u64,
        });
    }
    let config = config.descriptor(limits.document_bytes_max, "the configuration (bytes)")?;
    let layers = layers
        .iter()
        .map(|layer| {
            check_type(layer, &LAYER_TYPES, "a layer")?;
            layer.descriptor(limits.layer_bytes_max, "a layer (bytes)")
        })
        .collect::<Result<_, _>>()?;
    Ok(Manifest::Image(ImageManifest { config, layers }))
}

fn check_type(wire: &DescriptorWire, known: &[&str], wanted: &str) -> Result<(), ImageError> {
    match &wire.media_type {
        Some(kind) if known.contains(&kind.as_str()) => Ok(()),
        Some(kind) => Err(ImageError::Unsupported {
            what: format!("content of type {} as {wanted}", harmless(kind.as_bytes())),
            instead: "use a Linux container image with layers packed as tar, gzip or zstd",
        }),
        None => Err(ImageError::malformed(
            MANIFEST,
            "a part of it has no media type",
        )),
    }
}

/// Annotations that archives name their images with.
const NAMES: [&str; 2] = [
    "io.containerd.image.name",
    "org.opencontainers.image.ref.name",
];

fn index(entries: Vec<DescriptorWire>) -> Result<Manifest, ImageError> {
    let entries = entries.into_iter().map(|mut entry| {
        let annotations = entry.annotations.take().unwrap_or_default();
        let platform = entry.platform.take();
        let is_attestation = annotations.contains_key("vnd.docker.reference.type");
        let is_linux = platform
            .as_ref()
            .is_none_or(|platform| platform.os == "linux");
        Ok(IndexEntry {
            descriptor: entry.descriptor(u64::MAX, MANIFEST)?,
            platform: platform.map(|wire| wire.platform()),
            is_foreign: is_attestation || !is_linux,
            names: NAMES
                .iter()
                .filter_map(|key| annotations.get(*key).cloned())
                .collect(),
        })
    });
    Ok(Manifest::Index(entries.collect::<Result<_, ImageError>>()?))
}

impl DescriptorWire {
    fn descriptor(&self, bytes_max: u64, what: &'static str) -> Result<Descriptor, ImageError> {
        let digest = self.digest.parse().map_err(|error| {
            let shown = harmless(self.digest.as_bytes());
            ImageError::malformed(MANIFEST, format!("{shown} {error}"))
        })?;
        if self.size > bytes_max {
            return Err(ImageError::TooLarge {
                what,
                limit: bytes_max,
            });
        }
        Ok(Descriptor {
            digest,
            bytes: self.size,
        })
    }
}

impl PlatformWire {
    fn platform(&self) -> Platform {
        // It may end in a message, so it is made harmless here.
        let clean = |text: &str| -> String {
            let word = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
            text.chars().filter(word).take(32).collect()
        };
        let variant = self.variant.as_deref().map(clean);
        Platform::new(&clean(&self.architecture), variant.as_deref())
    }
}

/// Picks the entry of an index for `machine`, the closest one first.
pub(crate) fn choose<'a>(
    entries: impl Iterator<Item = &'a IndexEntry>,
    machine: &Platform,
) -> Result<&'a IndexEntry, ImageError> {
    let entries: Vec<_> = entries.filter(|entry| !entry.is_foreign).collect();
    let closeness = |entry: &IndexEntry| {
        let platform = entry.platform.as_ref().filter(|p| p.runs_on(machine))?;
        let is_same = platform.variant() == machine.variant();
        Some((is_same, platform.variant().is_none(), platform.clone()))
    };
    let best = entries
        .iter()
        .filter_map(|entry| Some((closeness(entry)?, *entry)))
        .max_by(|(a, _), (b, _)| a.cmp(b));
    if let Some((_, entry)) = best {
        return Ok(entry);
    }
    // An entry that names no platform is taken at its configuration's word.
    if let Some(entry) = entries.iter().find(|entry| entry.platform.is_none()) {
        return Ok(entry);
    }
    Err(ImageError::WrongPlatform {
        wanted: machine.clone(),
        available: entries.iter().filter_map(|e| e.platform.clone()).collect(),
    })
}

impl ImageDocument {
    /// Reads the configuration document of an image.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, ImageError> {
        let ImageWire {
            architecture,
            os,
            variant,
            config,
            rootfs: RootfsWire { kind, diff_ids },
        } = serde_json::from_slice(json)
            .map_err(|error| ImageError::malformed(CONFIG, error.to_string()))?;
        if os != "linux" || kind != "layers" {
            return Err(ImageError::Unsupported {
                what: format!("an image for {}", harmless(os.as_bytes())),
                instead: "use a Linux container image",
            });
        }
        let platform = PlatformWire {
            architecture,
            os,
            variant,
        }
        .platform();
        let diff_ids = diff_ids
            .iter()
            .map(|text| text.parse())
            .collect::<Result<_, _>>()
            .map_err(|error| ImageError::malformed(CONFIG, format!("a diff_id {error}")))?;
        Ok(Self {
            platform,
            config: config.unwrap_or_default(),
            diff_ids,
        })
    }

    /// Writes a configuration document; the same values give the same bytes.
    pub(crate) fn write(&self) -> Result<Vec<u8>, ImageError> {
        let wire = ImageWire {
            architecture: self.platform.architecture().to_owned(),
            os: "linux".to_owned(),
            variant: self.platform.variant().map(str::to_owned),
            config: Some(self.config.clone()),
            rootfs: RootfsWire {
                kind: "layers".to_owned(),
                diff_ids: self.diff_ids.iter().map(ToString::to_string).collect(),
            },
        };
        serde_json::to_vec(&wire).map_err(|error| ImageError::malformed(CONFIG, error.to_string()))
    }
}

#[cfg(test)]
mod tests;
