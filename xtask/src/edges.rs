//! Which crate may depend on which.
//!
//! The table is the architecture: an edge that is not in it is a mistake or a
//! decision, and a decision changes the table in the same commit.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;

/// A crate, the crates of ours that it may name, and outside crates that it
/// must not.
struct Rule {
    name: &'static str,
    may_name: &'static [&'static str],
    must_not_name: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule {
        name: "palisade-model",
        may_name: &[],
        must_not_name: &["tokio", "tonic", "kube", "sqlx", "clap", "serde", "axum"],
    },
    Rule {
        name: "palisade-wire",
        may_name: &["palisade-model", "palisade-backend"],
        must_not_name: &["sqlx", "kube"],
    },
    Rule {
        name: "palisade-store",
        may_name: &["palisade-model"],
        must_not_name: &["tonic", "kube"],
    },
    Rule {
        name: "palisade-blob",
        may_name: &["palisade-model"],
        must_not_name: &["tonic", "sqlx", "kube", "clap"],
    },
    Rule {
        name: "palisade-secrets",
        may_name: &["palisade-model", "palisade-store"],
        must_not_name: &["tonic", "kube", "sqlx", "clap", "axum"],
    },
    Rule {
        name: "palisade-backend",
        may_name: &["palisade-model"],
        must_not_name: &["kube", "nix"],
    },
    Rule {
        name: "palisade-init-protocol",
        may_name: &[],
        must_not_name: &["kube", "sqlx", "tonic", "clap"],
    },
    Rule {
        name: "palisade-init-channel",
        may_name: &[],
        must_not_name: &["tokio", "kube", "sqlx", "tonic", "clap", "nix", "rustix"],
    },
    Rule {
        name: "palisade-init-client",
        may_name: &[
            "palisade-model",
            "palisade-backend",
            "palisade-init-channel",
            "palisade-init-protocol",
        ],
        must_not_name: &["kube", "sqlx", "tonic", "clap", "nix", "rustix"],
    },
    Rule {
        name: "palisade-init",
        may_name: &["palisade-init-channel", "palisade-init-protocol"],
        must_not_name: &["kube", "sqlx", "tonic", "clap"],
    },
    Rule {
        name: "palisade-image",
        may_name: &["palisade-model"],
        must_not_name: &["kube", "sqlx", "tonic", "clap"],
    },
    Rule {
        name: "palisade-backend-linux",
        may_name: &[
            "palisade-model",
            "palisade-backend",
            "palisade-image",
            "palisade-http-router",
            "palisade-init-client",
            "palisade-init-protocol",
        ],
        must_not_name: &["kube", "sqlx", "tonic", "clap"],
    },
    Rule {
        name: "palisade-backend-kube",
        may_name: &[
            "palisade-model",
            "palisade-backend",
            "palisade-init-client",
            "palisade-init-protocol",
        ],
        must_not_name: &["sqlx", "tonic", "clap", "nix"],
    },
    Rule {
        name: "palisade-http-router",
        may_name: &["palisade-model"],
        must_not_name: &["kube", "sqlx", "tonic", "clap", "nix"],
    },
    Rule {
        name: "palisade-control-plane",
        may_name: &[
            "palisade-model",
            "palisade-wire",
            "palisade-store",
            "palisade-secrets",
        ],
        must_not_name: &["kube", "nix", "clap"],
    },
    Rule {
        name: "palisade-gateway",
        may_name: &[
            "palisade-model",
            "palisade-wire",
            "palisade-store",
            "palisade-secrets",
            "palisade-backend",
            "palisade-blob",
        ],
        must_not_name: &["kube", "nix", "clap"],
    },
    Rule {
        name: "palisade-runner",
        may_name: &["palisade-model", "palisade-wire", "palisade-backend"],
        must_not_name: &["sqlx", "kube", "clap"],
    },
    Rule {
        name: "palisade-client",
        may_name: &["palisade-model", "palisade-wire"],
        must_not_name: &["sqlx", "kube", "clap"],
    },
    Rule {
        name: "cwic",
        may_name: &[
            "palisade-model",
            "palisade-wire",
            "palisade-client",
            // What sandboxes say to those who ask about their network.
            "palisade-init-protocol",
        ],
        must_not_name: &["sqlx", "kube"],
    },
    Rule {
        name: "palisade",
        may_name: &[
            "palisade-model",
            "palisade-wire",
            "palisade-store",
            "palisade-secrets",
            "palisade-backend",
            "palisade-backend-kube",
            "palisade-backend-linux",
            "palisade-blob",
            "palisade-image",
            "palisade-control-plane",
            "palisade-gateway",
            "palisade-runner",
        ],
        must_not_name: &[],
    },
    Rule {
        name: "palisade-bench",
        may_name: &["palisade-wire"],
        must_not_name: &["sqlx", "kube"],
    },
    Rule {
        name: "xtask",
        may_name: &[],
        must_not_name: &[],
    },
];

