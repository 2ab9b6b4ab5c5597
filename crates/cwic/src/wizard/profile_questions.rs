//! What is asked about a new profile before its spec is written.

use std::time::Duration;

use palisade_client::{CallError, Client};
use palisade_model::cidr::Cidr;
use palisade_model::name::{DisplayName, ModeName};
use palisade_model::profile::{EgressType, StaticNamespace};
use palisade_model::reason::Code;
use palisade_wire::profile_document::DESCRIPTION_LEN_MAX;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::profile_template::Answers;
use crate::error::CliError;
use crate::prompt::{Choice, Question};
use crate::terminal::Terminal;

/// How long a person waits to hear whether a name is free.
const NAME_CHECK_TIME: Duration = Duration::from_secs(10);

const STRATEGIES: [(&str, &str); 4] = [
    ("per-user", "one for each user"),
    ("per-profile", "one for each profile"),
    ("per-org", "one for the organization"),
    ("static", "one that you name"),
];

const MODES: [(EgressType, &str); 6] = [
    (EgressType::Internet, "public addresses"),
    (EgressType::User, "sandboxes of the same user"),
    (EgressType::Org, "sandboxes of the organization"),
    (EgressType::Profile, "sandboxes of the same profile"),
    (EgressType::Allowlist, "address ranges that you list"),
    (EgressType::None, "nothing"),
];

/// The name of the mode that lets nothing out.
const DENY_ALL: &str = "deny-all";

/// Asks everything.
pub(super) async fn ask(terminal: &mut Terminal, client: &Client) -> Result<Answers, CliError> {
    let display_name = display_name(terminal, client).await?;
    let question = Question::new("Description", "what it is for; Enter for none");
    let description = terminal.ask(question.check(check_description)).await?;
    let (strategy, namespace) = namespace(terminal).await?;
    let modes = modes(terminal).await?;
    let default_mode = default_mode(terminal, &modes).await?;
    Ok(Answers {
        display_name,
        description,
        strategy,
        namespace,
        modes,
        default_mode,
    })
}

async fn display_name(terminal: &mut Terminal, client: &Client) -> Result<String, CliError> {
    let (client, runtime) = (client.clone(), Handle::current());
    let question = Question::new(
        "Display name",
        "unique in the organization, and never changed",
    )
    .check(parsed::<DisplayName>)
    .check_at_enter(move |name| {
        let found = runtime.block_on(timeout(NAME_CHECK_TIME, client.get_profile(name)));
        is_free("profile", found.map(|found| found.map(drop)))
    });
    terminal.ask(question).await
}

/// Whether nothing has a name, by the answer to a look for it.
pub(super) fn is_free<E>(
    what: &str,
    found: Result<Result<(), CallError>, E>,
) -> Result<(), String> {
    match found {
        Ok(Ok(())) => Err(format!("is taken by another {what}; choose another name")),
        Ok(Err(CallError::Refused(refused))) if refused.code() == Some(Code::NotFound) => Ok(()),
        Ok(Err(error)) => Err(format!("cannot be checked, Enter tries again: {error}")),
        Err(_) => Err("cannot be checked, Enter tries again: no answer in time".to_owned()),
    }
}

/// What is wrong with a text that is to be a `T`.
pub(super) fn parsed<T: std::str::FromStr<Err: ToString>>(text: &str) -> Result<(), String> {
    text.parse::<T>()
        .map(drop)
        .map_err(|error| error.to_string())
}

fn check_description(text: &str) -> Result<(), String> {
    let len = text.chars().count();
    if len > DESCRIPTION_LEN_MAX {
        return Err(format!(
            "has {len} characters; at most {DESCRIPTION_LEN_MAX} are allowed"
        ));
    }
    if text.chars().any(char::is_control) {
        return Err("must not contain control characters".to_owned());
    }
    Ok(())
}

async fn namespace(terminal: &mut Terminal) -> Result<(&'static str, Option<String>), CliError> {
    let choice = Choice {
        message: "Namespace strategy".to_owned(),
        help: "how sandboxes are grouped; arrows and Enter",
        options: STRATEGIES
            .iter()
            .map(|(name, what)| format!("{name}: {what}"))
            .collect(),
    };
    let picked = terminal.pick(choice, 0).await?;
    let strategy = STRATEGIES.get(picked).map_or("per-user", |(name, _)| *name);
    if strategy != "static" {
        return Ok((strategy, None));
    }
    let question = Question::new("Namespace", "the namespace of all its sandboxes").check(|text| {
        text.parse::<StaticNamespace>()
            .map(drop)
            .map_err(|error| error.to_string())
    });
    Ok((strategy, Some(terminal.ask(question).await?)))
}

