//! The text in which a new profile is written: what was answered, and every
//! other field as an example behind a `#`.
//!
//! Prose has one blank behind its `#`; an example has none, or those of its
//! indent. Taking the `#` of all examples away leaves a document that is right.

use palisade_wire::document::to_yaml;
use serde_json::{Map, Value, json};

/// What was answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    pub(super) display_name: String,
    pub(super) description: String,
    /// As the namespace block holds it.
    pub(super) strategy: &'static str,
    /// The namespace of the `static` strategy.
    pub(super) namespace: Option<String>,
    /// Modes in the order they were chosen, each as the document holds it.
    pub(super) modes: Vec<(String, Value)>,
    /// The default mode, if there are modes.
    pub(super) default_mode: Option<String>,
}

const HEAD: &str = "\
# A new profile. Change what you like, save and leave the editor; then you are
# shown what would be made, and asked. Empty the file to give up.
# Take away the # before a field to use it; what is left out is inherited from
# the runner.
";

const COMPUTE: &str = "  # The shape of sandboxes.
  #container_image: python:3.11
  # The isolation backend, by its name on the runner.
  #runtime_class: gvisor
  # What a sandbox gets that does not ask, and the most that it can ask for.
  #resource_defaults:
  #  cpuRequest: 250m
  #  memoryRequest: 256Mi
  #  cpuLimit: \"1\"
  #  memoryLimit: 1Gi
  #resource_ceiling:
  #  cpu: \"4\"
  #  memory: 8Gi
  # Where sandboxes land.
  #instance_types: [h100]
  #node_selector:
  #  pool: sandboxes
  #tags: [ml]
";

const NAMESPACE: &str = "    #autoCreate: true
    #labels:
    #  team: ml
";

const PREFIX: &str = "    #namespacePrefix: sb-\n";

const INGRESS: &str =
    "    # Levels at which sandboxes can expose ports; without one, nothing comes in.
    #ingress:
    #  internal:
    #    scope: org
    #    service:
    #      serviceType: ClusterIP
    #  public:
    #    scope: any
    #    expectsExternalAddress: true
    #    service:
    #      serviceType: LoadBalancer
    #    ingress:
    #      controllerName: nginx
    #      template: \"{{.SandboxID}}.sandboxes.example.com\"
";

const NO_EGRESS: &str = "    # No egress mode was chosen, so nothing gets out.
    #egress:
    #  default: deny-all
    #  modes:
    #    deny-all:
    #      type: none
";

const POD: &str = "  # A patch of the pod, for what has no field above.
  #pod:
  #  metadata:
  #    annotations:
  #      owner: ml-platform
  #  spec:
  #    terminationGracePeriodSeconds: 20
";

/// The text.
pub(super) fn text(answers: &Answers) -> String {
    let mut text = HEAD.to_owned();
    let mut top = Map::new();
    top.insert(
        "display_name".to_owned(),
        answers.display_name.clone().into(),
    );
    if answers.description.is_empty() {
        text.push_str(&to_yaml(&Value::Object(top)));
        text.push_str("#description: what it is for\n");
    } else {
        top.insert("description".to_owned(), answers.description.clone().into());
        text.push_str(&to_yaml(&Value::Object(top)));
    }
    text.push_str("#labels:\n#  team: ml\nspec:\n");
    text.push_str(COMPUTE);
    push(&namespace(answers), &mut text);
    if answers.namespace.is_none() {
        text.push_str(PREFIX);
    }
    text.push_str(NAMESPACE);
    push_network(answers, &mut text);
    text.push_str(POD);
    text
}

/// Whether a comment is for people, and no example.
fn is_prose(line: &str) -> bool {
    let rest = line.trim_start().strip_prefix("# ");
    rest.is_some_and(|rest| !rest.starts_with(' '))
}

fn namespace(answers: &Answers) -> Value {
    let mut block = json!({ "strategy": answers.strategy });
    if let Some(namespace) = &answers.namespace {
        block["staticNamespace"] = namespace.clone().into();
    }
    json!({ "namespace": block })
}

fn push_network(answers: &Answers, text: &mut String) {
    if let Some(default) = &answers.default_mode {
        let modes: Map<String, Value> = answers.modes.iter().cloned().collect();
        let egress = json!({ "default": default, "modes": modes });
        push(&json!({ "network": { "egress": egress } }), text);
        text.push_str(INGRESS);
        return;
    }
    text.push_str("  #network:\n");
    for line in NO_EGRESS.lines().chain(INGRESS.lines()) {
        // The key above them is an example as well.
        let line = if is_prose(line) {
            line.to_owned()
        } else {
            line.replacen("    #", "  #  ", 1)
        };
        text.push_str(&line);
        text.push('\n');
    }
}

/// Adds a part of the spec.
fn push(value: &Value, text: &mut String) {
    for line in to_yaml(value).lines() {
        text.push_str("  ");
        text.push_str(line);
        text.push('\n');
    }
}

#[cfg(test)]
pub(in crate::wizard) mod tests {
    use super::*;
    use crate::input::Kind;
    use crate::input::typed::Typed;

    fn answers() -> Answers {
        Answers {
            display_name: "agents: # v1".to_owned(),
            description: "what\tit is".to_owned(),
            strategy: "per-user",
            modes: vec![
                ("internet".to_owned(), json!({"type": "internet"})),
                (
                    "ci".to_owned(),
                    json!({"type": "allowlist", "cidrs": ["10.0.0.0/8"]}),
                ),
            ],
            default_mode: Some("internet".to_owned()),
            ..Answers::default()
        }
    }

    fn read(text: &str) -> Value {
        let typed = Typed::read(text, Kind::NewProfile);
        typed
            .unwrap_or_else(|findings| panic!("{findings:?}\n{text}"))
            .friendly
    }

    /// The text with every example in force.
    pub(in crate::wizard) fn uncommented(text: &str) -> String {
        let line = |line: &str| {
            if line.trim_start().starts_with('#') && !is_prose(line) {
                line.replacen('#', "", 1)
            } else {
                line.to_owned()
            }
        };
        text.lines().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_was_answered_is_in_the_document_and_nothing_else() {
        let expected = json!({
            "display_name": "agents: # v1",
            "description": "what\tit is",
            "spec": {
                "namespace": {"strategy": "per-user"},
                "network": {"egress": {
                    "default": "internet",
                    "modes": {
                        "internet": {"type": "internet"},
                        "ci": {"type": "allowlist", "cidrs": ["10.0.0.0/8"]},
                    },
                }},
            },
        });
        assert_eq!(read(&text(&answers())), expected);
    }

    #[test]
    fn every_example_is_right() {
        let static_one = Answers {
            display_name: "x".to_owned(),
            strategy: "static",
            namespace: Some("shared".to_owned()),
            ..Answers::default()
        };
        let plain = Answers {
            display_name: "agents".to_owned(),
            ..answers()
        };
        for answers in [static_one, plain] {
            let bare = read(&text(&answers));
            let full = read(&uncommented(&text(&answers)));
            let pod = full.pointer("/spec/pod/spec/terminationGracePeriodSeconds");
            assert_eq!(pod, Some(&json!(20)));
            assert!(
                full.pointer("/spec/network/ingress/public").is_some(),
                "{full:#}"
            );
            assert!(bare.pointer("/spec/pod").is_none());
        }
    }
}
