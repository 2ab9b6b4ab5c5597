//! Images as `docker save` and `podman save` write them: `manifest.json` names
//! a configuration and the archives of the layers.

use palisade_model::image::ImageReference;
use serde::Deserialize;

use super::layout::{checked_diff_ids, full_name};
use super::parts::Parts;
use super::{Candidate, Content};
use crate::digest::Digest;
use crate::error::{ImageError, harmless};
use crate::store::{LayerSource, Settings, Wanted};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

const WHAT: &str = "the saved image";

/// Finds the image that is wanted.
pub(super) fn candidate(
    parts: &Parts,
    wanted: Option<&ImageReference>,
    settings: &Settings,
) -> Result<Candidate, ImageError> {
    let json = parts.document("manifest.json", &settings.limits)?;
    let images: Vec<SavedImage> = serde_json::from_slice(&json)
        .map_err(|error| ImageError::malformed(WHAT, error.to_string()))?;
    // No `..`: a field added to the document must be dealt with here.
    let SavedImage {
        config,
        repo_tags,
        layers,
    } = meant(images, wanted)?;
    let document = parts.document(&config, &settings.limits)?;
    check_name(&config, &document)?;
    let diff_ids = checked_diff_ids(&document, layers.len(), settings)?;
    let layers = layers.iter().zip(diff_ids).map(|(name, layer)| {
        let wanted = Wanted {
            blob: None,
            layer: Some(layer),
        };
        let piece = parts.need(name)?;
        Ok(LayerSource { wanted, piece })
    });
    Ok(Candidate {
        name: repo_tags.iter().flatten().find_map(|tag| full_name(tag)),
        manifest: None,
        content: Content::Image {
            layers: layers.collect::<Result<_, ImageError>>()?,
            document,
        },
    })
}

fn meant(
    images: Vec<SavedImage>,
    wanted: Option<&ImageReference>,
) -> Result<SavedImage, ImageError> {
    let is_it = |image: &SavedImage| {
        let mut names = image
            .repo_tags
            .iter()
            .flatten()
            .filter_map(|tag| full_name(tag));
        names.any(|name| wanted.is_some_and(|wanted| wanted.canonical() == name.canonical()))
    };
    let mut names = Vec::new();
    let mut others = Vec::new();
    for image in images {
        if is_it(&image) {
            return Ok(image);
        }
        let tag = image.repo_tags.iter().flatten().next();
        names.push(harmless(tag.unwrap_or(&image.config).as_bytes()));
        others.push(image);
    }
    match (others.pop(), others.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(ImageError::malformed(WHAT, "it holds no image")),
        (Some(_), false) => Err(ImageError::Ambiguous { names }),
    }
}

/// The configuration is named by its digest, in an older and a newer way.
fn check_name(name: &str, document: &[u8]) -> Result<(), ImageError> {
    let stem = name.rsplit('/').next().unwrap_or(name);
    let stem = stem.strip_suffix(".json").unwrap_or(stem);
    let actual = Digest::of(document);
    match Digest::from_hex(stem) {
        Ok(expected) if expected != actual => Err(ImageError::DigestMismatch {
            what: "the saved image's configuration",
            expected,
            actual,
        }),
        Ok(_) | Err(_) => Ok(()),
    }
}
