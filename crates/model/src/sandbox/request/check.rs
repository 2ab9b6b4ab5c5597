//! What is wrong with a request, whatever the fleet.
//!
//! Single fields are parsed at the edge; here are the rules between fields, and
//! those that hold on every protocol. Paths are spelled as in the protocol.

use std::collections::BTreeSet;

use super::{MountedFile, ResourceAmounts, StartRequest};
use crate::pod;
use crate::quantity::Quantity;
use crate::snapshot::MOUNT_BYTES_MIN;
use crate::violation::{FieldPath, Violation, ViolationKind};

/// The most profiles, and the most runners, that a request may name.
pub const SELECTORS_MAX: usize = 500;

/// The longest path of a mounted file, in bytes.
pub const MOUNT_PATH_MAX: usize = 4_096;

/// The longest name in such a path, in bytes, as on Linux.
const NAME_BYTES_MAX: usize = 255;

/// The directories of the root that belong to the kernel and the runtime.
const SYSTEM: [&str; 3] = ["dev", "proc", "sys"];

/// The most words of a command and variables of its environment together.
pub const PROCESS_WORDS_MAX: usize = 16_384;

/// The most bytes of a command and its environment, as the kernel counts them:
/// each word has a zero byte at its end. Linux takes no more in any case.
pub const PROCESS_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The most bytes of one word, or of one variable with its name, with the zero byte at
/// its end. Linux takes no more in any case.
const WORD_BYTES_MAX: usize = 128 * 1024;

/// The most bytes that all mounted files hold together. They are kept with the
/// record of the sandbox and sent to its runner as one message.
pub const MOUNTED_BYTES_MAX: usize = 32 * 1024 * 1024;

impl StartRequest {
    /// Everything that contradicts itself or can never be done; empty if the
    /// request is sound.
    pub fn violations(&self) -> Vec<Violation> {
        let mut violations = pod::check_request_annotations(&self.annotations);
        violations.extend(self.selector_violations());
        violations.extend(ports::violations(self));
        violations.extend(self.exposure_violations());
        violations.extend(self.process_violations());
        violations.extend(secrets::violations(self));
        violations.extend(self.file_violations());
        violations.extend(self.file_system_violations());
        violations.extend(self.amount_violations());
        violations
    }

    fn selector_violations(&self) -> Vec<Violation> {
        let selectors = [
            ("profile_names", &self.selectors.profiles),
            ("runner_ids", &self.selectors.runners),
        ];
        let mut violations = Vec::new();
        for (field, list) in selectors {
            let path = FieldPath::from([field]);
            if list.len() > SELECTORS_MAX {
                let len = list.len();
                let description = format!("has {len} items; at most {SELECTORS_MAX} can be named");
                violations.push(Violation::new(path, ViolationKind::TooMany, description));
            } else if list.iter().any(String::is_empty) {
                violations.push(invalid(path, "names one by nothing; leave it out for any"));
            }
        }
        violations
    }

    fn exposure_violations(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        let network = FieldPath::from(["network"]);
        let exposed = &self.network.exposed_ports;
        if self.network.ingress_mode.is_none() && !exposed.is_empty() {
            violations.push(Violation::new(
                network.key("ingress_mode"),
                ViolationKind::Required,
                "is needed when exposed_ports is given: without a level nothing is exposed",
            ));
        }
        let listened = self.ports.iter().map(|port| port.number);
        let listened = listened.collect::<BTreeSet<_>>();
        for (index, port) in exposed.iter().enumerate() {
            if !listened.contains(port) {
                let path = network.key("exposed_ports").index(index);
                let description = format!("is {port}, which is not among the ports of the sandbox");
                violations.push(Violation::new(path, ViolationKind::Conflict, description));
            }
        }
        if self.network.ingress_mode.is_some() && listened.is_empty() {
            violations.push(Violation::new(
                FieldPath::from(["ports"]),
                ViolationKind::Required,
                "is needed when network.ingress_mode is given: there is nothing to expose",
            ));
        }
        violations
    }

