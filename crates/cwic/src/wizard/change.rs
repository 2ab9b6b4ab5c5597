//! `profile edit` and `runner edit` without a file.
//!
//! The present state is edited; only the fields that differ from it are sent,
//! together with its etag. When somebody else was faster, both versions are
//! told and put together, and the person goes on from there.

use std::process::ExitCode;

use palisade_client::{CallError, Client};
use palisade_model::violation::FieldPath;
use palisade_wire::document::to_yaml;
use palisade_wire::rest::ProfileTemplate;
use palisade_wire::spelling::Finding;
use serde_json::{Map, Value, json};

use super::compare::{diff, merge};
use super::desk::{Desk, Wish};
use super::letter::Letter;
use super::{runner_questions, runner_template};
use crate::editor::{Editor, notes};
use crate::error::CliError;
use crate::input::Kind;
use crate::input::typed::Typed;
use crate::out::Out;
use crate::present::{is_empty, plain};
use crate::terminal::{Terminal, Undone};

mod subject;

use subject::Subject;

const PROFILE_UNDONE: Undone = Undone {
    what: "the profile was not changed",
    instead: "say what changes in a file: -f FILE, or -f - for standard input",
};

const RUNNER_UNDONE: Undone = Undone {
    what: "the runner was not changed",
    instead: PROFILE_UNDONE.instead,
};

/// Opens a profile in the editor and sends what changed.
pub(crate) async fn edit_profile(
    text: &str,
    client: &Client,
    out: &mut Out,
    wish: Wish,
) -> Result<ExitCode, CliError> {
    let mut terminal = Terminal::open(PROFILE_UNDONE, out.has_color())?;
    let found = terminal.wait(client.get_profile(text)).await?;
    let profile =
        found.map_err(|error| CliError::call(&format!("profile {text} was not found"), &error))?;
    let mut change = Change::of(profile, Vec::new());
    let opened = to_yaml(&change.present);
    let head = [
        format!("Profile {}, {}.", change.base.name(), change.base.version()),
        "What you change is in force at once, on every runner that offers it.".to_owned(),
    ];
    let opened = notes::noted(&opened, &head, "", &[]);
    let go_on = format!("cwic sandbox profile edit {} -f", change.base.id);
    let mut desk = Desk {
        terminal,
        editor: Editor::from_environment("profile.yaml", go_on),
        client,
        out,
        wish,
    };
    desk.write(&mut change, opened).await
}

/// Asks what is to become of a runner, opens it in the editor and sends what
/// changed.
pub(crate) async fn edit_runner(
    text: &str,
    client: &Client,
    out: &mut Out,
    wish: Wish,
) -> Result<ExitCode, CliError> {
    let mut terminal = Terminal::open(RUNNER_UNDONE, out.has_color())?;
    let found = terminal.wait(client.get_runner(text)).await?;
    let runner =
        found.map_err(|error| CliError::call(&format!("runner {text} was not found"), &error))?;
    let profiles = terminal.wait(client.list_profiles()).await?;
    let profiles = profiles.map_err(|error| CliError::call(RUNNER_UNDONE.what, &error))?;
    let mut change = Change::of(runner, profiles);
    let mut wanted = change.present.clone();
    ask(&mut wanted, &change.profiles, &mut terminal).await?;
    let opened = runner_template::text(&wanted, &change.profiles);
    let go_on = format!(
        "cwic sandbox runner edit {} -f",
        change.base.identity.runner_id
    );
    let mut desk = Desk {
        terminal,
        editor: Editor::from_environment("runner.yaml", go_on),
        client,
        out,
        wish,
    };
    desk.write(&mut change, opened).await
}

/// Asks about a runner, and puts the answers into its document.
async fn ask(
    document: &mut Value,
    profiles: &[ProfileTemplate],
    terminal: &mut Terminal,
) -> Result<(), CliError> {
    let at = |document: &Value, pointer: &str| document.pointer(pointer).cloned();
    let present = at(document, "/managed_spec/release_channel").unwrap_or_default();
    let present = present.as_str().unwrap_or("stable").to_owned();
    let channel = runner_questions::channel(terminal, &present).await?;
    if channel != present {
        document["managed_spec"]["release_channel"] = channel.into();
    }
    let windows = at(document, "/managed_spec/maintenance_policy/windows").unwrap_or_default();
    let count = windows.as_array().map_or(0, Vec::len);
    if let Some(windows) = runner_questions::windows(terminal, count).await?
        && !(count == 0 && windows.is_empty())
    {
        document["managed_spec"]["maintenance_policy"]["windows"] = windows.into();
    }
    let present = at(document, "/profile_bindings").unwrap_or_default();
    let present = present.as_array().cloned().unwrap_or_default();
    let bindings = runner_questions::bindings(terminal, profiles, &present).await?;
    document["profile_bindings"] = bindings.into();
    Ok(())
}

/// A change of something that exists.
struct Change<S> {
    /// The state that is changed.
    base: S,
    /// That state as people write it.
    present: Value,
    profiles: Vec<ProfileTemplate>,
    /// Whether somebody else changed it while it was edited.
    was_overtaken: bool,
}

impl<S: Subject> Change<S> {
    fn of(base: S, profiles: Vec<ProfileTemplate>) -> Self {
        Self {
            present: base.document(),
            base,
            profiles,
            was_overtaken: false,
        }
    }

