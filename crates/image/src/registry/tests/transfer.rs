//! Layers that come in pieces, twice, or at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{ensure, pull, sample};
use crate::registry::testing::{Hosted, Place, Reply, Request, Scripted, hasty};
use crate::{Digest, Event, ImageError, Progress};

/// Answers the first `count` requests for the large layer with `fault`.
fn faulty(
    hosted: Hosted,
    count: usize,
    fault: impl Fn(&Hosted, &Request) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let seen = AtomicUsize::new(0);
    let path = hosted.layer_path(1);
    move |request| {
        if request.path == path && seen.fetch_add(1, Ordering::Relaxed) < count {
            return fault(&hosted, request);
        }
        hosted.reply(request)
    }
}

fn half(hosted: &Hosted, request: &Request) -> Reply {
    hosted.reply(request).cut(hosted.layers[1].len() / 2)
}

fn ranges(registry: &Scripted, hosted: &Hosted) -> Vec<Option<String>> {
    let requests = registry.requests_for(&hosted.layer_path(1));
    let ranges = requests
        .iter()
        .map(|request| request.header("range").map(str::to_owned));
    ranges.collect()
}

#[tokio::test]
async fn a_layer_that_breaks_off_goes_on_where_it_was() {
    let hosted = Hosted::of(&sample());
    let registry = Scripted::start(faulty(hosted.clone(), 1, half)).await;
    let place = Place::new(hasty()).await;
    let image = pull(&place, &registry.name("app:1")).await.unwrap();
    assert_eq!(image.id, sample().id());
    let middle = format!("bytes={}-", hosted.layers[1].len() / 2);
    assert_eq!(ranges(&registry, &hosted), [None, Some(middle)]);
    assert!(place.names("partial").is_empty());
}

#[tokio::test]
async fn a_registry_without_ranges_begins_anew() {
    let hosted = Hosted::of(&sample());
    let whole = hosted.layers[1].clone();
    let count = AtomicUsize::new(0);
    let registry = Scripted::start(faulty(hosted.clone(), 9, move |_, _| {
        let reply = Reply::ok(whole.clone());
        match count.fetch_add(1, Ordering::Relaxed) {
            0 => reply.cut(whole.len() / 2),
            1 => Reply::status(416).header("content-length", "0"),
            _ => reply,
        }
    }))
    .await;
    let place = Place::new(hasty()).await;
    pull(&place, &registry.name("app:1")).await.unwrap();
    assert_eq!(ranges(&registry, &hosted).len(), 3);
}

#[tokio::test]
async fn a_range_that_was_not_asked_for_begins_anew() {
    let hosted = Hosted::of(&sample());
    let whole = hosted.layers[1].clone();
    let registry = Scripted::start(faulty(hosted.clone(), 2, move |_, request| {
        let reply = Reply::ok(whole.clone());
        match request.header("range") {
            None => reply.cut(whole.len() / 2),
            Some(_) => Reply::status(206)
                .header("content-length", &whole.len().to_string())
                .header("content-range", "bytes 0-9/10")
                .body(whole.clone()),
        }
    }))
    .await;
    let place = Place::new(hasty()).await;
    pull(&place, &registry.name("app:1")).await.unwrap();
}

#[tokio::test]
async fn a_pull_that_was_given_up_is_continued_by_the_next() {
    let hosted = Hosted::of(&sample());
    let held = |hosted: &Hosted, request: &Request| half(hosted, request).hold();
    let registry = Scripted::start(faulty(hosted.clone(), 1, held)).await;
    let place = Place::new(hasty()).await;
    let name = registry.name("app:1");
    let path = place
        .folder
        .path()
        .join("partial")
        .join(Digest::of(&hosted.layers[1]).hex());
    let middle = hosted.layers[1].len() / 2;
    let half_is_there = async {
        while std::fs::metadata(&path).map_or(0, |file| file.len()) < middle as u64 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        done = pull(&place, &name) => panic!("{done:?}"),
        () = half_is_there => {}
    }
    assert!(place.images.store().list().await.unwrap().is_empty());
    let image = pull(&place, &name).await.unwrap();
    assert_eq!(image.id, sample().id());
    let expected = [None, Some(format!("bytes={middle}-"))];
    assert_eq!(ranges(&registry, &hosted), expected);
    place.becomes_empty(&["temporary", "partial"]).await;
}

#[tokio::test]
async fn a_damaged_beginning_costs_one_more_try_and_no_more() {
    let hosted = Hosted::of(&sample());
    let registry = {
        let hosted = hosted.clone();
        Scripted::start(move |request| hosted.reply(request)).await
    };
    let place = Place::new(hasty()).await;
    let path = place
        .folder
        .path()
        .join("partial")
        .join(Digest::of(&hosted.layers[1]).hex());
    std::fs::write(&path, "rubbish").unwrap();
    pull(&place, &registry.name("app:1")).await.unwrap();
    assert_eq!(
        ranges(&registry, &hosted),
        [Some("bytes=7-".to_owned()), None]
    );

    let place = Place::new(hasty()).await;
    let path = place
        .folder
        .path()
        .join("partial")
        .join(Digest::of(&hosted.layers[1]).hex());
    std::fs::write(&path, vec![0; 1 << 20]).unwrap();
    pull(&place, &registry.name("app:1")).await.unwrap();
}

