//! What is to happen for one document.

use palisade_client::{CallError, Change, Client};
use serde_json::Value;

use super::Goal;
use super::live::{Live, Thing};
use crate::error::CliError;
use crate::input::Document;
use crate::outcome::Outcome;

/// What happened to what a document is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Created,
    Configured,
    Unchanged,
}

impl Verdict {
    /// The word for people and programs.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        }
    }
}

/// What is to happen for one document.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) document: &'a Document,
    /// What there is now.
    pub(super) live: Option<&'a Thing>,
    /// What there will be, if the server could tell.
    pub(super) after: Option<Thing>,
    goal: Goal,
    /// Whether it binds a profile that another document is about to make, so
    /// that the server cannot check it before.
    waits_for_others: bool,
}

impl<'a> Plan<'a> {
    /// The plan for one of the documents.
    pub(super) fn make(
        document: &'a Document,
        goal: Goal,
        all: &[Document],
        live: &'a Live,
    ) -> Self {
        let is_new = |name: &str| {
            let mut profiles = all.iter().filter(|one| !one.is_runner());
            profiles.any(|one| one.name() == name && live.find(one).is_none())
        };
        Self {
            document,
            live: live.find(document),
            after: None,
            goal,
            waits_for_others: bound(document).any(is_new),
        }
    }

    /// Asks the server whether it would take the document, and what would come
    /// of it.
    pub(super) async fn check(mut self, client: &Client) -> Result<Self, CliError> {
        if !self.waits_for_others {
            self.after = Some(self.send(client, true).await?);
        }
        Ok(self)
    }

    /// What would happen, with the id that the thing has.
    pub(super) fn foresee(&self) -> (Verdict, String) {
        let id = self.live.map(|live| live.id().to_owned());
        (self.verdict(self.after.as_ref()), id.unwrap_or_default())
    }

    /// Does it, and returns what happened to which id.
    pub(super) async fn make_it_so(&self, client: &Client) -> Result<(Verdict, String), CliError> {
        let (verdict, id) = self.foresee();
        if verdict == Verdict::Unchanged {
            return Ok((verdict, id));
        }
        let made = self.send(client, false).await?;
        Ok((self.verdict(Some(&made)), made.id().to_owned()))
    }

    /// What became of the document.
    pub(super) fn outcome(&self, result: &'static str) -> Outcome {
        Outcome::of(self.noun(), self.document.name(), result)
    }

    /// What the document is about, for people.
    pub(super) fn noun(&self) -> &'static str {
        if self.document.is_runner() {
            "runner"
        } else {
            "profile"
        }
    }

    fn verdict(&self, after: Option<&Thing>) -> Verdict {
        match (self.live, after) {
            (None, _) => Verdict::Created,
            (Some(live), Some(after)) if live.document() == after.document() => Verdict::Unchanged,
            (Some(_), Some(_) | None) => Verdict::Configured,
        }
    }

    async fn send(&self, client: &Client, is_dry_run: bool) -> Result<Thing, CliError> {
        let change = &Change {
            is_dry_run,
            etag: None,
        };
        let mut value = self.document.value.clone();
        // The state that the document was made from, if it says one: what
        // somebody else changed since then is not lost.
        if let (Some(_), Some(etag)) = (self.live, &self.document.etag) {
            value["etag"] = Value::String(etag.clone());
        }
        let id = self.live.map(Thing::id);
        let sent = match (self.document.is_runner(), id) {
            (false, None) => client.create_profile(value, change).await.map(profile),
            (false, Some(id)) => client.update_profile(id, value, change).await.map(profile),
            (true, None) => client.create_runner(None, value, change).await.map(runner),
            (true, Some(id)) => client.update_runner(id, value, change).await.map(runner),
        };
        sent.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &CallError) -> CliError {
        let (noun, name) = (self.noun(), self.document.name());
        let verb = match self.goal {
            Goal::Create => "created",
            Goal::Apply => "applied",
        };
        CliError::call_about(
            &format!("{noun} {name} was not {verb}"),
            error,
            self.document,
        )
    }
}

fn profile(profile: palisade_wire::rest::ProfileTemplate) -> Thing {
    Thing::Profile(Box::new(profile))
}

fn runner(runner: palisade_wire::rest::Runner) -> Thing {
    Thing::Runner(Box::new(runner))
}

/// The profiles that a document binds, as it names them.
fn bound(document: &Document) -> impl Iterator<Item = &str> {
    let bindings = document
        .value
        .get("profileBindings")
        .and_then(Value::as_array);
    let bindings = bindings.into_iter().flatten();
    bindings.filter_map(|binding| binding.get("profileTemplateId")?.as_str())
}
