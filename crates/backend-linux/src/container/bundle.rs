//! What an OCI runtime is told of a sandbox.
//!
//! Pure: a document from values. What is tightened here is tightened for every
//! sandbox; no profile can loosen it. The network is not mentioned, as the
//! runtime is started inside of it.

use std::path::Path;

use serde_json::{Value, json};

use super::files::Bound;
use super::{mounts, seccomp};
use crate::config::{HandlerKind, LinuxConfig};

/// Where the program that becomes process 1 can be found inside: on a file
/// system of its own, so that the image need not have a place for it.
const INIT_INSIDE: &str = palisade_init_protocol::probe::PROGRAM;

/// What the root of a sandbox can do to what is the sandbox's own. Process 1
/// needs the first four; the rest is what package managers use.
const CAPABILITIES: [&str; 10] = [
    "CAP_SETUID",
    "CAP_SETGID",
    "CAP_KILL",
    "CAP_DAC_OVERRIDE",
    "CAP_CHOWN",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_SYS_CHROOT",
];

/// What would tell of the host, or change it.
const MASKED: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
];

const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// The kernel's period of CPU quotas, in microseconds.
const PERIOD_MICROS: u64 = 100_000;
/// The shortest quota that the kernel takes.
const QUOTA_MICROS_MIN: u64 = 1_000;

/// What a sandbox may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Thousandths of a CPU that it has when others want it, too.
    pub(crate) cpu_request_millis: Option<u64>,
    /// Thousandths of a CPU that it has at most.
    pub(crate) cpu_limit_millis: Option<u64>,
    /// Memory that it has at most.
    pub(crate) memory_limit_bytes: Option<u64>,
    /// Whether swap is limited along with memory.
    pub(crate) is_swap_limited: bool,
    /// Processes and threads.
    pub(crate) pids_max: u32,
    /// Open files of one process.
    pub(crate) files_max: u64,
}

/// A sandbox, as far as an OCI runtime has to know it.
#[derive(Debug)]
pub(super) struct Bundle<'a> {
    /// Who reads it.
    pub(super) kind: HandlerKind,
    pub(super) hostname: String,
    pub(super) first_uid: u32,
    pub(super) cgroup: String,
    /// Whether it sees its own control group.
    pub(super) sees_cgroup: bool,
    pub(super) mount_point: &'a Path,
    /// Where it has a file system to itself, if it does.
    pub(super) file_system: Option<&'a str>,
    pub(super) limits: Limits,
    /// Files that lie over those of the image.
    pub(super) files: &'a [Bound],
}

impl Bundle<'_> {
    /// The document.
    pub(super) fn document(&self) -> Value {
        json!({
            "ociVersion": "1.0.2",
            "hostname": self.hostname,
            "root": { "path": self.mount_point.join(mounts::ROOT) },
            "process": self.process(),
            "mounts": self.mounts(),
            "linux": self.linux(),
        })
    }

    fn process(&self) -> Value {
        let files = self.limits.files_max;
        let mut process = json!({
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": [INIT_INSIDE],
            "env": [],
            "cwd": "/",
            "noNewPrivileges": true,
            "capabilities": {
                "bounding": CAPABILITIES,
                "effective": CAPABILITIES,
                "permitted": CAPABILITIES,
                "inheritable": [],
                "ambient": [],
            },
            "rlimits": [
                { "type": "RLIMIT_NOFILE", "soft": files, "hard": files },
                { "type": "RLIMIT_CORE", "soft": 0, "hard": 0 },
            ],
        });
        // runc sets them from outside, which takes a capability over a user
        // namespace of others that not every root has. Process 1 sees to cores,
        // and open files are as many as the runner itself may have.
        if self.kind == HandlerKind::Runc
            && let Some(process) = process.as_object_mut()
        {
            process.remove("rlimits");
        }
        process
    }

    fn mounts(&self) -> Value {
        let below = |name: &str| self.mount_point.join(name);
        let mut mounts = vec![
            json!({ "destination": "/proc", "type": "proc", "source": "proc",
                "options": ["nosuid", "noexec", "nodev"] }),
            json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=64k"] }),
            json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620",
                    "gid=5"] }),
            json!({ "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
                "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=64m"] }),
            json!({ "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
                "options": ["nosuid", "noexec", "nodev"] }),
            json!({ "destination": "/sys", "type": "bind", "source": below(mounts::SYS),
                "options": ["bind", "ro", "nosuid", "noexec", "nodev"] }),
            json!({ "destination": INIT_INSIDE, "type": "bind", "source": below(mounts::INIT),
                "options": ["bind", "ro", "nosuid", "nodev"] }),
        ];
        if self.sees_cgroup {
            mounts.push(json!({ "destination": "/sys/fs/cgroup", "type": "cgroup",
                "source": "cgroup", "options": ["ro", "nosuid", "noexec", "nodev"] }));
        }
        if let Some(path) = self.file_system {
            mounts.push(json!({ "destination": path, "type": "bind",
                "source": below(mounts::FILE_SYSTEM),
                "options": ["bind", "rw", "nosuid", "nodev"] }));
        }
        // Last, so that a file of the request lies on top of everything else.
        mounts.extend(self.files.iter().map(|file| {
            json!({ "destination": file.destination, "type": "bind", "source": file.source,
                "options": ["bind", "ro", "nosuid", "nodev"] })
        }));
        Value::Array(mounts)
    }

    fn linux(&self) -> Value {
        let ids = json!([{
            "containerID": 0,
            "hostID": self.first_uid,
            "size": LinuxConfig::UIDS_EACH,
        }]);
        // The mapping is said once more for runtimes that do not look at it.
        let owners = self.mount_point.join(mounts::OWNERS);
        let own = ["pid", "ipc", "uts", "mount", "cgroup"];
        let own = own.map(|kind| json!({ "type": kind }));
        let user = [json!({ "type": "user", "path": owners })];
        let namespaces: Vec<_> = user.into_iter().chain(own).collect();
        json!({
            "namespaces": namespaces,
            "uidMappings": ids,
            "gidMappings": ids,
            "cgroupsPath": self.cgroup,
            "resources": self.resources(),
            "seccomp": seccomp::profile(),
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
        })
    }

    fn resources(&self) -> Value {
        let Limits {
            cpu_request_millis,
            cpu_limit_millis,
            memory_limit_bytes,
            is_swap_limited,
            pids_max,
            files_max: _,
        } = self.limits;
        let mut cpu = json!({ "shares": shares(cpu_request_millis) });
        if let Some(millis) = cpu_limit_millis {
            let quota = millis.saturating_mul(PERIOD_MICROS / 1_000);
            cpu["quota"] = json!(quota.max(QUOTA_MICROS_MIN));
            cpu["period"] = json!(PERIOD_MICROS);
        }
        let mut memory = json!({});
        if let Some(bytes) = memory_limit_bytes {
            memory["limit"] = json!(bytes);
            if is_swap_limited {
                // Memory and swap together: none of it can be swap.
                memory["swap"] = json!(bytes);
            }
        }
        json!({
            "devices": [{ "allow": false, "access": "rwm" }],
            "pids": { "limit": pids_max },
            "cpu": cpu,
            "memory": memory,
        })
    }
}

