//! `profile create` without a file.

use std::fmt::Write as _;
use std::process::ExitCode;

use palisade_client::{CallError, Change, Client};
use palisade_wire::spelling::Finding;
use serde_json::Value;

use super::desk::{Desk, Wish};
use super::letter::Letter;
use super::{profile_questions, profile_template};
use crate::editor::Editor;
use crate::error::CliError;
use crate::input::Kind;
use crate::input::typed::Typed;
use crate::out::Out;
use crate::present;
use crate::terminal::{Terminal, Undone};

const UNDONE: Undone = Undone {
    what: "no profile was created",
    instead: "describe it in a file: -f FILE, or -f - for standard input",
};

/// Makes a profile with a person; prints its id.
pub(crate) async fn create_profile(
    client: &Client,
    out: &mut Out,
    wish: Wish,
) -> Result<ExitCode, CliError> {
    let mut terminal = Terminal::open(UNDONE, out.has_color())?;
    // Nobody types for a server that is not there, or does not know him.
    let reached = terminal.wait(client.list_profiles_page(1, "")).await?;
    reached.map_err(|error| CliError::call(UNDONE.what, &error))?;
    let answers = profile_questions::ask(&mut terminal, client).await?;
    let mut desk = Desk {
        terminal,
        editor: Editor::from_environment("profile.yaml", "cwic sandbox profile create -f"),
        client,
        out,
        wish,
    };
    let text = profile_template::text(&answers);
    desk.write(&mut NewProfile, text).await
}

struct NewProfile;

fn name(typed: &Typed) -> &str {
    let name = typed.friendly.get("display_name");
    name.and_then(Value::as_str).unwrap_or_default()
}

impl Letter for NewProfile {
    fn kind(&self) -> Kind<'_> {
        Kind::NewProfile
    }

    fn check(&self, _typed: &Typed) -> Vec<Finding> {
        Vec::new()
    }

    fn is_unchanged(&self, _typed: &Typed) -> bool {
        false
    }

    fn summary(&self, typed: &Typed) -> String {
        let document = &typed.friendly;
        let text = |pointer: &str| {
            let text = document.pointer(pointer).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let or = |text: String, or: &str| if text.is_empty() { or.to_owned() } else { text };
        let namespace = [
            text("/spec/namespace/strategy"),
            text("/spec/namespace/staticNamespace"),
        ];
        let levels = document
            .pointer("/spec/network/ingress")
            .and_then(Value::as_object);
        let levels = levels.map(|levels| levels.keys().cloned().collect::<Vec<_>>().join(", "));
        let modes = document.pointer("/spec/network/egress");
        let modes = modes.map(|_| present::profile::egress(document));
        let has_pod = document.pointer("/spec/pod").is_some();
        let facts = [
            ("Name", text("/display_name")),
            ("Description", or(text("/description"), "-")),
            ("Image", or(text("/spec/container_image"), "the runner's")),
            (
                "Runtime class",
                or(text("/spec/runtime_class"), "the runner's"),
            ),
            (
                "Namespace",
                or(namespace.join(" ").trim().to_owned(), "the runner's"),
            ),
            ("Egress", or(modes.unwrap_or_default(), "nothing gets out")),
            (
                "Ingress",
                or(levels.unwrap_or_default(), "nothing comes in"),
            ),
            ("Pod patch", if has_pod { "yes" } else { "none" }.to_owned()),
        ];
        let mut lines = "\nThe new profile:\n".to_owned();
        for (name, value) in facts {
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "  {name:<15}{value}");
        }
        lines
    }

    fn question(&self, typed: &Typed) -> Option<String> {
        Some(format!("Create profile {}?", present::plain(name(typed))))
    }

    fn refusal(&self, typed: &Typed) -> String {
        format!("profile {} was not created", name(typed))
    }

    async fn send(
        &self,
        typed: &Typed,
        is_dry_run: bool,
        client: &Client,
    ) -> Result<String, CallError> {
        let change = Change {
            is_dry_run,
            etag: None,
        };
        let created = client.create_profile(typed.document.value.clone(), &change);
        Ok(created.await?.id)
    }
}
