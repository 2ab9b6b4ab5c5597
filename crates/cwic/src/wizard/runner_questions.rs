//! What is asked about a runner before the rest is written.

use std::time::Duration;

use palisade_client::{Client, RunnerFilter};
use palisade_model::name::{ClusterName, ProfileName, RunnerId, Zone};
use palisade_model::runner::ReleaseChannel;
use palisade_wire::rest::{ProfileTemplate, Runner};
use palisade_wire::runner_document::check_cron;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::profile_questions::{is_free, parsed};
use crate::error::CliError;
use crate::present::plain;
use crate::prompt::{Choice, Question};
use crate::terminal::Terminal;

/// How long a person waits to hear whether a name is free.
const NAME_CHECK_TIME: Duration = Duration::from_secs(10);

/// How long a window may be, in seconds, and how many there may be.
const WINDOW_SECONDS: std::ops::RangeInclusive<u32> = 60..=604_800;
const WINDOWS_MAX: usize = 32;

/// Who a new runner is, as a document.
pub(super) async fn identity(
    terminal: &mut Terminal,
    client: &Client,
    id: Option<&RunnerId>,
) -> Result<Value, CliError> {
    let runtime = Handle::current();
    let (look, at) = (client.clone(), runtime.clone());
    let cluster = Question::new("Cluster", "the name of the cluster that it serves")
        .check(parsed::<ClusterName>)
        .check_at_enter(move |name| {
            let filter = RunnerFilter {
                cluster: Some(name.to_owned()),
                zone: None,
            };
            let found = at.block_on(timeout(NAME_CHECK_TIME, look.list_runners(&filter)));
            serves_nobody(found)
        });
    let cluster = terminal.ask(cluster).await?;
    let id = if let Some(id) = id {
        id.to_string()
    } else {
        let look = client.clone();
        let question = Question::new("Runner id", "unique in the organization, and never changed")
            .check(parsed::<RunnerId>)
            .check_at_enter(move |id| {
                let found = runtime.block_on(timeout(NAME_CHECK_TIME, look.get_runner(id)));
                is_free("runner", found.map(|found| found.map(drop)))
            });
        terminal.ask(question).await?
    };
    let question = Question::new("Zone", "where it stands, such as us-east-04a");
    let zone = terminal.ask(question.check(parsed::<Zone>)).await?;
    Ok(json!({ "runner_id": id, "zone": zone, "cluster_name": cluster }))
}

/// A cluster has one runner at most.
fn serves_nobody<E>(
    found: Result<Result<Vec<Runner>, palisade_client::CallError>, E>,
) -> Result<(), String> {
    match found {
        Ok(Ok(runners)) => match runners.first() {
            None => Ok(()),
            Some(runner) => {
                let id = plain(&runner.identity.runner_id);
                Err(format!(
                    "has the runner {id} already; a cluster has one at most"
                ))
            }
        },
        Ok(Err(error)) => Err(format!("cannot be checked, Enter tries again: {error}")),
        Err(_) => Err("cannot be checked, Enter tries again: no answer in time".to_owned()),
    }
}

/// Asks for the release channel, beginning with the present one.
pub(super) async fn channel(
    terminal: &mut Terminal,
    present: &str,
) -> Result<&'static str, CliError> {
    let channels = ReleaseChannel::ALL.map(ReleaseChannel::as_str);
    let start = channels
        .iter()
        .position(|name| *name == present)
        .unwrap_or(0);
    let choice = Choice {
        message: "Release channel".to_owned(),
        help: "how soon it gets new versions; arrows and Enter",
        options: channels.map(str::to_owned).to_vec(),
    };
    let picked = terminal.pick(choice, start).await?;
    Ok(channels.get(picked).copied().unwrap_or("stable"))
}

/// Asks for maintenance windows. `None` keeps the present ones.
pub(super) async fn windows(
    terminal: &mut Terminal,
    present: usize,
) -> Result<Option<Vec<Value>>, CliError> {
    if present > 0 {
        let choice = Choice {
            message: "Maintenance windows".to_owned(),
            help: "when it may be updated; arrows and Enter",
            options: vec![
                format!("keep the present {present}"),
                "write new ones".to_owned(),
            ],
        };
        if terminal.pick(choice, 0).await? == 0 {
            return Ok(None);
        }
    }
    let mut windows = Vec::new();
    while windows.len() < WINDOWS_MAX {
        let which = if windows.is_empty() {
            "Maintenance window"
        } else {
            "Another window"
        };
        let question = Question::new(which, "as cron in UTC, such as 0 2 * * SAT; Enter for none")
            .check(|text| {
                if text.is_empty() {
                    return Ok(());
                }
                check_cron(text).map_err(|error| error.to_string())
            });
        let cron = terminal.ask(question).await?;
        if cron.is_empty() {
            break;
        }
        let question = Question::new("How long", "such as 90m, 4h or 1d")
            .initially("4h")
            .check(|text| seconds(text).map(drop));
        let duration = seconds(&terminal.ask(question).await?).unwrap_or_default();
        windows.push(json!({ "cron": cron, "duration_seconds": duration }));
    }
    Ok(Some(windows))
}

