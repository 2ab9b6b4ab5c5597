//! Images in the OCI layout: `index.json` and blobs by digest.

use palisade_model::image::ImageReference;

use super::parts::{Parts, blob_name};
use super::{Candidate, Content};
use crate::digest::Digest;
use crate::document::{Descriptor, ImageDocument, ImageManifest, IndexEntry, Manifest, choose};
use crate::error::{ImageError, harmless};
use crate::limits::Limits;
use crate::store::{LayerSource, Settings, Wanted};

/// Finds the image that is wanted.
pub(super) fn candidate(
    parts: &Parts,
    wanted: Option<&ImageReference>,
    settings: &Settings,
) -> Result<Candidate, ImageError> {
    let limits = &settings.limits;
    let index = parts.document("index.json", limits)?;
    let Manifest::Index(entries) = Manifest::parse(&index, limits)? else {
        return Err(ImageError::malformed(
            "the layout",
            "index.json is no index",
        ));
    };
    let entries = meant(&entries, wanted)?;
    let entry = choose(entries.into_iter(), &settings.platform)?;
    let (manifest, digest) = manifest(parts, entry, settings)?;
    let document = parts.document_of(manifest.config.digest, limits)?;
    Ok(Candidate {
        name: entry.names.iter().find_map(|name| full_name(name)),
        manifest: Some(digest),
        content: Content::Image {
            layers: layers(parts, &manifest, &document, settings)?,
            document,
        },
    })
}

/// The entries for the wanted image: by its name, or all if they are for one.
fn meant<'a>(
    entries: &'a [IndexEntry],
    wanted: Option<&ImageReference>,
) -> Result<Vec<&'a IndexEntry>, ImageError> {
    let images: Vec<_> = entries.iter().filter(|entry| !entry.is_foreign).collect();
    if let Some(wanted) = wanted {
        let is_it = |entry: &&&IndexEntry| entry.names.iter().any(|name| names_it(name, wanted));
        let named: Vec<_> = images.iter().filter(is_it).copied().collect();
        if !named.is_empty() {
            return Ok(named);
        }
    }
    let is_one = images.windows(2).all(|pair| pair[0].names == pair[1].names);
    if is_one {
        return Ok(images);
    }
    let names = images.iter().filter_map(|entry| entry.names.first());
    Err(ImageError::Ambiguous {
        names: names.map(|name| harmless(name.as_bytes())).collect(),
    })
}

/// Whether a name in the layout, full or only a tag, is the wanted one.
fn names_it(name: &str, wanted: &ImageReference) -> bool {
    let is_tag = wanted.tag() == Some(name);
    let is_full = full_name(name).is_some_and(|full| full.canonical() == wanted.canonical());
    is_tag || is_full
}

/// The name as a reference, unless it is only a tag.
pub(super) fn full_name(name: &str) -> Option<ImageReference> {
    let is_full = name.contains(['/', ':']);
    name.parse().ok().filter(|_| is_full)
}

/// The manifest behind an entry, which may be an index for several platforms.
fn manifest(
    parts: &Parts,
    entry: &IndexEntry,
    settings: &Settings,
) -> Result<(ImageManifest, Digest), ImageError> {
    let read = |descriptor: Descriptor| {
        let json = parts.document_of(descriptor.digest, &settings.limits)?;
        Manifest::parse(&json, &settings.limits)
    };
    let top = entry.descriptor;
    let inner = match read(top)? {
        Manifest::Image(manifest) => return Ok((manifest, top.digest)),
        Manifest::Index(entries) => choose(entries.iter(), &settings.platform)?.descriptor,
    };
    match read(inner)? {
        Manifest::Image(manifest) => Ok((manifest, top.digest)),
        Manifest::Index(_) => Err(ImageError::Unsupported {
            what: "an index of indexes".to_owned(),
            instead: "export a single image",
        }),
    }
}

fn layers(
    parts: &Parts,
    manifest: &ImageManifest,
    document: &[u8],
    settings: &Settings,
) -> Result<Vec<LayerSource>, ImageError> {
    let diff_ids = checked_diff_ids(document, manifest.layers.len(), settings)?;
    let pairs = manifest.layers.iter().zip(diff_ids);
    pairs
        .map(|(blob, layer)| {
            let piece = parts.need(&blob_name(&blob.digest))?;
            if piece.len() != blob.bytes {
                let why = "a layer has not the size that the manifest says";
                return Err(ImageError::malformed("the layout", why));
            }
            let wanted = Wanted {
                blob: Some(blob.digest),
                layer: Some(layer),
            };
            Ok(LayerSource { wanted, piece })
        })
        .collect()
}

/// The layers of a configuration that fits this machine and its manifest.
pub(crate) fn checked_diff_ids(
    document: &[u8],
    count: usize,
    settings: &Settings,
) -> Result<Vec<Digest>, ImageError> {
    let Limits { layers_max, .. } = settings.limits;
    let ImageDocument {
        platform,
        config: _,
        diff_ids,
    } = ImageDocument::parse(document)?;
    if !platform.runs_on(&settings.platform) {
        return Err(ImageError::WrongPlatform {
            wanted: settings.platform.clone(),
            available: vec![platform],
        });
    }
    if diff_ids.len() > layers_max {
        return Err(ImageError::TooLarge {
            what: "the number of layers",
            limit: layers_max as u64,
        });
    }
    if diff_ids.len() != count {
        let why = "it has not as many layers as its configuration";
        return Err(ImageError::malformed("the image's manifest", why));
    }
    Ok(diff_ids)
}
