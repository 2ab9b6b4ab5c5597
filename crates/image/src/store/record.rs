//! The records of the store: JSON files, one for each image, name and layer.
//!
//! The only file that knows their field names. A record that does not read is
//! an error and never a half-filled value. The record of an image holds the
//! image's configuration byte for byte, so that reading it checks its digest.

use std::fs;
use std::io;
use std::path::Path;

use palisade_model::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::layout::{Layout, record_name};
use crate::config::Config;
use crate::digest::Digest;
use crate::document::ImageDocument;
use crate::error::ImageError;
use crate::image::{Image, Origin};
use crate::unpack::Weight;

/// What is known about a name of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReferenceRecord {
    pub(crate) reference: String,
    pub(crate) image: Digest,
    /// The manifest or index that the name stood for when it was pulled.
    pub(crate) manifest: Option<Digest>,
    pub(crate) origin: Origin,
    pub(crate) stored_at: Timestamp,
}

/// What is known about a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LayerRecord {
    pub(crate) weight: Weight,
    pub(crate) is_opaque: bool,
}

#[derive(Serialize, Deserialize)]
struct ReferenceFile {
    reference: String,
    image: String,
    manifest: Option<String>,
    origin: OriginFile,
    stored_at_micros: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OriginFile {
    Pulled,
    Imported,
    Built,
}

#[derive(Serialize, Deserialize)]
struct LayerFile {
    bytes: u64,
    entries: u64,
    is_opaque: bool,
}

#[derive(Serialize, Deserialize)]
struct ImageFile {
    /// The image's configuration document, exactly as it came.
    document: String,
}

/// The name of a layer's record in the layer's directory.
pub(crate) const LAYER_FILE: &str = "layer.json";
/// The name of a layer's content in the layer's directory.
pub(crate) const LAYER_TREE: &str = "tree";

impl ReferenceRecord {
    pub(crate) fn write(&self) -> Result<Vec<u8>, ImageError> {
        // No `..`: a field added to the record must be dealt with here.
        let Self {
            reference,
            image,
            manifest,
            origin,
            stored_at,
        } = self;
        to_json(&ReferenceFile {
            reference: reference.clone(),
            image: image.to_string(),
            manifest: manifest.as_ref().map(ToString::to_string),
            origin: match origin {
                Origin::Pulled => OriginFile::Pulled,
                Origin::Imported => OriginFile::Imported,
                Origin::Built => OriginFile::Built,
            },
            stored_at_micros: stored_at.as_micros(),
        })
    }

    /// Reads the record at `path`; `None` if there is none.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, ImageError> {
        let Some(bytes) = read(path)? else {
            return Ok(None);
        };
        let ReferenceFile {
            reference,
            image,
            manifest,
            origin,
            stored_at_micros,
        } = from_json(&bytes)?;
        let digest = |text: &str| text.parse().map_err(|_| damaged());
        Ok(Some(Self {
            reference,
            image: digest(&image)?,
            manifest: manifest.as_deref().map(digest).transpose()?,
            origin: match origin {
                OriginFile::Pulled => Origin::Pulled,
                OriginFile::Imported => Origin::Imported,
                OriginFile::Built => Origin::Built,
            },
            stored_at: Timestamp::from_micros(stored_at_micros),
        }))
    }
}

impl LayerRecord {
    pub(crate) fn write(&self) -> Result<Vec<u8>, ImageError> {
        let Self {
            weight: Weight { bytes, entries },
            is_opaque,
        } = *self;
        to_json(&LayerFile {
            bytes,
            entries,
            is_opaque,
        })
    }

    /// Reads the record of a layer; `None` if the layer is not there.
    pub(crate) fn read(layout: &Layout, layer: &Digest) -> Result<Option<Self>, ImageError> {
        let Some(file) = read(&layout.layer(layer).join(LAYER_FILE))? else {
            return Ok(None);
        };
        let LayerFile {
            bytes,
            entries,
            is_opaque,
        } = from_json(&file)?;
        Ok(Some(Self {
            weight: Weight { bytes, entries },
            is_opaque,
        }))
    }
}

/// Writes the record of an image, unless it is there.
///
/// The caller holds the lock of the index, and the layers are there.
pub(crate) fn write_image(layout: &Layout, document: &[u8]) -> Result<Digest, ImageError> {
    let id = Digest::of(document);
    let path = layout.images().join(record_name(&id));
    if path.exists() {
        return Ok(id);
    }
    let text = std::str::from_utf8(document)
        .map_err(|_| ImageError::malformed("the image's configuration", "it is not UTF-8"))?;
    let file = to_json(&ImageFile {
        document: text.to_owned(),
    })?;
    layout.write_record(&layout.images(), &id, &file)?;
    Ok(id)
}

