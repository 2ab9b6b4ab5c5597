//! Against the registry that other people use.

use super::{ensure, pull, sample};
use crate::registry::testing::{Place, RealRegistry, hasty};
use crate::testing::TestImage;
use crate::{Digest, ImageError, Origin, PullPolicy, Registries};

#[tokio::test]
async fn an_image_is_pulled_by_tag_and_by_digest() {
    let registry = RealRegistry::open();
    let image = sample();
    registry.push(std::slice::from_ref(&image), "org/app:1");
    let place = Place::new(hasty()).await;
    let pulled = pull(&place, &registry.name("org/app:1")).await.unwrap();
    assert_eq!(pulled.id, image.id());
    let content = std::fs::read_to_string(pulled.lower_dirs[1].join("base")).unwrap();
    assert_eq!(content, "0");
    let listing = &place.images.store().list().await.unwrap()[0];
    assert_eq!(listing.origin, Some(Origin::Pulled));

    let manifest = listing.manifest.unwrap();
    assert_eq!(manifest, Digest::of(image.blobs().0.last().unwrap()));
    let exact = registry.name(&format!("org/app@{manifest}"));
    let other = Place::new(hasty()).await;
    assert_eq!(pull(&other, &exact).await.unwrap().id, image.id());
    assert!(place.names("temporary").is_empty() && place.names("partial").is_empty());
}

#[tokio::test]
async fn of_an_index_the_image_for_this_machine_is_taken() {
    let registry = RealRegistry::open();
    let ours = sample();
    let mut theirs = TestImage::of_files(&[("f", "theirs")]);
    theirs.architecture = "s390x".to_owned();
    registry.push(&[theirs.clone(), ours.clone()], "app:both");
    registry.push(&[theirs], "app:theirs");
    let place = Place::new(hasty()).await;
    let pulled = pull(&place, &registry.name("app:both")).await.unwrap();
    assert_eq!(pulled.id, ours.id());
    // The name stands for the index, and so does its digest.
    let index = place.images.store().list().await.unwrap()[0]
        .manifest
        .unwrap();
    let exact = registry.name(&format!("app@{index}"));
    assert_eq!(pull(&place, &exact).await.unwrap().id, ours.id());

    let refused = pull(&place, &registry.name("app:theirs")).await;
    assert!(matches!(refused, Err(ImageError::WrongPlatform { .. })));
}

#[tokio::test]
async fn what_the_registry_does_not_have_is_not_found() {
    let registry = RealRegistry::open();
    registry.push(&[sample()], "app:1");
    let place = Place::new(hasty()).await;
    for name in ["app:2", "other:1", &format!("app@{}", Digest::of(b"x"))] {
        let refused = pull(&place, &registry.name(name)).await.unwrap_err();
        assert!(
            matches!(refused, ImageError::NotFound { .. }),
            "{name}: {refused}"
        );
    }
    place.becomes_clean().await;
}

#[tokio::test]
async fn a_locked_registry_opens_for_those_it_knows() {
    let registry = RealRegistry::locked();
    registry.push(&[sample()], "app:1");
    let with = |password: Option<&str>| Registries {
        credentials: password.map(|password| registry.credentials(password)),
        ..hasty()
    };
    for password in [None, Some("wrong")] {
        let place = Place::new(with(password)).await;
        let refused = pull(&place, &registry.name("app:1")).await.unwrap_err();
        assert!(
            matches!(refused, ImageError::Unauthorized { .. }),
            "{refused}"
        );
        assert!(!refused.to_string().contains("wrong"));
    }
    let place = Place::new(with(Some("s3cret"))).await;
    pull(&place, &registry.name("app:1")).await.unwrap();
}

#[tokio::test]
async fn a_policy_says_when_the_registry_is_asked() {
    let registry = RealRegistry::open();
    let (old, new) = (sample(), TestImage::of_files(&[("f", "new")]));
    registry.push(std::slice::from_ref(&old), "app:1");
    let place = Place::new(hasty()).await;
    let name = registry.name("app:1");
    assert_eq!(ensure(&place, &name, "a").await.unwrap().id, old.id());
    registry.push(std::slice::from_ref(&new), "app:1");
    assert_eq!(ensure(&place, &name, "b").await.unwrap().id, old.id());

    let with = |policy| {
        let registries = Registries { policy, ..hasty() };
        crate::Images::new(place.images.store().clone(), registries)
    };
    let (always, never) = (with(PullPolicy::Always), with(PullPolicy::Never));
    let (reference, holder) = (name.parse().unwrap(), "c".parse().unwrap());
    let progress = crate::Progress::none();
    let image = always.ensure(&reference, &holder, &progress).await.unwrap();
    assert_eq!(image.id, new.id());
    let image = never.ensure(&reference, &holder, &progress).await.unwrap();
    assert_eq!(image.id, new.id());
    let absent = registry.name("app:2").parse().unwrap();
    let refused = never.ensure(&absent, &holder, &progress).await;
    assert!(matches!(refused, Err(ImageError::NotPresent { .. })));

    // The old image has lost its name, but not those who hold it.
    let leases = place.images.store().leases().unwrap();
    let old_holders = leases.iter().filter(|lease| lease.image == old.id());
    assert_eq!(old_holders.count(), 2);
}
