//! Host names of sandboxes, from a Go template with two variables.
//!
//! Only `{{.SandboxID}}` and `{{.Namespace}}` exist; there are no functions and
//! no pipes, so a template can be judged when it is written and not only when a
//! sandbox starts.

use std::fmt;
use std::str::FromStr;

use crate::id::SandboxId;
use crate::name::DnsLabel;

/// A host name with places for the id and the namespace of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostTemplate {
    text: String,
    parts: Vec<Part>,
}

/// A text as long as every sandbox id.
const ANY_ID: &str = "00000000-0000-0000-0000-000000000000";

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    Literal(String),
    SandboxId,
    Namespace,
}

/// Why a text is not a host name template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostTemplateError {
    /// Nothing was given.
    #[error("must not be empty")]
    Empty,
    /// An action was opened and not closed, or the other way round.
    #[error("has an unbalanced {{{{ or }}}}")]
    Unbalanced,
    /// An action that is not one of the two variables.
    #[error("uses {{{{{action}}}}}; only {{{{.SandboxID}}}} and {{{{.Namespace}}}} are available")]
    UnknownAction {
        /// What stood between the braces.
        action: String,
    },
    /// Two sandboxes would get the same host name.
    #[error("must contain {{{{.SandboxID}}}}, or all sandboxes would share one host name")]
    NoSandboxId,
    /// The result could not be a DNS name.
    #[error("does not make a DNS host name: {reason}")]
    NotAHostName {
        /// Which rule of DNS it breaks.
        reason: &'static str,
    },
}

impl HostTemplate {
    /// The host name of one sandbox, in lower case.
    ///
    /// `None` when the namespace is so long that a label or the whole name
    /// passes the limits of DNS; only a template with `{{.Namespace}}` can.
    pub fn render(&self, sandbox: SandboxId, namespace: &DnsLabel) -> Option<String> {
        let host = self.fill(&sandbox.to_string(), namespace.as_str());
        check_host_name(&host).is_ok().then_some(host)
    }

    /// Whether every sandbox in this namespace gets a host name.
    pub fn fits(&self, namespace: &DnsLabel) -> bool {
        check_host_name(&self.fill(ANY_ID, namespace.as_str())).is_ok()
    }

    fn fill(&self, sandbox: &str, namespace: &str) -> String {
        let mut host = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => host.push_str(text),
                Part::SandboxId => host.push_str(sandbox),
                Part::Namespace => host.push_str(namespace),
            }
        }
        host.make_ascii_lowercase();
        host
    }
}

impl FromStr for HostTemplate {
    type Err = HostTemplateError;

    fn from_str(text: &str) -> Result<Self, HostTemplateError> {
        if text.is_empty() {
            return Err(HostTemplateError::Empty);
        }
        let parts = split(text)?;
        if !parts.contains(&Part::SandboxId) {
            return Err(HostTemplateError::NoSandboxId);
        }
        let template = Self {
            text: text.to_owned(),
            parts,
        };
        // A UUID is always this long; a namespace is at least one character.
        let shortest = template.fill(ANY_ID, "a");
        check_host_name(&shortest).map_err(|reason| HostTemplateError::NotAHostName { reason })?;
        Ok(template)
    }
}

fn split(text: &str) -> Result<Vec<Part>, HostTemplateError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((literal, behind)) = rest.split_once("{{") {
        push_literal(&mut parts, literal)?;
        let (action, behind) = behind
            .split_once("}}")
            .ok_or(HostTemplateError::Unbalanced)?;
        parts.push(match action.trim() {
            ".SandboxID" => Part::SandboxId,
            ".Namespace" => Part::Namespace,
            _ => {
                return Err(HostTemplateError::UnknownAction {
                    action: action.to_owned(),
                });
            }
        });
        rest = behind;
    }
    push_literal(&mut parts, rest)?;
    Ok(parts)
}

fn push_literal(parts: &mut Vec<Part>, literal: &str) -> Result<(), HostTemplateError> {
    if literal.contains("}}") {
        return Err(HostTemplateError::Unbalanced);
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal.to_owned()));
    }
    Ok(())
}