#[tokio::test]
async fn a_layer_that_never_comes_whole_ends_the_pull() {
    let hosted = Hosted::of(&sample());
    let none = |hosted: &Hosted, request: &Request| hosted.reply(request).cut(0);
    let registry = Scripted::start(faulty(hosted.clone(), usize::MAX, none)).await;
    let place = Place::new(hasty()).await;
    let refused = pull(&place, &registry.name("app:1")).await.unwrap_err();
    assert!(
        matches!(refused, ImageError::Unreachable { .. }),
        "{refused}"
    );
    assert_eq!(ranges(&registry, &hosted).len(), 3);
}

#[tokio::test]
async fn errors_that_pass_are_waited_for() {
    let hosted = Hosted::of(&sample());
    let seen = AtomicUsize::new(0);
    let registry = Scripted::start(move |request| {
        match (
            request.path.contains("manifests"),
            seen.fetch_add(1, Ordering::Relaxed),
        ) {
            (true, 0) => Reply::status(503).header("content-length", "0"),
            (true, 1) => hosted.reply(request).cut(3),
            _ => hosted.reply(request),
        }
    })
    .await;
    let place = Place::new(hasty()).await;
    pull(&place, &registry.name("app:1")).await.unwrap();
    assert_eq!(registry.requests_for("manifests").len(), 3);
}

#[tokio::test]
async fn two_who_want_the_same_image_at_once_fetch_it_once() {
    let hosted = Hosted::of(&sample());
    let registry = Scripted::start(move |request| hosted.reply(request)).await;
    let place = Place::new(hasty()).await;
    let name = registry.name("app:1");
    let (one, two) = tokio::join!(ensure(&place, &name, "one"), ensure(&place, &name, "two"));
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(registry.requests().len(), 4);
    assert_eq!(place.images.store().leases().unwrap().len(), 2);
}

#[tokio::test]
async fn two_names_of_one_image_share_its_layers() {
    let hosted = Hosted::of(&sample());
    let registry = Scripted::start(move |request| hosted.reply(request)).await;
    let place = Place::new(hasty()).await;
    let exact = {
        let manifest = Digest::of(&Hosted::of(&sample()).manifest);
        registry.name(&format!("app@{manifest}"))
    };
    let name = registry.name("app:1");
    let (one, two) = tokio::join!(ensure(&place, &name, "one"), ensure(&place, &exact, "two"));
    assert_eq!(one.unwrap().id, two.unwrap().id);
    let layer = Hosted::of(&sample()).layer_path(1);
    assert_eq!(registry.requests_for(&layer).len(), 1);
}

#[tokio::test]
async fn a_digest_that_came_under_a_tag_is_not_asked_for_again() {
    let hosted = Hosted::of(&sample());
    let manifest = Digest::of(&hosted.manifest);
    let registry = Scripted::start(move |request| hosted.reply(request)).await;
    let place = Place::new(hasty()).await;
    let name = registry.name("app:1");
    let image = pull(&place, &name).await.unwrap();
    let asked = registry.requests().len();
    let exact = registry.name(&format!("app@{manifest}"));
    assert_eq!(ensure(&place, &exact, "one").await.unwrap(), image);
    assert_eq!(registry.requests().len(), asked);
    let store = place.images.store();
    assert_eq!(
        store.remove(&name.parse().unwrap()).await.unwrap().images,
        0
    );
    assert!(store.resolve(&exact.parse().unwrap()).is_some());
}

#[tokio::test]
async fn a_layer_that_an_image_has_twice_is_fetched_once() {
    let mut image = sample();
    image.layers.push(image.layers[0].clone());
    let hosted = Hosted::of(&image);
    let layer = hosted.layer_path(0);
    let registry = Scripted::start(move |request| hosted.reply(request)).await;
    let place = Place::new(hasty()).await;
    pull(&place, &registry.name("app:1")).await.unwrap();
    assert_eq!(registry.requests_for(&layer).len(), 1);
}

#[tokio::test]
async fn a_store_that_closes_ends_its_pulls() {
    let hosted = Hosted::of(&sample());
    let held = |hosted: &Hosted, request: &Request| half(hosted, request).hold();
    let registry = Scripted::start(faulty(hosted, 1, held)).await;
    let place = Place::new(hasty()).await;
    let name = registry.name("app:1");
    let close = async {
        while registry.requests_for("blobs").len() < 3 {
            tokio::task::yield_now().await;
        }
        place.images.store().close().await;
    };
    let (refused, ()) = tokio::join!(pull(&place, &name), close);
    assert!(matches!(refused, Err(ImageError::Cancelled)));
}

#[tokio::test]
async fn a_person_who_waits_sees_the_layers_come() {
    let hosted = Hosted::of(&sample());
    let total = hosted.layers[1].len() as u64;
    let blob = Digest::of(&hosted.layers[1]);
    let registry = Scripted::start(move |request| hosted.reply(request)).await;
    let place = Arc::new(Place::new(hasty()).await);
    let (progress, mut events) = Progress::channel();
    let name = registry.name("app:1").parse().unwrap();
    place.images.pull(&name, &progress).await.unwrap();
    drop(progress);
    let mut seen = Vec::new();
    while let Some(event) = events.recv().await {
        seen.push(event);
    }
    let done = Event::Fetching {
        blob,
        bytes_done: total,
        bytes_total: total,
    };
    assert!(seen.contains(&done), "{seen:?}");
    let ready = seen
        .iter()
        .filter(|event| matches!(event, Event::LayerReady { .. }));
    assert_eq!(ready.count(), 2);
}
