//! The contract of [`Blobs`] as checks, a sentence each.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "these are tests: they fail by panicking"
)]

use bytes::Bytes;
use futures_util::StreamExt as _;
use palisade_model::snapshot::ContentDigest;

use crate::blobs::{BlobError, BlobName, Blobs};

/// A name; the bytes under it need not be those that it says.
pub fn name(organization: &str, seed: u8) -> BlobName {
    BlobName {
        organization: organization.parse().unwrap(),
        digest: ContentDigest::new([seed; 32]),
    }
}

/// Larger than one part of any upload, and different in every place.
fn content() -> Bytes {
    let numbers = (0_u32..3_400_000).flat_map(u32::to_le_bytes);
    numbers.collect::<Vec<u8>>().into()
}

async fn put(blobs: &dyn Blobs, name: &BlobName, content: &Bytes) -> Result<(), BlobError> {
    let mut upload = blobs.put(name, content.len() as u64).await?;
    let mut rest = content.clone();
    while !rest.is_empty() {
        let len = rest.len().min(300_001);
        upload.write(rest.split_to(len)).await?;
    }
    upload.finish().await
}

async fn get(blobs: &dyn Blobs, name: &BlobName) -> Result<Vec<u8>, BlobError> {
    let mut download = blobs.get(name).await?;
    let mut content = Vec::new();
    while let Some(chunk) = download.chunks.next().await {
        content.extend_from_slice(&chunk?);
    }
    assert_eq!(content.len() as u64, download.bytes);
    Ok(content)
}

async fn is_absent(blobs: &dyn Blobs, name: &BlobName) -> bool {
    let got = get(blobs, name).await;
    let size = blobs.size(name).await.unwrap();
    matches!(got, Err(BlobError::NotFound)) && size.is_none()
}

/// Checks every sentence on an empty store.
pub async fn all(blobs: &dyn Blobs) {
    what_was_put_is_brought_whole_and_can_be_put_again(blobs).await;
    empty_content_is_content(blobs).await;
    nothing_half_way_is_found(blobs).await;
    another_length_than_announced_is_refused(blobs).await;
    organizations_do_not_see_each_other(blobs).await;
    what_was_removed_is_gone_and_removing_again_succeeds(blobs).await;
}

async fn what_was_put_is_brought_whole_and_can_be_put_again(blobs: &dyn Blobs) {
    let (name, content) = (name("acme", 1), content());
    for _ in 0..2 {
        put(blobs, &name, &content).await.unwrap();
        assert!(get(blobs, &name).await.unwrap() == content);
        let size = blobs.size(&name).await.unwrap();
        assert_eq!(size, Some(content.len() as u64));
    }
}

async fn empty_content_is_content(blobs: &dyn Blobs) {
    let name = name("acme", 2);
    put(blobs, &name, &Bytes::new()).await.unwrap();
    assert_eq!(get(blobs, &name).await.unwrap(), b"");
}

async fn nothing_half_way_is_found(blobs: &dyn Blobs) {
    let name = name("acme", 3);
    let mut upload = blobs.put(&name, 10).await.unwrap();
    upload.write(Bytes::from_static(b"12345")).await.unwrap();
    assert!(is_absent(blobs, &name).await);
    drop(upload);
    assert!(is_absent(blobs, &name).await);
}

async fn another_length_than_announced_is_refused(blobs: &dyn Blobs) {
    let name = name("acme", 4);
    let mut upload = blobs.put(&name, 10).await.unwrap();
    upload.write(Bytes::from_static(b"12345")).await.unwrap();
    match upload.finish().await {
        Err(BlobError::Length {
            found: 5,
            announced: 10,
        }) => {}
        other => panic!("{other:?}"),
    }
    let mut upload = blobs.put(&name, 3).await.unwrap();
    let more = upload.write(Bytes::from_static(b"12345")).await;
    assert!(matches!(more, Err(BlobError::Length { .. })));
    drop(upload);
    assert!(is_absent(blobs, &name).await);
}

async fn organizations_do_not_see_each_other(blobs: &dyn Blobs) {
    put(blobs, &name("acme", 5), &Bytes::from_static(b"mine"))
        .await
        .unwrap();
    assert!(is_absent(blobs, &name("other", 5)).await);
    blobs.remove(&name("other", 5)).await.unwrap();
    assert_eq!(get(blobs, &name("acme", 5)).await.unwrap(), b"mine");
}

async fn what_was_removed_is_gone_and_removing_again_succeeds(blobs: &dyn Blobs) {
    let name = name("acme", 5);
    for _ in 0..2 {
        blobs.remove(&name).await.unwrap();
        assert!(is_absent(blobs, &name).await);
    }
}
