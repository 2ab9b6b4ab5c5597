//! What `describe` tells of a profile beside what it says: what lives under it,
//! how it came about, and what it is advised against.

use palisade_client::Client;
use palisade_model::lint::Finding;
use palisade_wire::rest::{ProfileRevision, ProfileTemplate, Runner, Usage};
use serde_json::{Value, json};

use super::{lint, revisions};
use crate::commands::{advice, living};
use crate::error::CliError;
use crate::out::Out;
use crate::present;

/// How many revisions are told.
const REVISIONS_MAX: usize = 5;

/// All three.
pub(super) struct Standing {
    usage: Usage,
    /// One more than is told, to say what the oldest of these changed.
    revisions: Vec<ProfileRevision>,
    findings: Vec<Finding>,
}

/// Asks for what the server knows, and judges the rest here.
pub(super) async fn find(profile: &ProfileTemplate, client: &Client) -> Result<Standing, CliError> {
    let usage = client.profile_usage(&profile.id).await;
    let usage = usage.map_err(|error| CliError::call("live sandboxes were not counted", &error))?;
    let mut findings = advice::findings(&present::json(profile));
    findings.retain(advice::is_worth_telling);
    Ok(Standing {
        usage,
        revisions: revisions::newest(&profile.id, REVISIONS_MAX + 1, client).await?,
        findings,
    })
}

impl Standing {
    /// Tells a person.
    pub(super) fn tell(&self, out: &mut Out) {
        living::tell(&self.usage, out);
        out.line("\nRecent revisions:");
        let mut rows = revisions::rows(&self.revisions, REVISIONS_MAX);
        for row in &mut rows {
            row[0] = format!("  {}", row[0]);
        }
        out.table(["  REVISION", "WRITTEN", "BY", "CHANGED"], &rows);
        if !self.findings.is_empty() {
            out.line("\nWarnings:");
            for finding in &self.findings {
                out.line(format_args!("  {}", advice::line(finding)));
            }
        }
    }

    /// Everything that `describe` tells, for programs.
    pub(super) fn to_json(&self, profile: &ProfileTemplate, runners: &[Runner]) -> Value {
        let offers = runners.iter().flat_map(|runner| {
            let bindings = runner.profile_bindings.iter();
            let bindings = bindings.filter(|binding| binding.profile_template_id == profile.id);
            bindings.map(move |binding| {
                json!({
                    "runnerId": runner.identity.runner_id,
                    "connectionStatus": runner.connection_status,
                    "binding": binding,
                })
            })
        });
        let name = &profile.display_name;
        let findings = self.findings.iter();
        json!({
            "profile": profile,
            "offers": offers.collect::<Vec<_>>(),
            "usage": self.usage,
            "revisions": revisions::entries(&self.revisions, REVISIONS_MAX),
            "findings": findings.map(|found| lint::to_json(name, None, found)).collect::<Vec<_>>(),
        })
    }
}