    /// The names of the top fields that differ, and what they are to be.
    fn difference(&self, typed: &Typed) -> Map<String, Value> {
        let nothing = Map::new();
        let before = self.present.as_object().unwrap_or(&nothing);
        let after = typed.friendly.as_object().unwrap_or(&nothing);
        let differs = |key: &&String| is_other(before.get(*key), after.get(*key));
        let names = before
            .keys()
            .chain(after.keys().filter(|key| !before.contains_key(*key)));
        names
            .filter(differs)
            .map(|key| (key.clone(), after.get(key).cloned().unwrap_or_default()))
            .collect()
    }

    /// The fields of the update mask that differ.
    fn mask(&self, typed: &Typed) -> Vec<&'static str> {
        let (before, after) = (&self.present, &typed.friendly);
        let differs = |pointer: &str| is_other(before.pointer(pointer), after.pointer(pointer));
        let fields = S::FIELDS.iter().filter(|(pointer, _)| differs(pointer));
        fields.map(|(_, path)| *path).collect()
    }
}

/// Whether a field comes to say something else; an empty one that was not there
/// says what it said.
fn is_other(before: Option<&Value>, after: Option<&Value>) -> bool {
    before != after && !(before.is_none() && after.is_some_and(is_empty))
}

impl<S: Subject> Letter for Change<S> {
    fn kind(&self) -> Kind<'_> {
        S::KIND
    }

    fn check(&self, typed: &Typed) -> Vec<Finding> {
        let missing = S::REQUIRED
            .iter()
            .filter(|key| typed.friendly.get(**key).is_none());
        missing
            .map(|key| {
                let what = "must not be taken out as a whole";
                typed.find_at(FieldPath::root().key(*key), what)
            })
            .collect()
    }

    fn is_unchanged(&self, typed: &Typed) -> bool {
        self.difference(typed).is_empty()
    }

    fn summary(&self, typed: &Typed) -> String {
        let name = plain(&self.base.name());
        let mut lines = format!("\nThe change of {} {name}:\n", S::NOUN);
        lines.push_str(&diff(&self.present, &typed.friendly));
        lines.push_str(&self.base.details(&typed.friendly, &self.profiles));
        lines
    }

    fn question(&self, _typed: &Typed) -> Option<String> {
        let name = plain(&self.base.name());
        (S::IS_ASKED || self.was_overtaken).then(|| format!("Change {} {name}?", S::NOUN))
    }

    fn refusal(&self, _typed: &Typed) -> String {
        format!("{} {} was not changed", S::NOUN, self.base.name())
    }

    async fn send(
        &self,
        typed: &Typed,
        is_dry_run: bool,
        client: &Client,
    ) -> Result<String, CallError> {
        let mut difference = self.difference(typed);
        // What is gone is in the mask alone.
        difference.retain(|_, value| !value.is_null());
        let body = typed.to_wire(&Value::Object(difference));
        let mask = self.mask(typed);
        let change = palisade_client::Change {
            is_dry_run,
            etag: Some(self.base.etag().to_owned()),
        };
        let changed = self.base.patch(body, &mask, &change, client).await?;
        let name = plain(&changed.name());
        Ok(format!("{} {name} is at {}", S::NOUN, changed.version()))
    }

    async fn catch_up(
        &mut self,
        typed: &Typed,
        client: &Client,
        out: &mut Out,
    ) -> Result<Option<String>, CliError> {
        let found = self.base.fetch(client).await;
        let theirs = found.map_err(|error| CliError::call(&self.refusal(typed), &error))?;
        let document = theirs.document();
        let (merged, conflicts) = merge(&self.present, &typed.friendly, &document);
        let mut told = vec![format!(
            "Somebody else changed {} {} meanwhile: you began with {}, now there is {}.",
            S::NOUN,
            self.base.name(),
            self.base.version(),
            theirs.version()
        )];
        told.push("What the other one changed:".to_owned());
        told.push(diff(&self.present, &document));
        told.push("What you changed:".to_owned());
        told.push(diff(&self.present, &typed.friendly));
        let told = plain(&told.join("\n"));
        out.note(format_args!("\n{told}"));
        let mut head: Vec<String> = told.lines().map(str::to_owned).collect();
        head.push("Below are both changes together.".to_owned());
        let text = to_yaml(&merged);
        let places = contested(&text, S::KIND, &conflicts, &document);
        (self.base, self.present, self.was_overtaken) = (theirs, document, true);
        Ok(Some(notes::noted(&text, &head, "changed by both", &places)))
    }
}

/// The places that both changed; there the text has what the person wrote.
fn contested(text: &str, kind: Kind<'_>, conflicts: &[FieldPath], theirs: &Value) -> Vec<Finding> {
    // What cannot be read as a whole is told when it is read the next time.
    let Ok(typed) = Typed::read(text, kind) else {
        return Vec::new();
    };
    let place = |path: &FieldPath| {
        let theirs = theirs.pointer(&pointer(path)).cloned().unwrap_or_default();
        typed.find_at(
            path.clone(),
            format!(
                "is as you want it; the other one wants {}",
                plain(&theirs.to_string())
            ),
        )
    };
    conflicts.iter().map(place).collect()
}

fn pointer(path: &FieldPath) -> String {
    use palisade_model::violation::Step;
    let step = |step: &Step| match step {
        Step::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Step::Index(index) => format!("/{index}"),
    };
    path.steps().iter().map(step).collect()
}

/// A document whose `key` is there even when it is empty.
fn with(mut document: Value, key: &str) -> Value {
    if document.get(key).is_none() {
        document[key] = json!({});
    }
    document
}

#[cfg(test)]
mod tests;