/// The weight of a request among others; the least there is without one.
fn shares(request_millis: Option<u64>) -> u64 {
    let millis = request_millis.unwrap_or(0);
    (millis.saturating_mul(1_024) / 1_000).clamp(2, 262_144)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(limits: Limits) -> Value {
        let bundle = Bundle {
            hostname: "h".into(),
            first_uid: 70_000,
            cgroup: "/palisade/one".into(),
            sees_cgroup: false,
            kind: HandlerKind::Crun,
            mount_point: Path::new("/m"),
            file_system: None,
            limits,
            files: &[Bound {
                source: "/m/disk/files/0".into(),
                destination: "/etc/note".to_owned(),
            }],
        };
        bundle.document()
    }

    #[test]
    fn limits_become_those_of_the_kernel() {
        let document = document(Limits {
            cpu_request_millis: Some(500),
            cpu_limit_millis: Some(1_500),
            memory_limit_bytes: Some(1 << 20),
            is_swap_limited: true,
            pids_max: 7,
            files_max: 9,
        });
        let resources = &document["linux"]["resources"];
        let cpu = json!({ "shares": 512, "quota": 150_000, "period": 100_000 });
        assert_eq!(resources["cpu"], cpu);
        let memory = json!({ "limit": 1 << 20, "swap": 1 << 20 });
        assert_eq!(resources["memory"], memory);
        assert_eq!(resources["pids"], json!({ "limit": 7 }));
    }

    #[test]
    fn the_smallest_limit_is_one_that_the_kernel_takes() {
        let limits = Limits {
            cpu_limit_millis: Some(1),
            ..Limits::default()
        };
        let document = document(limits);
        assert_eq!(document["linux"]["resources"]["cpu"]["quota"], 1_000);
        assert_eq!(document["linux"]["resources"]["cpu"]["shares"], 2);
    }

    #[test]
    fn files_of_the_request_lie_on_top_and_are_read_only() {
        let document = document(Limits::default());
        let last = document["mounts"].as_array().unwrap().last().unwrap();
        assert_eq!(last["destination"], "/etc/note");
        assert_eq!(last["source"], "/m/disk/files/0");
        assert!(last["options"].to_string().contains("\"ro\""), "{last}");
    }

    #[test]
    fn process_1_is_root_of_its_own_users_only() {
        let document = document(Limits::default());
        let mapping = json!([{ "containerID": 0, "hostID": 70_000, "size": 65_536 }]);
        assert_eq!(document["linux"]["uidMappings"], mapping);
        assert_eq!(document["linux"]["gidMappings"], mapping);
        assert_eq!(document["process"]["noNewPrivileges"], true);
        let capabilities = document["process"]["capabilities"].to_string();
        for dangerous in [
            "SYS_ADMIN",
            "NET_ADMIN",
            "SYS_PTRACE",
            "MKNOD",
            "SYS_MODULE",
        ] {
            assert!(!capabilities.contains(dangerous), "{dangerous}");
        }
    }
}