/// Reads an image and what its layers weigh; `None` if it is not there.
pub(crate) fn read_image(layout: &Layout, id: &Digest) -> Result<Option<Image>, ImageError> {
    let Some(file) = read(&layout.images().join(record_name(id)))? else {
        return Ok(None);
    };
    let ImageFile { document } = from_json(&file)?;
    if Digest::of(document.as_bytes()) != *id {
        return Err(damaged());
    }
    let ImageDocument {
        platform,
        config,
        diff_ids,
    } = ImageDocument::parse(document.as_bytes())?;
    let mut image = Image {
        id: *id,
        layers: diff_ids,
        lower_dirs: Vec::new(),
        config: Config::from_document(config)?,
        platform,
        bytes: 0,
    };
    stack(layout, &mut image)?;
    Ok(Some(image))
}

/// Finds the directories of the image's layers, topmost first.
fn stack(layout: &Layout, image: &mut Image) -> Result<(), ImageError> {
    for layer in image.layers.iter().rev() {
        let record = LayerRecord::read(layout, layer)?.ok_or_else(damaged)?;
        let directory = layout.layer(layer).join(LAYER_TREE);
        if image.lower_dirs.contains(&directory) {
            continue;
        }
        image.lower_dirs.push(directory);
        image.bytes += record.weight.bytes;
        if record.is_opaque {
            break;
        }
    }
    if image.lower_dirs.is_empty() {
        image.lower_dirs.push(layout.empty());
    }
    Ok(())
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, ImageError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ImageError::store("reading a record", error)),
    }
}

fn to_json(file: &impl Serialize) -> Result<Vec<u8>, ImageError> {
    serde_json::to_vec(file).map_err(|error| ImageError::store("writing a record", error))
}

fn from_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ImageError> {
    serde_json::from_slice(bytes).map_err(|error| ImageError::store("reading a record", error))
}

fn damaged() -> ImageError {
    let cause = io::Error::new(io::ErrorKind::InvalidData, "a record is damaged");
    ImageError::store("reading a record", cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::ConfigDocument;
    use crate::platform::Platform;

    fn layer(layout: &Layout, name: &[u8], is_opaque: bool) -> Digest {
        let digest = Digest::of(name);
        let directory = layout.layer(&digest);
        fs::create_dir_all(directory.join(LAYER_TREE)).unwrap();
        let weight = Weight {
            bytes: 10,
            entries: 1,
        };
        let record = LayerRecord { weight, is_opaque };
        fs::write(directory.join(LAYER_FILE), record.write().unwrap()).unwrap();
        digest
    }

    fn image(layout: &Layout, diff_ids: &[Digest]) -> Image {
        let document = ImageDocument {
            platform: Platform::new("amd64", None),
            config: ConfigDocument::default(),
            diff_ids: diff_ids.to_vec(),
        };
        let id = write_image(layout, &document.write().unwrap()).unwrap();
        read_image(layout, &id).unwrap().unwrap()
    }

    #[test]
    fn lower_directories_are_topmost_first_and_each_once() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        let (a, b) = (layer(&layout, b"a", false), layer(&layout, b"b", false));
        let tree = |layer: &Digest| layout.layer(layer).join(LAYER_TREE);
        let stacked = image(&layout, &[a, b, a]);
        assert_eq!(stacked.lower_dirs, [tree(&a), tree(&b)]);
        assert_eq!(stacked.bytes, 20);
        assert_eq!(image(&layout, &[b, a]).lower_dirs, [tree(&a), tree(&b)]);
    }

    #[test]
    fn nothing_is_stacked_under_a_layer_that_hides_it() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        let (a, b) = (layer(&layout, b"a", false), layer(&layout, b"b", true));
        assert_eq!(image(&layout, &[a, b]).lower_dirs.len(), 1);
    }

    #[test]
    fn an_image_without_layers_has_an_empty_directory() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        assert_eq!(image(&layout, &[]).lower_dirs, [layout.empty()]);
    }

    #[test]
    fn a_record_that_was_changed_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        let id = image(&layout, &[]).id;
        let path = layout.images().join(record_name(&id));
        let text = fs::read_to_string(&path).unwrap().replace("amd64", "arm64");
        fs::write(path, text).unwrap();
        assert!(read_image(&layout, &id).is_err());
    }

    #[test]
    fn a_reference_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let record = ReferenceRecord {
            reference: "docker.io/library/python:3.11".to_owned(),
            image: Digest::of(b"image"),
            manifest: Some(Digest::of(b"manifest")),
            origin: Origin::Built,
            stored_at: Timestamp::from_micros(5),
        };
        let path = folder.path().join("r");
        assert_eq!(ReferenceRecord::read(&path).unwrap(), None);
        fs::write(&path, record.write().unwrap()).unwrap();
        assert_eq!(ReferenceRecord::read(&path).unwrap(), Some(record));
    }
}
