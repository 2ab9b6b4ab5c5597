//! `palisade image`: the images of this machine.

use std::future::Future;
use std::path::PathBuf;

use palisade_image::{DebianRecipe, Event, ImageError, Listing, Origin, Progress, Source};
use palisade_model::image::ImageReference;
use palisade_wire::timestamp;

use crate::cli::{ImageCommand, StateArgs};
use crate::out::Out;
use crate::parts::images;

/// The length of a digest that tells images apart for people.
const SHORT_ID: usize = 19;

/// Runs the command.
pub(super) async fn run(command: ImageCommand, out: &mut Out) -> anyhow::Result<()> {
    match command {
        ImageCommand::Import {
            source,
            name,
            state,
        } => import(source, name, &state, out).await,
        ImageCommand::Pull {
            image,
            state,
            registry,
        } => {
            let images = images::open(&state, &registry).await?;
            let (progress, events) = Progress::channel();
            let pulling = images.pull(&image, &progress);
            let pulled = watch(pulling, events, out).await?;
            out.line(format_args!("{} {}", image.canonical(), pulled.id));
            Ok(())
        }
        ImageCommand::BuildDebian { name, state } => build_debian(name, &state, out).await,
        ImageCommand::List { state } => {
            let listed = images::open_store(&state).await?.list().await?;
            let rows: Vec<_> = listed.iter().map(row).collect();
            let heading = ["IMAGE", "ID", "ORIGIN", "SIZE", "IN USE", "SINCE"];
            out.table(heading, &rows);
            Ok(())
        }
        ImageCommand::Remove { images, state } => remove(&images, &state, out).await,
    }
}

async fn import(
    source: PathBuf,
    name: Option<ImageReference>,
    state: &StateArgs,
    out: &mut Out,
) -> anyhow::Result<()> {
    let source = if source.as_os_str() == "-" {
        Source::Reader(Box::new(std::io::stdin()))
    } else {
        Source::Path(source)
    };
    let store = images::open_store(state).await?;
    let (progress, events) = Progress::channel();
    let importing = store.import(source, name.as_ref(), &progress);
    let imported = watch(importing, events, out).await?;
    let id = &imported.image.id;
    out.line(format_args!("{} {id}", imported.reference.canonical()));
    Ok(())
}

async fn build_debian(
    name: ImageReference,
    state: &StateArgs,
    out: &mut Out,
) -> anyhow::Result<()> {
    let store = images::open_store(state).await?;
    let (progress, events) = Progress::channel();
    let recipe = DebianRecipe::default();
    let building = store.build_debian(&name, &recipe, &progress);
    let built = watch(building, events, out).await?;
    out.line(format_args!("{} {}", name.canonical(), built.id));
    Ok(())
}

async fn remove(
    references: &[ImageReference],
    state: &StateArgs,
    out: &mut Out,
) -> anyhow::Result<()> {
    let store = images::open_store(state).await?;
    for reference in references {
        store.remove(reference).await?;
        out.line(format_args!("{} removed", reference.canonical()));
    }
    Ok(())
}

/// Does the work, and shows its stages.
async fn watch<T>(
    work: impl Future<Output = Result<T, ImageError>>,
    mut events: tokio::sync::mpsc::Receiver<Event>,
    out: &mut Out,
) -> Result<T, ImageError> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = work.as_mut() => return done,
            Some(event) = events.recv() => show(&event, out),
        }
    }
}

fn show(event: &Event, out: &mut Out) {
    match event {
        Event::Stage(stage) => out.note(stage),
        Event::LayerReady { layer, was_present } => {
            let what = if *was_present { "is here" } else { "is ready" };
            out.note(format_args!("layer {} {what}", short(&layer.to_string())));
        }
        Event::Fetching { .. } | Event::Unpacking { .. } => {}
    }
}

fn row(listing: &Listing) -> [String; 6] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let origin = listing.origin.map(|origin| match origin {
        Origin::Pulled => "pulled".to_owned(),
        Origin::Imported => "imported".to_owned(),
        Origin::Built => "built".to_owned(),
    });
    [
        or_dash(listing.reference.clone()),
        short(&listing.id.to_string()).to_owned(),
        or_dash(origin),
        format!("{} MiB", listing.bytes >> 20),
        listing.leases.to_string(),
        or_dash(listing.stored_at.map(timestamp::format)),
    ]
}

fn short(digest: &str) -> &str {
    digest.get(..SHORT_ID).unwrap_or(digest)
}
