//! Registries that mean harm, or are broken as if they did.

use std::time::Duration;

use super::{pull, sample};
use crate::registry::Registries;
use crate::registry::testing::{Hosted, Place, Reply, Request, Scripted, hasty};
use crate::{Digest, ImageError};

/// What comes of a pull when the registry answers `fault` where it says
/// anything; nothing may be left of it.
async fn outcome(
    hosted: &Hosted,
    registries: Registries,
    fault: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
) -> ImageError {
    let hosted = hosted.clone();
    let registry =
        Scripted::start(move |request| fault(request).unwrap_or_else(|| hosted.reply(request)))
            .await;
    let place = Place::new(registries).await;
    let refused = pull(&place, &registry.name("app:1")).await.unwrap_err();
    place.becomes_clean().await;
    refused
}

fn on(part: &'static str, reply: Reply) -> impl Fn(&Request) -> Option<Reply> + Send + Sync {
    move |request| request.path.contains(part).then(|| reply.clone())
}

#[tokio::test]
async fn a_manifest_without_end_is_cut_off() {
    let endless = Reply::status(200).body(vec![b' '; 64 << 10]).repeat();
    let hosted = Hosted::of(&sample());
    let refused = outcome(&hosted, hasty(), on("manifests", endless)).await;
    assert!(matches!(refused, ImageError::TooLarge { .. }), "{refused}");
    let announced = Reply::status(200).header("content-length", "99999999999");
    let refused = outcome(&hosted, hasty(), on("manifests", announced)).await;
    assert!(matches!(refused, ImageError::TooLarge { .. }), "{refused}");
}