    /// More than the kernel hands to a process, or than a record should hold.
    fn process_size_violation(&self) -> Option<Violation> {
        let variables = self
            .environment
            .iter()
            .map(|(name, value)| name.len() + value.len() + 2);
        let words = self.command.iter().map(|word| word.len() + 1);
        let bytes: usize = words.chain(variables).sum();
        let words = self.command.len() + self.environment.len();
        let is_too_much = words > PROCESS_WORDS_MAX || bytes > PROCESS_BYTES_MAX;
        is_too_much.then(|| {
            let description = format!(
                "with its environment has {words} words and {bytes} bytes; \
                 at most {PROCESS_WORDS_MAX} and {PROCESS_BYTES_MAX} are possible"
            );
            let path = FieldPath::from(["command"]);
            Violation::new(path, ViolationKind::TooMany, description)
        })
    }

    /// What the kernel cannot hand to a process.
    fn process_violations(&self) -> Vec<Violation> {
        if let Some(violation) = self.process_size_violation() {
            return vec![violation];
        }
        let mut violations = Vec::new();
        for (index, word) in self.command.iter().enumerate() {
            let path = || match index.checked_sub(1) {
                None => FieldPath::from(["command"]),
                Some(index) => FieldPath::from(["args"]).index(index),
            };
            if word.contains('\0') {
                violations.push(invalid(path(), "contains a NUL character"));
            }
            violations.extend(too_long(path, word.len() + 1));
        }
        let variables = FieldPath::from(["environment_variables"]);
        for (name, value) in &self.environment {
            let path = || variables.key(name.as_str());
            if name.is_empty() || name.contains(['=', '\0']) {
                let rule = "has a name that is empty or contains '=' or a NUL character";
                violations.push(invalid(path(), rule));
            }
            if value.contains('\0') {
                violations.push(invalid(path(), "contains a NUL character"));
            }
            violations.extend(too_long(path, name.len() + value.len() + 2));
        }
        violations
    }

    fn file_violations(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        let bytes = MountedFile::total_bytes(&self.mounted_files);
        if bytes > MOUNTED_BYTES_MAX {
            violations.push(Violation::new(
                FieldPath::from(["mounted_files"]),
                ViolationKind::TooMany,
                format!(
                    "hold {bytes} bytes; at most {MOUNTED_BYTES_MAX} can be mounted, \
                     write more once the sandbox runs"
                ),
            ));
        }
        let all: BTreeSet<_> = self.mounted_files.iter().map(|file| &*file.path).collect();
        let mut seen = BTreeSet::new();
        for (index, file) in self.mounted_files.iter().enumerate() {
            let path = FieldPath::from(["mounted_files"]).index(index);
            let path = path.key("mount_path");
            if let Err(problem) = check_mount_path(&file.path) {
                violations.push(invalid(path, problem));
            } else if !seen.insert(file.path.as_str()) {
                let description = "is the path of another file, too";
                violations.push(Violation::new(path, ViolationKind::Duplicate, description));
            } else if let Some(above) = folders(&file.path).find(|above| all.contains(above)) {
                let description = format!("is below {above}, which is the path of another file");
                violations.push(Violation::new(path, ViolationKind::Conflict, description));
            }
        }
        violations
    }

    fn file_system_violations(&self) -> Vec<Violation> {
        let Some(wish) = &self.file_system else {
            return Vec::new();
        };
        let path = FieldPath::from(["file_system"]);
        let mut violations = Vec::new();
        for file in &self.mounted_files {
            if wish.mount_path.collides_with(&file.path) {
                let description = "is where a mounted file is, or above or below one";
                let path = path.key("mount_path");
                violations.push(Violation::new(path, ViolationKind::Conflict, description));
                break;
            }
        }
        let units = wish.size.as_ref().map(Quantity::to_units);
        if units.is_some_and(|units| units.is_none_or(|bytes| bytes < MOUNT_BYTES_MIN)) {
            let description = format!("must be from {MOUNT_BYTES_MIN} bytes to what a disk has");
            let path = path.key("size");
            violations.push(Violation::new(path, ViolationKind::Invalid, description));
        }
        violations
    }

