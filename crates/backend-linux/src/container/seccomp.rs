//! Which system calls a sandbox can make: an allow-list, kept as data.
//!
//! What is on neither list does not exist for the sandbox, so that programs fall
//! back as on an older kernel; what is refused is refused as to anybody without
//! privileges. Only calls of the machine's own kind pass: a second kind would be
//! a second list to get around the first.

use std::sync::LazyLock;

use serde_json::{Value, json};

/// The two lists, by the names of the calls.
const LISTS: &str = include_str!("seccomp.json");

/// Flags of `clone` that make namespaces.
const CLONE_NAMESPACES: u64 = 0x7e02_0000;
/// The families of sockets that exist: local, internet, and the kernel's tables.
/// Any other could talk past the network policy, as to the hypervisor, or load
/// code into the kernel that nobody has looked at for long.
const FAMILIES: [u64; 4] = [AF_UNIX, 2, 10, 16];
const AF_UNIX: u64 = 1;
/// The kernel takes an `int`: a comparison of the whole register would be
/// deceived by bits that the kernel does not look at.
const INT: u64 = 0xffff_ffff;

const EPERM: i32 = 1;
const ENOSYS: i32 = 38;

static PROFILE: LazyLock<Value> = LazyLock::new(make);

/// The profile as an OCI bundle has it.
pub(super) fn profile() -> Value {
    PROFILE.clone()
}

fn make() -> Value {
    let lists: Value = serde_json::from_str(LISTS).expect("the lists are a part of the program");
    let families = FAMILIES.map(|family| of_family("socket", family));
    let mut profile = json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": ENOSYS,
        "syscalls": [
            { "names": lists["allowed"], "action": "SCMP_ACT_ALLOW" },
            { "names": lists["refused"], "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM },
            {
                "names": ["clone"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{
                    "index": 0,
                    "value": CLONE_NAMESPACES,
                    "valueTwo": 0,
                    "op": "SCMP_CMP_MASKED_EQ",
                }],
            },
            // Its flags are out of a filter's sight; everybody can do without.
            { "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS },
            of_family("socketpair", AF_UNIX),
            {
                "names": ["personality"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{ "index": 0, "value": 0, "op": "SCMP_CMP_EQ" }],
            },
            {
                "names": ["personality"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{ "index": 0, "value": 0xffff_ffff_u64, "op": "SCMP_CMP_EQ" }],
            },
        ],
    });
    if let Some(calls) = profile["syscalls"].as_array_mut() {
        calls.extend(families);
    }
    profile
}

/// A rule that lets a call pass for one family of sockets.
fn of_family(call: &str, family: u64) -> Value {
    json!({
        "names": [call],
        "action": "SCMP_ACT_ALLOW",
        "args": [{ "index": 0, "value": INT, "valueTwo": family, "op": "SCMP_CMP_MASKED_EQ" }],
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names(list: &str) -> BTreeSet<String> {
        let lists: Value = serde_json::from_str(LISTS).unwrap();
        let names = lists[list].as_array().unwrap().iter();
        names
            .map(|name| name.as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn no_call_is_both_allowed_and_refused() {
        let (allowed, refused) = (names("allowed"), names("refused"));
        let both = allowed.intersection(&refused).collect::<Vec<_>>();
        assert_eq!(both, Vec::<&String>::new());
    }

    #[test]
    fn only_whole_families_of_sockets_are_let_through() {
        let profile = profile();
        let rules = profile["syscalls"].as_array().unwrap().iter();
        let sockets: Vec<_> = rules
            .filter(|rule| {
                let names = rule["names"].as_array().unwrap();
                names
                    .iter()
                    .any(|name| ["socket", "socketpair"].contains(&name.as_str().unwrap()))
            })
            .collect();
        assert_eq!(sockets.len(), FAMILIES.len() + 1);
        for rule in sockets {
            let arg = &rule["args"][0];
            // Sets bits that the kernel does not look at: it is the mask that counts.
            assert_eq!(arg["op"], "SCMP_CMP_MASKED_EQ");
            assert_eq!(arg["value"], 0xffff_ffff_u64);
            assert!(FAMILIES.contains(&arg["valueTwo"].as_u64().unwrap()));
        }
    }

    #[test]
    fn calls_that_open_the_kernel_are_not_allowed() {
        let allowed = names("allowed");
        for call in [
            "bpf",
            "clone",
            "clone3",
            "init_module",
            "io_uring_setup",
            "kexec_load",
            "keyctl",
            "mount",
            "open_by_handle_at",
            "perf_event_open",
            "pivot_root",
            "setns",
            "socket",
            "socketpair",
            "unshare",
            "userfaultfd",
        ] {
            assert!(!allowed.contains(call), "{call}");
        }
    }
}