fn check_host_name(host: &str) -> Result<(), &'static str> {
    if host.len() > 253 {
        return Err("it is longer than 253 characters");
    }
    for label in host.split('.') {
        if label.is_empty() {
            return Err("it has an empty label");
        }
        if label.len() > 63 {
            return Err("a label is longer than 63 characters");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err("a label starts or ends with a hyphen");
        }
        if !label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return Err("it has characters other than letters, digits, hyphens and dots");
        }
    }
    Ok(())
}

impl fmt::Display for HostTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d";

    fn render(template: &str, namespace: &str) -> Option<String> {
        let template: HostTemplate = template.parse().unwrap();
        template.render(ID.parse().unwrap(), &namespace.parse().unwrap())
    }

    #[test]
    fn both_variables_are_filled_in() {
        assert_eq!(
            render(
                "{{.SandboxID}}.{{ .Namespace }}.Sandboxes.example.com",
                "ns-1"
            ),
            Some(format!("{ID}.ns-1.sandboxes.example.com"))
        );
    }

    #[test]
    fn a_namespace_too_long_for_the_label_makes_no_host_name() {
        assert_eq!(
            render("{{.SandboxID}}-{{.Namespace}}.x", &"n".repeat(40)),
            None
        );
    }

    #[test]
    fn each_broken_rule_has_its_own_error() {
        let error = |text: &str| text.parse::<HostTemplate>().unwrap_err();
        assert_eq!(error(""), HostTemplateError::Empty);
        assert_eq!(error("{{.SandboxID"), HostTemplateError::Unbalanced);
        assert_eq!(error("{{.SandboxID}}}}"), HostTemplateError::Unbalanced);
        assert_eq!(error("x.example.com"), HostTemplateError::NoSandboxId);
        assert!(matches!(
            error("{{.SandboxID | upper}}.x"),
            HostTemplateError::UnknownAction { .. }
        ));
        assert!(matches!(
            error("{{.SandboxID}}..x"),
            HostTemplateError::NotAHostName { .. }
        ));
        assert!(matches!(
            error("{{.SandboxID}}/x"),
            HostTemplateError::NotAHostName { .. }
        ));
    }

    #[test]
    fn a_template_fits_a_namespace_or_does_not() {
        let template: HostTemplate = "{{.SandboxID}}-{{.Namespace}}.x".parse().unwrap();
        assert!(template.fits(&"n".repeat(26).parse().unwrap()));
        assert!(!template.fits(&"n".repeat(27).parse().unwrap()));
    }

    #[test]
    fn nothing_can_be_smuggled_into_a_host_name() {
        for text in [
            "{{.SandboxID}}.{{.Env.TOKEN}}.x",
            "{{.SandboxID}}.{{printf \"x\"}}.x",
            "{{.SandboxID}}.{{{{.Namespace}}}}.x",
            "{{.SandboxID}}.{{/* */}}.x",
            "{{.SandboxID}}.x\r\nHost: y",
            "{{.SandboxID}}.x y",
            "{{.SandboxID}}.*.x",
            "{{.SandboxID}}.x:80",
            "{{.SandboxID}}@x",
            "{{.SandboxID}}.\u{ff0e}x",
            "{{.SandboxID}}.${HOME}.x",
        ] {
            assert!(text.parse::<HostTemplate>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_template_says_it_makes_a_name_that_is_the_sandbox_s_own(text in "(\\{\\{ ?\\.(SandboxID|Namespace) ?\\}\\}|[a-z.{}-]){1,12}") {
            if let Ok(template) = text.parse::<HostTemplate>()
                && let Some(name) = template.render(ID.parse().unwrap(), &"ns-1".parse().unwrap())
            {
                prop_assert!(name.contains(ID), "{}", name);
                let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
                prop_assert!(name.chars().all(is_plain), "{}", name);
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = text.parse::<HostTemplate>();
        }
    }
}
