//! `cwic sandbox profile lint`: looks for risky and useless settings.
//!
//! A file is judged here and needs no server; a profile by name is fetched.

use std::process::ExitCode;

use palisade_client::Client;
use palisade_model::lint::{Finding, Severity};
use serde_json::{Value, json};

use crate::cli::{FailOn, LintArgs};
use crate::commands::{Ended, advice};
use crate::error::Exit;
use crate::input::{self, Kind};
use crate::out::Out;
use crate::present;

/// A finding, the profile that it is about, and where its writer finds it.
struct Told {
    profile: String,
    place: Option<String>,
    finding: Finding,
}

/// Runs the command; without a client there is only the file.
pub(in crate::commands) async fn run(
    args: &LintArgs,
    client: Option<&Client>,
    out: &mut Out,
) -> Ended {
    let mut told = Vec::new();
    if let Some(file) = &args.file {
        let batch = input::read_all(std::slice::from_ref(file), Kind::ProfileChange)?;
        batch.check()?;
        for document in &batch.documents {
            let profile = name_of(&document.value);
            for finding in advice::findings(&document.value) {
                let place = document.locate(&format!("profileTemplate.{}", finding.path));
                told.push(Told {
                    profile: profile.clone(),
                    place,
                    finding,
                });
            }
        }
    }
    if let Some(client) = client {
        for text in &args.profiles {
            let profile = out
                .during("waiting for the server", super::find(text, client))
                .await?;
            let findings = advice::findings(&present::json(&profile));
            told.extend(findings.into_iter().map(|finding| Told {
                profile: profile.display_name.clone(),
                place: None,
                finding,
            }));
        }
    }
    let answer = json!({ "findings": told.iter().map(Told::to_json).collect::<Vec<_>>() });
    if !present::for_programs(&args.output.output, &answer, out) {
        write(&told, out);
    }
    let threshold = match args.fail_on {
        FailOn::Warning => Severity::Warning,
        FailOn::Error => Severity::Error,
    };
    let has_failed = told.iter().any(|told| told.finding.severity() >= threshold);
    if has_failed {
        Ok(Exit::Refused.into())
    } else {
        Ok(ExitCode::SUCCESS)
    }
}

fn name_of(document: &Value) -> String {
    let name = document.get("displayName").and_then(Value::as_str);
    name.unwrap_or("(no display_name)").to_owned()
}

impl Told {
    fn to_json(&self) -> Value {
        to_json(&self.profile, self.place.as_deref(), &self.finding)
    }
}

/// A finding for programs, with the profile and where its writer finds it.
pub(super) fn to_json(profile: &str, place: Option<&str>, finding: &Finding) -> Value {
    let Finding {
        rule,
        path,
        why,
        change,
    } = finding;
    json!({
        "profile": profile,
        "rule": rule.id(),
        "severity": rule.severity().as_str(),
        "path": path.to_string(),
        "place": place,
        "why": why,
        "change": change,
        "page": page(finding),
    })
}

fn page(finding: &Finding) -> String {
    format!("docs/lint/{}.md", finding.rule)
}

fn write(told: &[Told], out: &mut Out) {
    for Told {
        profile,
        place,
        finding,
    } in told
    {
        let severity = finding.severity().as_str();
        let at = match place {
            Some(place) => place.clone(),
            None => finding.path.to_string(),
        };
        out.line(format_args!(
            "{severity}[{}] {profile}: {at} {}",
            finding.rule, finding.why
        ));
        out.line(format_args!("  instead: {}", finding.change));
        out.line(format_args!("  see:     {}", page(finding)));
    }
    let count = |severity| {
        let findings = told.iter().map(|told| told.finding.severity());
        findings.filter(|found| *found == severity).count()
    };
    let counts = Severity::ALL.iter().rev().map(|&severity| {
        let (count, name) = (count(severity), severity.as_str());
        let s = if count == 1 { "" } else { "s" };
        format!("{count} {name}{s}")
    });
    out.line(counts.collect::<Vec<_>>().join(", "));
}
