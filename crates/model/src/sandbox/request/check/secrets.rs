//! What is wrong with the secrets that a request asks for.
//!
//! Whether they exist is not known here: that is for whoever keeps them.

use std::collections::BTreeSet;

use super::StartRequest;
use crate::placement::SANDBOX_ID_VARIABLE;
use crate::secret::{CLUSTER_SECRETS_MAX, STORE_SECRETS_MAX};
use crate::violation::{FieldPath, Violation, ViolationKind};

pub(super) fn violations(request: &StartRequest) -> Vec<Violation> {
    let too_many = count_violations(request);
    if !too_many.is_empty() {
        return too_many;
    }
    let mut violations = Vec::new();
    let mut seen = BTreeSet::new();
    for asked in &request.secrets {
        let name = asked.variable.env_var.as_str();
        let (kind, description) = if name.is_empty() || name.contains(['=', '\0']) {
            let rule = "must be the name of a variable, without '=' and NUL characters";
            (ViolationKind::Invalid, rule.to_owned())
        } else if name == SANDBOX_ID_VARIABLE {
            let rule = format!("is {name}, which the platform sets itself");
            (ViolationKind::Conflict, rule)
        } else if request.environment.contains_key(name) {
            let rule = format!("is {name:?}, which environment_variables sets, too");
            (ViolationKind::Conflict, rule)
        } else if !seen.insert(name) {
            let rule = format!("is {name:?}, which another secret is for, too");
            (ViolationKind::Duplicate, rule)
        } else {
            continue;
        };
        violations.push(Violation::new(asked.at.key("env_var"), kind, description));
    }
    violations
}

fn count_violations(request: &StartRequest) -> Vec<Violation> {
    let secrets = &request.secrets;
    let of_stores = secrets.iter().filter(|asked| asked.variable.is_of_store());
    let of_stores = of_stores.count();
    let of_runner = secrets.len() - of_stores;
    let counts = [
        ("secret_stores", of_stores, STORE_SECRETS_MAX),
        ("runner_cluster_secrets", of_runner, CLUSTER_SECRETS_MAX),
    ];
    let over = counts.into_iter().filter(|(_, count, most)| count > most);
    over.map(|(field, count, most)| {
        let description = format!("has {count} secrets; a sandbox has at most {most} of them");
        let path = FieldPath::from([field]);
        Violation::new(path, ViolationKind::TooMany, description)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::AskedSecret;
    use crate::secret::{SecretSource, SecretVariable};

    fn asked(env_var: &str, index: usize) -> AskedSecret {
        AskedSecret {
            variable: SecretVariable {
                env_var: env_var.to_owned(),
                source: SecretSource::Runner {
                    name: "db".parse().unwrap(),
                    key: "password".parse().unwrap(),
                },
            },
            at: FieldPath::from(["runner_cluster_secrets"]).index(index),
        }
    }

    fn told(names: &[&str]) -> Vec<String> {
        let secrets = names.iter().enumerate();
        let request = StartRequest {
            environment: [("PLAIN".to_owned(), String::new())].into(),
            secrets: secrets.map(|(index, name)| asked(name, index)).collect(),
            ..StartRequest::default()
        };
        let violations = request.violations();
        violations.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_variable_has_one_value_and_the_place_of_a_second_is_told() {
        assert!(told(&["A", "B"]).is_empty());
        let told = told(&["A", "PLAIN", "A", "CW_SANDBOX_ID", "", "A=B"]);
        let places = [1, 2, 3, 4, 5];
        assert_eq!(told.len(), places.len(), "{told:?}");
        for (text, place) in told.iter().zip(places) {
            let path = format!("runner_cluster_secrets[{place}].env_var");
            assert!(text.contains(&path), "{text}");
        }
    }

    #[test]
    fn secrets_are_counted() {
        let names: Vec<_> = (0..=CLUSTER_SECRETS_MAX).map(|n| format!("V{n}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        assert!(told(&names[1..]).is_empty());
        let told = told(&names);
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("101"), "{told:?}");
    }
}