    fn amount_violations(&self) -> Vec<Violation> {
        let (requests, limits) = (&self.requests, &self.limits);
        let mut violations = Vec::new();
        for (field, amounts) in [("resource_requests", requests), ("resource_limits", limits)] {
            violations.extend(unusable(&FieldPath::from([field]), amounts));
        }
        let limit_path = FieldPath::from(["resource_limits"]);
        for (field, limit) in [("cpu", &limits.cpu), ("memory", &limits.memory)] {
            if limit.as_ref().is_some_and(Quantity::is_zero) {
                let description = "must be more than zero; leave it out to inherit";
                violations.push(invalid(limit_path.key(field), description));
            }
        }
        violations.extend(above_limit(
            "cpu",
            requests.cpu.as_ref(),
            limits.cpu.as_ref(),
        ));
        violations.extend(above_limit(
            "memory",
            requests.memory.as_ref(),
            limits.memory.as_ref(),
        ));
        if let (Some(request), Some(limit)) = (&requests.gpu, &limits.gpu)
            && request != limit
        {
            let description = "differs from resource_requests.gpu; GPUs are not shared";
            let path = limit_path.key("gpu");
            violations.push(Violation::new(path, ViolationKind::Conflict, description));
        }
        violations
    }
}

/// What is longer than a word that the kernel hands to a process.
fn too_long(path: impl Fn() -> FieldPath, bytes: usize) -> Option<Violation> {
    (bytes > WORD_BYTES_MAX).then(|| {
        let description = format!(
            "has {bytes} bytes with its name and end; at most {WORD_BYTES_MAX} are possible, \
             and a mounted file may hold more"
        );
        invalid(path(), &description)
    })
}

fn invalid(path: FieldPath, description: &str) -> Violation {
    Violation::new(path, ViolationKind::Invalid, description)
}

/// The folders above a path, the root left out.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(end, _)| end);
    ends.filter(|end| *end > 0).map(|end| &path[..end])
}

/// A path that names a file, from the root down.
fn check_mount_path(path: &str) -> Result<(), &'static str> {
    if path.len() > MOUNT_PATH_MAX {
        return Err("is longer than a path may be");
    }
    if path.contains('\0') {
        return Err("contains a NUL character");
    }
    let Some(below) = path.strip_prefix('/') else {
        return Err("must be absolute");
    };
    let is_name = |name: &str| !name.is_empty() && name != "." && name != "..";
    if !below.split('/').all(is_name) {
        return Err("must name a file, without empty parts, '.' and '..'");
    }
    if below.split('/').any(|name| name.len() > NAME_BYTES_MAX) {
        return Err("must have at most 255 bytes in each name");
    }
    let first = below.split('/').next().unwrap_or_default();
    if SYSTEM.contains(&first) {
        return Err("is below /dev, /proc or /sys, which are not the sandbox's to fill");
    }
    Ok(())
}

/// Amounts that no machine can be told.
fn unusable(path: &FieldPath, amounts: &ResourceAmounts) -> Vec<Violation> {
    let mut violations = Vec::new();
    let cpu = amounts.cpu.as_ref().map(Quantity::to_millis);
    let memory = amounts.memory.as_ref().map(Quantity::to_units);
    for (field, steps) in [("cpu", cpu), ("memory", memory)] {
        if steps == Some(None) {
            violations.push(invalid(path.key(field), "is more than any machine has"));
        }
    }
    if amounts
        .memory
        .as_ref()
        .is_some_and(Quantity::is_fraction_of_unit)
    {
        let description = "is a part of a byte; for megabytes write M or Mi";
        violations.push(invalid(path.key("memory"), description));
    }
    violations
}

fn above_limit(
    field: &str,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<Violation> {
    let (request, limit) = (request?, limit?);
    (request > limit).then(|| {
        let path = FieldPath::from(["resource_requests", field]);
        let description = format!("is {request}, more than the limit of {limit}");
        Violation::new(path, ViolationKind::Conflict, description)
    })
}

mod ports;
mod secrets;
#[cfg(test)]
mod tests;