/// Asks for modes, each with its name and as the document holds it.
async fn modes(terminal: &mut Terminal) -> Result<Vec<(String, Value)>, CliError> {
    let options = MODES
        .iter()
        .map(|(kind, what)| format!("{}: {what}", kind.as_str()));
    let choice = Choice {
        message: "Egress modes".to_owned(),
        help: "what sandboxes may reach; Space chooses, Enter goes on, none: nothing gets out",
        options: options.collect(),
    };
    let mut modes = Vec::new();
    let mut has_allowlist = false;
    for picked in terminal.pick_some(choice, Vec::new(), 0).await? {
        match MODES.get(picked) {
            None => {}
            Some((EgressType::Allowlist, _)) => has_allowlist = true,
            Some((EgressType::None, _)) => {
                modes.push((DENY_ALL.to_owned(), json!({ "type": "none" })));
            }
            Some((kind, _)) => {
                let name = kind.as_str();
                modes.push((name.to_owned(), json!({ "type": name })));
            }
        }
    }
    if has_allowlist {
        modes.push(allowlist(terminal, &modes).await?);
    }
    Ok(modes)
}

async fn allowlist(
    terminal: &mut Terminal,
    others: &[(String, Value)],
) -> Result<(String, Value), CliError> {
    let taken: Vec<String> = others.iter().map(|(name, _)| name.clone()).collect();
    let question = Question::new("Name of the allowlist mode", "how sandboxes ask for it")
        .initially("allowlist")
        .check(move |text| {
            if taken.iter().any(|taken| taken == text) {
                return Err("is the name of another mode already".to_owned());
            }
            parsed::<ModeName>(text)
        });
    let name = terminal.ask(question).await?;
    let question = Question::new(
        "Address ranges",
        "with blanks between, such as 140.82.112.0/20 2001:db8::/32",
    );
    let text = terminal
        .ask(question.check(|text| ranges(text).map(drop)))
        .await?;
    let cidrs = ranges(&text).unwrap_or_default();
    Ok((name, json!({ "type": "allowlist", "cidrs": cidrs })))
}

fn ranges(text: &str) -> Result<Vec<String>, String> {
    // A list that is pasted has line ends.
    let parts = text
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|part| !part.is_empty());
    let ranges = parts.map(|part| match part.parse::<Cidr>() {
        Ok(cidr) => Ok(cidr.to_string()),
        Err(error) => Err(format!("{part} {error}")),
    });
    let ranges = ranges.collect::<Result<Vec<_>, _>>()?;
    if ranges.is_empty() {
        return Err("must name one range at least".to_owned());
    }
    Ok(ranges)
}

async fn default_mode(
    terminal: &mut Terminal,
    modes: &[(String, Value)],
) -> Result<Option<String>, CliError> {
    let names: Vec<String> = modes.iter().map(|(name, _)| name.clone()).collect();
    if names.len() < 2 {
        return Ok(names.into_iter().next());
    }
    let choice = Choice {
        message: "Default egress mode".to_owned(),
        help: "for sandboxes that ask for none; arrows and Enter",
        options: names.clone(),
    };
    let picked = terminal.pick(choice, 0).await?;
    Ok(names.into_iter().nth(picked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_told_apart_by_blanks_and_commas() {
        let two = ["140.82.112.0/20".to_owned(), "2001:db8::/32".to_owned()];
        assert_eq!(ranges("140.82.112.0/20,\n2001:db8::/32 "), Ok(two.to_vec()));
    }

    #[test]
    fn the_range_that_is_wrong_is_named() {
        let wrong = ranges("10.0.0.0/8 10.0.0.1/8").unwrap_err();
        assert!(wrong.starts_with("10.0.0.1/8 has bits set"), "{wrong}");
        assert!(ranges(" ,").is_err());
    }

    #[test]
    fn the_strategies_are_those_that_there_are() {
        use palisade_model::profile::StrategyKind;
        let known = StrategyKind::ALL.map(StrategyKind::as_str);
        assert!(STRATEGIES.iter().all(|(name, _)| known.contains(name)));
        assert!(
            EgressType::ALL
                .iter()
                .all(|kind| MODES.iter().any(|(known, _)| known == kind))
        );
    }
}
