//! `cwic sandbox profile revisions`: what a profile said, when, and who wrote it.

use std::process::ExitCode;

use palisade_client::Client;
use palisade_wire::rest::ProfileRevision;
use palisade_wire::spelling::PROFILE;
use serde_json::{Value, json};

use crate::changes::{self, FieldChange};
use crate::cli::{Between, RevisionsArgs};
use crate::commands::Ended;
use crate::error::CliError;
use crate::out::Out;
use crate::present::{self, friendly, minute, or_dash};

/// The most changed fields that a row names.
const NAMED_MAX: usize = 3;

/// What belongs to a revision and not to what it says.
const ASSIGNED: [&str; 6] = [
    "revision",
    "profileTemplateId",
    "profile_template_id",
    "createdBy",
    "created_by",
    "created_at",
];

/// Runs the command.
pub(in crate::commands) async fn run(
    args: &RevisionsArgs,
    client: &Client,
    out: &mut Out,
) -> Ended {
    match args.diff {
        Some(between) => diff(args, between, client, out).await,
        None => list(args, client, out).await,
    }
}

async fn list(args: &RevisionsArgs, client: &Client, out: &mut Out) -> Ended {
    // One more than is shown, to say what the oldest of these changed.
    let wanted = usize::from(args.limit) + 1;
    let newest = newest(&args.profile, wanted, client);
    let revisions = out.during("waiting for the server", newest).await?;
    let answer = json!({ "revisions": entries(&revisions, wanted - 1) });
    if !present::for_programs(&args.output.output, &answer, out) {
        let heading = ["REVISION", "WRITTEN", "BY", "CHANGED"];
        out.table(heading, &rows(&revisions, wanted - 1));
        if revisions.len() >= wanted {
            out.note("there are older ones: --limit shows more");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// So many revisions for people; one more is only compared with.
pub(super) fn rows(revisions: &[ProfileRevision], count: usize) -> Vec<[String; 4]> {
    let pairs = with_older(revisions).take(count);
    pairs
        .map(|(revision, older)| row(revision, older))
        .collect()
}

/// So many revisions for programs; one more is only compared with.
pub(super) fn entries(revisions: &[ProfileRevision], count: usize) -> Vec<Value> {
    let pairs = with_older(revisions).take(count);
    let entries = pairs.map(|(revision, older)| entry(revision, older));
    entries.collect()
}

/// Each revision with the one before it, if that was read.
fn with_older(
    revisions: &[ProfileRevision],
) -> impl Iterator<Item = (&ProfileRevision, Option<&ProfileRevision>)> {
    let olders = revisions.iter().skip(1).map(Some);
    revisions.iter().zip(olders.chain(std::iter::once(None)))
}

/// The newest revisions, at most so many.
pub(super) async fn newest(
    profile: &str,
    wanted: usize,
    client: &Client,
) -> Result<Vec<ProfileRevision>, CliError> {
    let mut revisions = Vec::new();
    let mut token = String::new();
    while revisions.len() < wanted {
        let size = (wanted - revisions.len()).min(200);
        let page = client
            .list_profile_revisions_page(profile, size, &token)
            .await;
        let page = page.map_err(|error| {
            let what = format!("the revisions of profile {profile} were not listed");
            CliError::call(&what, &error)
        })?;
        revisions.extend(page.profile_revisions);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    Ok(revisions)
}

async fn diff(args: &RevisionsArgs, between: Between, client: &Client, out: &mut Out) -> Ended {
    let Between { from, to } = between;
    let before = revision(&args.profile, from, client);
    let before = out.during("waiting for the server", before).await?;
    let after = revision(&args.profile, to, client);
    let after = out.during("waiting for the server", after).await?;
    let changes = changes_between(&before, &after);
    let answer = json!({
        "from": entry(&before, None),
        "to": entry(&after, None),
        "changes": changes.iter().map(FieldChange::to_json).collect::<Vec<_>>(),
    });
    if !present::for_programs(&args.output.output, &answer, out) {
        for revision in [&before, &after] {
            let by = or_dash(&revision.created_by);
            let at = minute(&revision.created_at);
            out.line(format_args!("revision {}, {at}, {by}", revision.revision));
        }
        changes::write(&changes, out);
    }
    Ok(ExitCode::SUCCESS)
}

/// A profile as it was at one revision.
pub(super) async fn revision(
    profile: &str,
    number: u32,
    client: &Client,
) -> Result<ProfileRevision, CliError> {
    let found = client.get_profile_revision(profile, number).await;
    found.map_err(|error| {
        let what = format!("revision {number} of profile {profile} was not found");
        CliError::call(&what, &error)
    })
}

/// What a revision says, as people write it.
pub(super) fn document(revision: &ProfileRevision) -> Value {
    friendly(revision, &PROFILE, &ASSIGNED)
}

fn changes_between(before: &ProfileRevision, after: &ProfileRevision) -> Vec<FieldChange> {
    changes::between(&document(before), &document(after))
}

fn entry(revision: &ProfileRevision, older: Option<&ProfileRevision>) -> Value {
    let told = older.map(|older| {
        let fields = changes_between(older, revision);
        fields.iter().map(FieldChange::to_json).collect::<Vec<_>>()
    });
    json!({
        "revision": revision.revision,
        "createdAt": revision.created_at,
        "createdBy": revision.created_by,
        "changes": told,
    })
}

fn row(revision: &ProfileRevision, older: Option<&ProfileRevision>) -> [String; 4] {
    let changed = match older {
        None => "created".to_owned(),
        Some(older) => named(&changes_between(older, revision)),
    };
    [
        revision.revision.to_string(),
        minute(&revision.created_at),
        or_dash(&revision.created_by),
        changed,
    ]
}

/// The first few changed fields.
fn named(changes: &[FieldChange]) -> String {
    let paths = changes.iter().map(|change| change.path.clone());
    let named = paths.take(NAMED_MAX).collect::<Vec<_>>().join(", ");
    match changes.len() {
        0 => "nothing".to_owned(),
        all if all > NAMED_MAX => format!("{named} and {} more", all - NAMED_MAX),
        _ => named,
    }
}