/// What no crate of ours may bring in, and why.
const BANNED_EVERYWHERE: &[(&str, &str)] = &[
    ("openssl-sys", "TLS is rustls"),
    ("native-tls", "TLS is rustls"),
];

/// Returns the edges that the table does not have.
pub(crate) fn check() -> anyhow::Result<Vec<String>> {
    let packages = workspace()?;
    let ours: BTreeSet<&str> = packages.keys().map(String::as_str).collect();
    let mut problems = Vec::new();
    for (name, dependencies) in &packages {
        let Some(rule) = RULES.iter().find(|rule| rule.name == name) else {
            problems.push(format!("crate {name} has no line in xtask/src/edges.rs"));
            continue;
        };
        problems.extend(broken(rule, dependencies, &ours));
    }
    problems.extend(banned()?);
    Ok(problems)
}

fn broken(rule: &Rule, dependencies: &BTreeSet<String>, ours: &BTreeSet<&str>) -> Vec<String> {
    let mut problems = Vec::new();
    for dependency in dependencies {
        let dependency = dependency.as_str();
        // A crate may use its own test support through a feature of itself.
        let is_itself = dependency == rule.name;
        if ours.contains(dependency) && !is_itself && !rule.may_name.contains(&dependency) {
            problems.push(format!(
                "crate {} may not depend on {dependency}",
                rule.name
            ));
        }
        if rule.must_not_name.contains(&dependency) {
            problems.push(format!("crate {} must not name {dependency}", rule.name));
        }
    }
    problems
}

/// The crates of this workspace with what they name outside their tests.
fn workspace() -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let metadata = metadata(&["--no-deps"])?;
    let mut packages = BTreeMap::new();
    for package in array(&metadata, "packages")? {
        let dependencies = array(package, "dependencies")?
            .iter()
            .filter(|dependency| dependency["kind"] != "dev")
            .filter_map(|dependency| dependency["name"].as_str().map(str::to_owned))
            .collect();
        packages.insert(text(package, "name")?, dependencies);
    }
    Ok(packages)
}

fn banned() -> anyhow::Result<Vec<String>> {
    let metadata = metadata(&[])?;
    let names: BTreeSet<String> = array(&metadata, "packages")?
        .iter()
        .filter_map(|package| package["name"].as_str().map(str::to_owned))
        .collect();
    let found = BANNED_EVERYWHERE
        .iter()
        .filter(|(name, _)| names.contains(*name));
    Ok(found
        .map(|(name, reason)| format!("{name} is in the dependency tree: {reason}"))
        .collect())
}

fn metadata(arguments: &[&str]) -> anyhow::Result<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        .args(arguments)
        .output()
        .context("run cargo metadata")?;
    if !output.status.success() {
        bail!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    serde_json::from_slice(&output.stdout).context("read cargo metadata")
}

fn array<'a>(value: &'a Value, key: &str) -> anyhow::Result<&'a Vec<Value>> {
    value[key]
        .as_array()
        .with_context(|| format!("no list {key}"))
}

fn text(value: &Value, key: &str) -> anyhow::Result<String> {
    let text = value[key]
        .as_str()
        .with_context(|| format!("no text {key}"))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(dependencies: &[&str]) -> Vec<String> {
        let rule = Rule {
            name: "palisade-a",
            may_name: &["palisade-b"],
            must_not_name: &["sqlx"],
        };
        let dependencies = dependencies.iter().map(|name| (*name).to_owned()).collect();
        let ours = BTreeSet::from(["palisade-a", "palisade-b", "palisade-c"]);
        broken(&rule, &dependencies, &ours)
    }

    #[test]
    fn an_edge_that_the_table_does_not_have_is_found() {
        let none: [&str; 0] = [];
        assert_eq!(problems(&["palisade-a", "palisade-b", "serde"]), none);
        assert!(problems(&["palisade-c"])[0].contains("palisade-c"));
        assert!(problems(&["sqlx"])[0].contains("sqlx"));
    }

    #[test]
    fn the_domain_knows_no_protocol_no_database_and_no_runtime() {
        let model = RULES.iter().find(|rule| rule.name == "palisade-model");
        let model = model.unwrap();
        assert!(model.may_name.is_empty());
        for name in ["tokio", "tonic", "kube", "sqlx", "clap"] {
            assert!(model.must_not_name.contains(&name), "{name}");
        }
    }
}