#[tokio::test]
async fn giant_and_countless_headers_are_not_read() {
    let hosted = Hosted::of(&sample());
    let giant = Reply::ok("").header("x", &"y".repeat(4 << 20));
    let refused = outcome(&hosted, hasty(), on("manifests", giant)).await;
    assert!(
        matches!(refused, ImageError::Unreachable { .. }),
        "{refused}"
    );
    let many = (0..500).fold(Reply::ok(""), |reply, n| {
        reply.header(&format!("x{n}"), "y")
    });
    let refused = outcome(&hosted, hasty(), on("manifests", many)).await;
    assert!(
        matches!(refused, ImageError::Unreachable { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn a_layer_that_is_longer_than_its_manifest_says_is_refused() {
    let hosted = Hosted::of(&sample());
    let part = "blobs/sha256";
    let layer = Digest::of(&hosted.layers[1]).to_string();
    let is_layer = move |request: &Request| request.path.contains(&layer);
    let length = hosted.layers[1].len();
    for reply in [
        Reply::ok(vec![0; length + 1]),
        Reply::status(200).body(vec![0; length]).repeat(),
    ] {
        let is_layer = is_layer.clone();
        let fault = move |request: &Request| {
            (request.path.contains(part) && is_layer(request)).then(|| reply.clone())
        };
        let refused = outcome(&hosted, hasty(), fault).await;
        assert!(matches!(refused, ImageError::Malformed { .. }), "{refused}");
    }
}

#[tokio::test]
async fn content_that_is_not_what_its_digest_says_is_refused() {
    let hosted = Hosted::of(&sample());
    let layer = Digest::of(&hosted.layers[1]).to_string();
    let mut wrong = hosted.layers[1].clone();
    *wrong.last_mut().unwrap() ^= 1;
    let fault = move |request: &Request| {
        request
            .path
            .contains(&layer)
            .then(|| Reply::ok(wrong.clone()))
    };
    let refused = outcome(&hosted, hasty(), fault).await;
    assert!(
        matches!(refused, ImageError::DigestMismatch { .. }),
        "{refused}"
    );

    let config = sample().id().to_string();
    let fault = move |request: &Request| request.path.contains(&config).then(|| Reply::ok("{}"));
    let refused = outcome(&hosted, hasty(), fault).await;
    assert!(
        matches!(refused, ImageError::DigestMismatch { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn a_manifest_asked_for_by_digest_must_have_it() {
    let registry = Scripted::start(|_| Reply::ok(r#"{"schemaVersion":2}"#)).await;
    let place = Place::new(hasty()).await;
    let name = registry.name(&format!("app@{}", Digest::of(b"another")));
    let refused = pull(&place, &name).await.unwrap_err();
    assert!(
        matches!(refused, ImageError::DigestMismatch { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn addresses_in_a_manifest_are_never_followed() {
    let elsewhere = Scripted::start(|_| Reply::status(500)).await;
    let url = format!("http://{}/layer", elsewhere.address);
    let mut hosted = Hosted::of(&sample());
    hosted.change(|json| {
        json["layers"][0]["urls"] = serde_json::json!([url]);
    });
    let registry = {
        let hosted = hosted.clone();
        Scripted::start(move |request| hosted.reply(request)).await
    };
    let place = Place::new(hasty()).await;
    pull(&place, &registry.name("app:1")).await.unwrap();

    hosted.change(|json| {
        let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        json["layers"][0]["mediaType"] = foreign.into();
    });
    let refused = outcome(&hosted, hasty(), |_| None).await;
    assert!(
        matches!(refused, ImageError::Unsupported { .. }),
        "{refused}"
    );
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn an_image_that_is_too_large_is_refused_before_a_byte_of_it_comes() {
    let mut hosted = Hosted::of(&sample());
    hosted.change(|json| {
        for layer in json["layers"].as_array_mut().unwrap() {
            layer["size"] = (15_u64 << 30).into();
        }
        let layer = json["layers"][0].clone();
        let more = std::iter::repeat_n(layer, 5);
        json["layers"].as_array_mut().unwrap().extend(more);
    });
    let refused = outcome(&hosted, hasty(), |request| {
        assert!(!request.path.contains("blobs"), "{}", request.path);
        None
    })
    .await;
    assert!(matches!(refused, ImageError::TooLarge { .. }), "{refused}");
}

#[tokio::test]
async fn a_registry_that_says_nothing_more_is_given_up() {
    let hosted = Hosted::of(&sample());
    let impatient = || Registries {
        answer_time: Duration::from_millis(50),
        idle_time: Duration::from_millis(50),
        ..hasty()
    };
    let layer = hosted.layers[1].clone();
    let half = Reply::ok(layer.clone()).cut(layer.len() / 2).hold();
    let silent = Reply::status(200).header("content-length", "10").hold();
    for (part, reply) in [
        ("manifests", silent.clone()),
        ("blobs", silent),
        ("blobs", half),
    ] {
        let refused = outcome(&hosted, impatient(), on(part, reply)).await;
        assert!(
            matches!(
                refused,
                ImageError::Unreachable { .. } | ImageError::Malformed { .. }
            ),
            "{part}: {refused}"
        );
    }
}

#[tokio::test]
async fn a_pull_as_a_whole_has_a_limit() {
    let hosted = Hosted::of(&sample());
    let layer = Digest::of(&hosted.layers[1]).to_string();
    let registries = Registries {
        pull_time: Duration::from_millis(200),
        ..hasty()
    };
    let fault = move |request: &Request| {
        let held = Reply::status(200).header("content-length", "10").hold();
        request.path.contains(&layer).then_some(held)
    };
    let refused = outcome(&hosted, registries, fault).await;
    assert!(matches!(refused, ImageError::TimedOut { .. }), "{refused}");
}

#[tokio::test]
async fn errors_of_the_registry_are_told_by_their_kind() {
    let hosted = Hosted::of(&sample());
    for (status, is_passing) in [
        (500, true),
        (503, true),
        (429, true),
        (400, false),
        (418, false),
    ] {
        let fault = on(
            "manifests",
            Reply::status(status).header("content-length", "0"),
        );
        let refused = outcome(&hosted, hasty(), fault).await;
        let expected = format!("answered with status {status}");
        assert!(refused.to_string().contains(&expected), "{refused}");
        assert_eq!(refused.is_passing(), is_passing, "{status}");
    }
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_unreachable() {
    let place = Place::new(hasty()).await;
    // Port 1 of loopback: nobody listens there.
    let refused = pull(&place, "127.0.0.1:1/app:1").await.unwrap_err();
    assert!(
        matches!(refused, ImageError::Unreachable { .. }),
        "{refused}"
    );
    place.becomes_clean().await;
}
