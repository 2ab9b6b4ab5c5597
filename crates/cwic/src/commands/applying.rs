//! Making what documents say: creating, applying and comparing.
//!
//! Every document is first checked here, then all of them on the server, and
//! only when none was refused is anything changed, unless the caller wants the
//! good ones made all the same. Profiles come before runners, which can bind
//! them by name.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use palisade_client::Client;

use crate::cli::{CreateArgs, DiffArgs, DocumentsArgs, OutcomeFormat};
use crate::commands::{Ended, advice, preview};
use crate::error::{CliError, Exit};
use crate::input::{self, Batch, Document, Kind};
use crate::out::Out;
use crate::outcome::{Outcome, Report};

mod difference;
mod live;
mod plan;
mod tally;

use live::Live;
use plan::{Plan, Verdict};
use tally::Tally;

/// Advice about more documents than this would bury what was done.
const ADVISED_MAX: usize = 10;

/// What is wanted of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    /// New things; what exists already is refused.
    Create,
    /// Things as the documents say, whether they exist or not.
    Apply,
}

/// The documents that somebody gave, and what is to become of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    files: &'a [PathBuf],
    kind: Kind<'a>,
    is_dry_run: bool,
    /// Whether the others are made when one is refused.
    goes_on: bool,
    format: OutcomeFormat,
}

impl<'a> Wanted<'a> {
    /// New things.
    pub(super) fn of_new(args: &'a CreateArgs, kind: Kind<'a>) -> Self {
        Self {
            files: &args.file.files,
            kind,
            is_dry_run: args.file.dry_run,
            goes_on: args.refusal.continue_on_error,
            format: args.outcome.output,
        }
    }

    /// Things as they should be.
    pub(super) fn of(args: &'a DocumentsArgs, kind: Kind<'a>) -> Self {
        Self {
            files: &args.sources.files,
            kind,
            is_dry_run: args.dry_run,
            goes_on: args.refusal.continue_on_error,
            format: args.outcome.output,
        }
    }
}

/// Creates what the documents describe, and prints their ids.
pub(super) async fn create(wanted: &Wanted<'_>, client: &Client, out: &mut Out) -> Ended {
    report(Goal::Create, wanted, client, out).await
}

/// Creates what does not exist, changes what is different, and says which.
pub(super) async fn apply(wanted: &Wanted<'_>, client: &Client, out: &mut Out) -> Ended {
    report(Goal::Apply, wanted, client, out).await
}

/// Shows how what there is differs from what documents say.
pub(super) async fn diff(args: &DiffArgs, kind: Kind<'_>, client: &Client, out: &mut Out) -> Ended {
    let compared = compare(args, kind, client, out).await;
    compared.map_err(CliError::not_compared)
}

async fn compare(args: &DiffArgs, kind: Kind<'_>, client: &Client, out: &mut Out) -> Ended {
    let batch = input::read_all(&args.sources.files, kind)?;
    batch.check()?;
    let documents = in_order(batch)?;
    let live = out
        .during("reading what there is", Live::load(&documents, client))
        .await?;
    let mut plans = Vec::new();
    for document in &documents {
        let plan = Plan::make(document, Goal::Apply, &documents, &live);
        plans.push(out.during("comparing", plan.check(client)).await?);
    }
    let differs = difference::write(&plans, args.outcome.output, out);
    Ok(if differs {
        Exit::Failure.into()
    } else {
        ExitCode::SUCCESS
    })
}

/// What was done is told to programs whatever the end is.
async fn report(goal: Goal, wanted: &Wanted<'_>, client: &Client, out: &mut Out) -> Ended {
    let batch = input::read_all(wanted.files, wanted.kind)?;
    let mut report = Report::new(wanted.format);
    let ended = make(goal, batch, (wanted, client), (&mut report, out)).await;
    report.finish(out);
    ended
}

