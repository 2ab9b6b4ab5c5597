//! Ports that a sandbox says it listens on.
//!
//! Their names are for people: no backend is told them, so that they need not
//! keep the rules of Kubernetes for names of ports.

use std::collections::BTreeMap;

use super::invalid;
use crate::sandbox::{Port, StartRequest};
use crate::violation::{FieldPath, Violation, ViolationKind};

/// The longest name of a port, in characters.
const NAME_CHARS_MAX: usize = 63;

/// What is wrong with the ports alone.
pub(super) fn violations(request: &StartRequest) -> Vec<Violation> {
    let mut violations = Vec::new();
    let (mut by_door, mut by_name) = (BTreeMap::new(), BTreeMap::new());
    for (index, port) in request.ports.iter().enumerate() {
        let path = FieldPath::from(["ports"]).index(index);
        let Port {
            number,
            name,
            protocol,
        } = port;
        if let Some(first) = repeats(&mut by_door, (number, protocol), index) {
            let protocol = protocol.as_str();
            let what = format!("is {protocol} port {number}, and so is ports[{first}]");
            let path = path.key("container_port");
            violations.push(Violation::new(path, ViolationKind::Duplicate, what));
        }
        let path = path.key("name");
        if let Some(rule) = broken(name) {
            violations.push(invalid(path, &rule));
        } else if !name.is_empty()
            && let Some(first) = repeats(&mut by_name, name, index)
        {
            let what = format!("is the name of ports[{first}], too");
            violations.push(Violation::new(path, ViolationKind::Duplicate, what));
        }
    }
    violations
}

/// The place at which something was seen first, if it was.
fn repeats<K: Ord>(seen: &mut BTreeMap<K, usize>, key: K, index: usize) -> Option<usize> {
    let first = *seen.entry(key).or_insert(index);
    (first != index).then_some(first)
}

fn broken(name: &str) -> Option<String> {
    let len = name.chars().count();
    if len > NAME_CHARS_MAX {
        return Some(format!(
            "has {len} characters; at most {NAME_CHARS_MAX} are allowed"
        ));
    }
    let has_control = name.chars().any(char::is_control);
    has_control.then(|| "contains a control character".to_owned())
}
