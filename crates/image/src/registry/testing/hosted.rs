//! The content of a well-behaved registry, to be served with or without faults.

use std::collections::HashMap;

use super::scripted::{Reply, Request};
use crate::Digest;
use crate::testing::TestImage;

/// Documents and blobs by their paths.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosted {
    content: HashMap<String, Vec<u8>>,
    /// The packed layers, base first.
    pub(crate) layers: Vec<Vec<u8>>,
    pub(crate) manifest: Vec<u8>,
}

impl Hosted {
    /// An image under the name `app:1`.
    pub(crate) fn of(image: &TestImage) -> Self {
        let (mut blobs, _) = image.blobs();
        let mut hosted = Self {
            manifest: blobs.pop().unwrap(),
            ..Self::default()
        };
        hosted.manifest_is(hosted.manifest.clone());
        for blob in &blobs {
            let path = format!("/v2/app/blobs/{}", Digest::of(blob));
            hosted.content.insert(path, blob.clone());
        }
        blobs.pop();
        hosted.layers = blobs;
        hosted
    }

    /// Puts another manifest under the name.
    pub(crate) fn manifest_is(&mut self, manifest: Vec<u8>) {
        for name in ["1".to_owned(), Digest::of(&manifest).to_string()] {
            let path = format!("/v2/app/manifests/{name}");
            self.content.insert(path, manifest.clone());
        }
        self.manifest = manifest;
    }

    /// Changes the manifest by its JSON.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut serde_json::Value)) {
        let mut json = serde_json::from_slice(&self.manifest).unwrap();
        change(&mut json);
        self.manifest_is(serde_json::to_vec(&json).unwrap());
    }

    /// The path of a layer.
    pub(crate) fn layer_path(&self, n: usize) -> String {
        format!("/v2/app/blobs/{}", Digest::of(&self.layers[n]))
    }

    /// What an honest registry says.
    pub(crate) fn reply(&self, request: &Request) -> Reply {
        let Some(content) = self.content.get(&request.path) else {
            return Reply::status(404).header("content-length", "0");
        };
        let range = request.header("range").and_then(|range| {
            let begin = range.strip_prefix("bytes=")?.strip_suffix('-')?;
            begin.parse::<usize>().ok()
        });
        let Some(begin) = range else {
            return Reply::ok(content.clone());
        };
        let total = content.len();
        Reply::status(206)
            .header("content-length", &(total - begin).to_string())
            .header(
                "content-range",
                &format!("bytes {begin}-{}/{total}", total - 1),
            )
            .body(&content[begin..])
    }
}
