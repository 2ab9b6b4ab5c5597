//! `runner create` without a file.

use std::fmt::Write as _;
use std::process::ExitCode;

use palisade_client::{CallError, Change, Client};
use palisade_model::name::RunnerId;
use palisade_wire::rest::ProfileTemplate;
use palisade_wire::spelling::Finding;
use serde_json::{Value, json};

use super::desk::{Desk, Wish};
use super::letter::Letter;
use super::runner_summary::Bindings;
use super::{runner_questions, runner_template};
use crate::editor::Editor;
use crate::error::{CliError, Exit};
use crate::input::Kind;
use crate::input::typed::Typed;
use crate::out::Out;
use crate::present::plain;
use crate::terminal::{Terminal, Undone};

const UNDONE: Undone = Undone {
    what: "no runner was created",
    instead: "describe it in a file: -f FILE, or -f - for standard input",
};

/// Makes a runner with a person; prints its id.
pub(crate) async fn create_runner(
    id: Option<&RunnerId>,
    client: &Client,
    out: &mut Out,
    wish: Wish,
) -> Result<ExitCode, CliError> {
    let mut terminal = Terminal::open(UNDONE, out.has_color())?;
    let profiles = terminal.wait(client.list_profiles()).await?;
    let profiles = profiles.map_err(|error| CliError::call(UNDONE.what, &error))?;
    if profiles.is_empty() {
        return Err(CliError::new(Exit::Refused, UNDONE.what)
            .because("there is no profile, and a runner offers at least one")
            .next("make one first: cwic sandbox profile create"));
    }
    let text = ask(id, client, &mut terminal, &profiles).await?;
    let mut desk = Desk {
        terminal,
        editor: Editor::from_environment("runner.yaml", "cwic sandbox runner create -f"),
        client,
        out,
        wish,
    };
    desk.write(&mut NewRunner { profiles }, text).await
}

async fn ask(
    id: Option<&RunnerId>,
    client: &Client,
    terminal: &mut Terminal,
    profiles: &[ProfileTemplate],
) -> Result<String, CliError> {
    let identity = runner_questions::identity(terminal, client, id).await?;
    let channel = runner_questions::channel(terminal, "stable").await?;
    let windows = runner_questions::windows(terminal, 0).await?;
    let bindings = runner_questions::bindings(terminal, profiles, &[]).await?;
    let mut settings = json!({ "release_channel": channel });
    if let Some(windows) = windows.filter(|windows| !windows.is_empty()) {
        settings["maintenance_policy"] = json!({ "windows": windows });
    }
    let document = json!({
        "identity": identity,
        "managed_spec": settings,
        "profile_bindings": bindings,
    });
    Ok(runner_template::text(&document, profiles))
}

struct NewRunner {
    profiles: Vec<ProfileTemplate>,
}

fn fact(typed: &Typed, pointer: &str) -> String {
    let text = typed.friendly.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or("-").to_owned()
}

impl Letter for NewRunner {
    fn kind(&self) -> Kind<'_> {
        Kind::NewRunner(None)
    }

    fn check(&self, _typed: &Typed) -> Vec<Finding> {
        Vec::new()
    }

    fn is_unchanged(&self, _typed: &Typed) -> bool {
        false
    }

    fn summary(&self, typed: &Typed) -> String {
        let windows = typed
            .friendly
            .pointer("/managed_spec/maintenance_policy/windows");
        let windows = windows.and_then(Value::as_array).map_or(0, Vec::len);
        let facts = [
            ("Runner", fact(typed, "/identity/runner_id")),
            ("Cluster", fact(typed, "/identity/cluster_name")),
            ("Zone", fact(typed, "/identity/zone")),
            ("Channel", fact(typed, "/managed_spec/release_channel")),
            ("Windows", windows.to_string()),
        ];
        let mut lines = "\nThe new runner:\n".to_owned();
        for (name, value) in facts {
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "  {name:<9}{value}");
        }
        let bindings = typed
            .friendly
            .get("profile_bindings")
            .unwrap_or(&Value::Null);
        lines + "Its profiles:\n" + &Bindings::between(&[], bindings, &self.profiles).to_string()
    }

    fn question(&self, typed: &Typed) -> Option<String> {
        let id = fact(typed, "/identity/runner_id");
        Some(format!("Create runner {}?", plain(&id)))
    }

    fn refusal(&self, typed: &Typed) -> String {
        format!(
            "runner {} was not created",
            fact(typed, "/identity/runner_id")
        )
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
        let created = client.create_runner(None, typed.document.value.clone(), &change);
        Ok(created.await?.id)
    }
}
