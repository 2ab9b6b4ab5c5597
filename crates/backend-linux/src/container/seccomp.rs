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
/// Sockets to the hypervisor, which the network policy would not see.
const AF_VSOCK: u64 = 40;

const EPERM: i32 = 1;
const ENOSYS: i32 = 38;

static PROFILE: LazyLock<Value> = LazyLock::new(make);

/// The profile as an OCI bundle has it.
pub(super) fn profile() -> Value {
    PROFILE.clone()
}

fn make() -> Value {
    let lists: Value = serde_json::from_str(LISTS).expect("the lists are a part of the program");
    json!({
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
            {
                "names": ["socket"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{ "index": 0, "value": AF_VSOCK, "op": "SCMP_CMP_NE" }],
            },
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
            "unshare",
            "userfaultfd",
        ] {
            assert!(!allowed.contains(call), "{call}");
        }
    }
}
