//! Pulling as a whole, from a real registry and from hostile ones.

mod access;
mod hostile;
mod real;
mod transfer;

use std::sync::Arc;

use super::testing::Place;
use crate::testing::TestImage;
use crate::{Image, ImageError, Progress};

/// Two layers, one of which is large enough to be cut.
fn sample() -> TestImage {
    let mut text = String::new();
    // Does not pack well, and is the same each time.
    for n in 0..4000_u32 {
        text.push_str(&crate::Digest::of(&n.to_be_bytes()).hex());
    }
    TestImage::of_files(&[("base", "0"), ("text", &text)])
}

async fn pull(place: &Place, name: &str) -> Result<Arc<Image>, ImageError> {
    place
        .images
        .pull(&name.parse().unwrap(), &Progress::none())
        .await
}

async fn ensure(place: &Place, name: &str, holder: &str) -> Result<Arc<Image>, ImageError> {
    let (name, holder) = (name.parse().unwrap(), holder.parse().unwrap());
    place.images.ensure(&name, &holder, &Progress::none()).await
}