fn seconds(text: &str) -> Result<u32, String> {
    let wrong = || "must be a number with s, m, h or d behind it, such as 4h".to_owned();
    let (number, unit) = match text.chars().last() {
        Some('s') => (text.strip_suffix('s'), 1),
        Some('m') => (text.strip_suffix('m'), 60),
        Some('h') => (text.strip_suffix('h'), 3600),
        Some('d') => (text.strip_suffix('d'), 86_400),
        _ => return Err(wrong()),
    };
    let number: u32 = number
        .and_then(|number| number.parse().ok())
        .ok_or_else(wrong)?;
    let seconds = number.saturating_mul(unit);
    if WINDOW_SECONDS.contains(&seconds) {
        Ok(seconds)
    } else {
        Err("must be from a minute to seven days".to_owned())
    }
}

/// Asks which profiles it offers, under which names, and which is the default.
///
/// Those that are bound come first and keep their order, as the order counts.
pub(super) async fn bindings(
    terminal: &mut Terminal,
    profiles: &[ProfileTemplate],
    present: &[Value],
) -> Result<Vec<Value>, CliError> {
    let bound = present.iter().filter_map(|binding| {
        let id = id_of(binding);
        profiles.iter().find(|profile| profile.id == id)
    });
    let bound: Vec<&ProfileTemplate> = bound.collect();
    let free = profiles
        .iter()
        .filter(|one| !bound.iter().any(|other| other.id == one.id));
    let all: Vec<&ProfileTemplate> = bound.iter().copied().chain(free).collect();
    let choice = Choice {
        message: "Profiles".to_owned(),
        help: "what it offers; Space chooses, typing filters, Enter goes on",
        options: all
            .iter()
            .map(|profile| plain(&profile.display_name))
            .collect(),
    };
    let picked = terminal
        .pick_some(choice, (0..bound.len()).collect(), 1)
        .await?;
    let picked = picked
        .into_iter()
        .filter_map(|index| all.get(index).copied());
    let mut bindings = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for profile in picked {
        let before = present.iter().find(|binding| id_of(binding) == profile.id);
        let (binding, name) = binding(terminal, profile, before, &names).await?;
        bindings.push(binding);
        names.push(name);
    }
    let start = bindings.iter().position(is_default).unwrap_or(0);
    let default = default(terminal, &names, start).await?;
    for (index, binding) in bindings.iter_mut().enumerate() {
        binding["is_default"] = (index == default).into();
    }
    Ok(bindings)
}

/// The binding of a profile, and the name that it gets on the runner.
async fn binding(
    terminal: &mut Terminal,
    profile: &ProfileTemplate,
    before: Option<&Value>,
    names: &[String],
) -> Result<(Value, String), CliError> {
    let alias = before.and_then(|binding| binding.get("profile_name"));
    let alias = alias.and_then(Value::as_str).unwrap_or_default();
    let (own, taken) = (profile.display_name.clone(), names.to_vec());
    let shown = plain(&profile.display_name);
    let question = Question::new(
        format!("Alias of {shown}"),
        "how sandboxes name it on this runner; Enter for its display name",
    )
    .initially(plain(alias))
    .check(move |text| {
        let name = if text.is_empty() { own.as_str() } else { text };
        if taken.iter().any(|taken| taken == name) {
            return Err(format!(
                "{name} is the name of another profile here already"
            ));
        }
        if text.is_empty() {
            Ok(())
        } else {
            parsed::<ProfileName>(text)
        }
    });
    let alias = terminal.ask(question).await?;
    let id = profile.id.clone();
    let mut binding = json!({ "profile_template_id": id });
    let name = if alias.is_empty() {
        profile.display_name.clone()
    } else {
        alias.clone()
    };
    if !alias.is_empty() {
        binding["profile_name"] = alias.into();
    }
    binding["is_default"] = before.is_some_and(is_default).into();
    if let Some(overrides) = before.and_then(|before| before.get("overrides_json")) {
        binding["overrides_json"] = overrides.clone();
    }
    Ok((binding, name))
}

async fn default(
    terminal: &mut Terminal,
    names: &[String],
    start: usize,
) -> Result<usize, CliError> {
    if names.len() < 2 {
        return Ok(0);
    }
    let choice = Choice {
        message: "Default profile".to_owned(),
        help: "for sandboxes that name none; arrows and Enter",
        options: names.iter().map(|name| plain(name)).collect(),
    };
    terminal.pick(choice, start).await
}

fn id_of(binding: &Value) -> &str {
    let id = binding.get("profile_template_id").and_then(Value::as_str);
    id.unwrap_or_default()
}

fn is_default(binding: &Value) -> bool {
    binding
        .get("is_default")
        .and_then(Value::as_bool)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn durations_are_numbers_with_a_unit_within_bounds() {
        assert_eq!(seconds("90m"), Ok(5400));
        assert_eq!(seconds("7d"), Ok(604_800));
        for wrong in [
            "",
            "4",
            "h",
            "59s",
            "8d",
            "-1h",
            "99999999999d",
            "4294967295d",
        ] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