async fn make(
    goal: Goal,
    batch: Batch,
    (wanted, client): (&Wanted<'_>, &Client),
    (report, out): (&mut Report, &mut Out),
) -> Ended {
    let goes_on = wanted.goes_on;
    let mut tally = Tally::new(&batch);
    if !goes_on {
        batch.check()?;
    }
    for mistakes in &batch.mistakes {
        let error = CliError::mistakes(std::slice::from_ref(mistakes), 1)
            .next("correct it, and run the command again");
        report.note_failure(
            Outcome::of("document", &mistakes.whereabouts(), "refused"),
            &error,
        );
        tally.refuse(&error, out);
    }
    let documents = in_order(batch)?;
    let live = match goal {
        Goal::Create => Live::default(),
        Goal::Apply => {
            out.during("reading what there is", Live::load(&documents, client))
                .await?
        }
    };
    let mut plans = Vec::new();
    for (done, document) in documents.iter().enumerate() {
        let plan = Plan::make(document, goal, &documents, &live);
        // One document is refused as a whole anyway.
        if documents.len() == 1 && goal == Goal::Create && !wanted.is_dry_run {
            plans.push(plan);
            break;
        }
        let refused = plan.outcome("refused");
        let what = format!("checking document {} of {}", done + 1, documents.len());
        match out.during(&what, plan.check(client)).await {
            Ok(plan) => plans.push(plan),
            Err(error) => {
                report.note_failure(refused, &error);
                if goes_on {
                    tally.refuse(&error, out);
                } else {
                    tally.keep(error);
                }
            }
        }
    }
    tally.check()?;
    carry_out(goal, &plans, tally, (wanted, client), (report, out)).await
}

/// Does what was planned and checked.
async fn carry_out(
    goal: Goal,
    plans: &[Plan<'_>],
    mut tally: Tally,
    (wanted, client): (&Wanted<'_>, &Client),
    (report, out): (&mut Report, &mut Out),
) -> Ended {
    for (done, plan) in plans.iter().enumerate() {
        let what = format!("applying document {} of {}", done + 1, plans.len());
        let made = if wanted.is_dry_run {
            Ok(plan.foresee())
        } else {
            out.during(&what, plan.make_it_so(client)).await
        };
        match made {
            Ok((verdict, id)) => {
                let outcome = plan.outcome(verdict.as_str()).tried(wanted.is_dry_run);
                let outcome = outcome.with("id", (!id.is_empty()).then_some(id.as_str()));
                let line = line(goal, plan, (verdict, &id), wanted.is_dry_run);
                // Of what is created, the ids are the result.
                if goal == Goal::Create && wanted.is_dry_run {
                    report.tell_aside(outcome, line, out);
                } else {
                    report.tell(outcome, line, out);
                }
                if plans.len() <= ADVISED_MAX {
                    advise(plan, verdict, wanted.is_dry_run, (client, out)).await?;
                }
            }
            Err(error) => {
                report.note_failure(plan.outcome("refused"), &error);
                if !wanted.goes_on {
                    return Err(Tally::stopped(error, done, plans.len()));
                }
                tally.refuse(&error, out);
            }
        }
    }
    tally.end()
}

fn line(goal: Goal, plan: &Plan<'_>, (verdict, id): (Verdict, &str), is_dry: bool) -> String {
    let (noun, name) = (plan.noun(), plan.document.name());
    match (goal, is_dry) {
        (Goal::Create, true) => format!("{noun} {name} would be created"),
        (Goal::Create, false) => id.to_owned(),
        (Goal::Apply, true) => format!("{noun} {name} {} (dry run)", verdict.as_str()),
        (Goal::Apply, false) => format!("{noun} {name} {}", verdict.as_str()),
    }
}

/// Tells what one of a few documents means and is advised against.
async fn advise(
    plan: &Plan<'_>,
    verdict: Verdict,
    is_dry_run: bool,
    (client, out): (&Client, &mut Out),
) -> Result<(), CliError> {
    let document = plan.document;
    match (is_dry_run, verdict, plan.live) {
        (_, Verdict::Unchanged, _) => return Ok(()),
        (true, Verdict::Configured, Some(live)) if document.is_runner() => {
            preview::runner(live.id(), &document.value, client, out).await?;
        }
        (true, Verdict::Configured, Some(live)) => {
            preview::profile(live.id(), &document.value, client, out).await?;
        }
        (true, Verdict::Created, _) if document.is_runner() => {
            preview::new_runner(document.name(), out);
        }
        (true, Verdict::Created, _) => preview::new_profile(document.name(), out),
        (true | false, Verdict::Created | Verdict::Configured, _) => {}
    }
    if !document.is_runner() {
        advice::tell(&document.value, out);
    }
    Ok(())
}

/// The documents with profiles first. Two that are about the same thing would
/// undo each other, so that neither is taken.
fn in_order(batch: Batch) -> Result<Vec<Document>, CliError> {
    let mut documents = batch.documents;
    documents.sort_by_key(Document::is_runner);
    let mut seen: HashMap<(bool, &str), &Document> = HashMap::new();
    for document in documents
        .iter()
        .filter(|document| !document.name().is_empty())
    {
        let key = (document.is_runner(), document.name());
        if let Some(first) = seen.insert(key, document) {
            let what = format!("{} is described twice", document.name());
            return Err(CliError::new(Exit::Usage, what)
                .because(format!(
                    "{} and {}",
                    first.whereabouts(),
                    document.whereabouts()
                ))
                .next("keep one of them; nothing was changed"));
        }
    }
    Ok(documents)
}
