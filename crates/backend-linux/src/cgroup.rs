//! Control groups: finding them, reading them, ending what is in them.
//!
//! The OCI runtime makes the group of a sandbox and sets its limits; here it is
//! watched and removed. Both versions of control groups are known, and the
//! hybrid of both, which is version 1 with a tree of version 2 that has no
//! controllers. Calls block, briefly.

mod freeze;
mod kill;
mod mounts;
mod pace;

pub(crate) use self::kill::reap;

use std::fs;
use std::io;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use palisade_backend::{CpuUse, Usage};
use palisade_model::id::SandboxId;
use palisade_model::runner::Resources;
use tracing::warn;

use self::freeze::Freezer;
use self::mounts::Mounts;

/// What must be there to hold a sandbox within its limits.
const NEEDED: [&str; 3] = ["cpu", "memory", "pids"];

/// Why control groups cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// A controller is missing.
    #[error(
        "this host has no control group controller {0}; enable it on the kernel's command line"
    )]
    Missing(&'static str),
    /// The kernel said no.
    #[error("could not {what} control groups")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// The control groups of one runner.
#[derive(Clone, Debug)]
pub(crate) struct Cgroups {
    tree: Tree,
    /// The group that all sandboxes of the runner are in.
    parent: String,
    /// Where the runner's own group lists its processes.
    own: Option<PathBuf>,
}

#[derive(Clone, Debug)]
enum Tree {
    V1(Mounts),
    V2(PathBuf),
}

impl Cgroups {
    /// Finds out what this host has.
    pub(crate) fn detect(parent: String) -> Result<Self, CgroupError> {
        let detected = Mounts::of_host().map_err(|source| CgroupError::Io {
            what: "find",
            source,
        })?;
        let tree = match detected {
            mounts::Detected::V1(mounts) => Tree::V1(mounts),
            mounts::Detected::V2(root) => Tree::V2(root),
        };
        let own = pace::own_group(&tree);
        let cgroups = Self { tree, parent, own };
        match NEEDED.into_iter().find(|name| !cgroups.has(name)) {
            Some(missing) => Err(CgroupError::Missing(missing)),
            None => Ok(cgroups),
        }
    }

    fn has(&self, controller: &str) -> bool {
        match &self.tree {
            Tree::V1(mounts) => mounts.of(controller).is_some(),
            Tree::V2(root) => fs::read_to_string(root.join("cgroup.controllers"))
                .is_ok_and(|list| list.split_whitespace().any(|name| name == controller)),
        }
    }

    /// Makes the group of all sandboxes, which together get no more than this, and
    /// no more processes than leave the host some.
    pub(crate) fn prepare(&self, total: Resources, pids: u64) -> Result<(), CgroupError> {
        let failed = |source| CgroupError::Io {
            what: "prepare",
            source,
        };
        if let Tree::V2(root) = &self.tree {
            fs::write(root.join("cgroup.subtree_control"), "+cpu +memory +pids").map_err(failed)?;
        }
        let processes = self.parent_of("pids");
        fs::create_dir_all(&processes).map_err(failed)?;
        let memory = self.parent_of("memory");
        fs::create_dir_all(&memory).map_err(failed)?;
        let (file, all) = match &self.tree {
            Tree::V1(_) => ("memory.limit_in_bytes", "-1"),
            Tree::V2(_) => {
                fs::write(memory.join("cgroup.subtree_control"), "+cpu +memory +pids")
                    .map_err(failed)?;
                ("memory.max", "max")
            }
        };
        let limit = match total.memory_bytes {
            0 => all.to_owned(),
            bytes => bytes.to_string(),
        };
        fs::write(processes.join("pids.max"), pids.to_string()).map_err(failed)?;
        match fs::write(memory.join(file), limit) {
            // Sandboxes of an earlier run use more already; they keep what they
            // have, and what they give back is not given out again.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                warn!("sandboxes use more memory than they may have together now");
                Ok(())
            }
            other => other.map_err(failed),
        }
    }

    /// Takes the kernel's pause before a change of groups now, so that whoever
    /// starts a sandbox within the next milliseconds has not to wait for it.
    pub(crate) fn pass_pause(&self) {
        if let Some(own) = &self.own {
            pace::pass(own);
        }
    }

    /// The group of a sandbox, as an OCI bundle names it.
    pub(crate) fn path(&self, id: SandboxId) -> String {
        format!("/{}/{id}", self.parent)
    }

    /// A tree without controllers that confuses OCI runtimes, if there is one.
    pub(crate) fn unified_to_hide(&self) -> Option<&Path> {
        match &self.tree {
            Tree::V1(mounts) => mounts.unified(),
            Tree::V2(_) => None,
        }
    }

    /// Whether this is version 2, of which a sandbox can see its own part.
    pub(crate) fn is_v2(&self) -> bool {
        matches!(self.tree, Tree::V2(_))
    }

    /// Whether swap can be limited.
    pub(crate) fn limits_swap(&self) -> bool {
        match &self.tree {
            Tree::V1(mounts) => mounts
                .of("memory")
                .is_some_and(|root| root.join("memory.memsw.limit_in_bytes").exists()),
            Tree::V2(_) => true,
        }
    }

    /// What a sandbox uses; `None` if it has no group.
    pub(crate) fn usage(&self, id: SandboxId) -> Option<Usage> {
        let memory = self.group(id, "memory");
        let (cpu_micros_total, memory_file, inactive) = match &self.tree {
            Tree::V1(_) => {
                let nanos = number(&self.group(id, "cpuacct").join("cpuacct.usage"))?;
                (
                    nanos / 1_000,
                    "memory.usage_in_bytes",
                    "total_inactive_file",
                )
            }
            Tree::V2(_) => {
                let micros = entry(&memory.join("cpu.stat"), "usage_usec")?;
                (micros, "memory.current", "inactive_file")
            }
        };
        // Cached files that nobody reads do not count: they go when needed.
        let idle = entry(&memory.join("memory.stat"), inactive).unwrap_or(0);
        Some(Usage {
            cpu: CpuUse::TotalMicros(cpu_micros_total),
            memory_bytes: number(&memory.join(memory_file))?.saturating_sub(idle),
            pids: Some(number(&self.group(id, "pids").join("pids.current"))?),
        })
    }

    /// How many processes of the sandbox were killed for want of memory.
    pub(crate) fn oom_kills(&self, id: SandboxId) -> u64 {
        let file = match &self.tree {
            Tree::V1(_) => "memory.oom_control",
            Tree::V2(_) => "memory.events",
        };
        entry(&self.group(id, "memory").join(file), "oom_kill").unwrap_or(0)
    }

    /// Ends everything in the sandbox and removes its group.
    pub(crate) fn remove(&self, id: SandboxId) -> io::Result<()> {
        self.kill(id)?;
        for root in self.roots() {
            kill::remove(&root.join(&self.parent).join(id.to_string()))?;
        }
        Ok(())
    }

    /// Removes the group of all sandboxes, once none has one any more.
    pub(crate) fn retire(&self) -> io::Result<()> {
        let roots = self.roots();
        let mut parents = roots.iter().map(|root| root.join(&self.parent));
        parents.try_for_each(|parent| kill::remove(&parent))
    }

    /// Ends everything in the sandbox, frozen or not.
    pub(crate) fn kill(&self, id: SandboxId) -> io::Result<()> {
        self.hurry(id);
        // Each time, as somebody may be about to freeze it.
        kill::all(&self.group(id, "pids"), || self.thaw(id))
    }

    /// Whether sandboxes can be frozen here.
    pub(crate) fn can_freeze(&self) -> bool {
        match &self.tree {
            Tree::V1(mounts) => mounts.of("freezer").is_some(),
            Tree::V2(_) => self.parent_of("pids").join("cgroup.freeze").exists(),
        }
    }

    /// Freezes everything in the sandbox, and waits until it is.
    pub(crate) fn freeze(&self, id: SandboxId) -> io::Result<()> {
        self.freezer(id).freeze()
    }

    /// Lets everything in the sandbox go on.
    pub(crate) fn thaw(&self, id: SandboxId) -> io::Result<()> {
        self.freezer(id).thaw()
    }

    /// Whether the sandbox is frozen, or about to be.
    pub(crate) fn is_frozen(&self, id: SandboxId) -> bool {
        self.freezer(id).is_frozen()
    }

    fn freezer(&self, id: SandboxId) -> Freezer {
        let group = self.group(id, "freezer");
        match &self.tree {
            Tree::V1(_) => Freezer::V1(group),
            Tree::V2(_) => Freezer::V2(group),
        }
    }

    /// Lifts what slows the sandbox down: to end takes time on a CPU, too, and
    /// thousands of processes with a small part of one would take minutes.
    fn hurry(&self, id: SandboxId) {
        let group = self.group(id, "cpu");
        let lifted = match &self.tree {
            Tree::V1(_) => [("cpu.cfs_quota_us", "-1"), ("cpu.shares", "1024")],
            Tree::V2(_) => [("cpu.max", "max"), ("cpu.weight", "100")],
        };
        for (file, value) in lifted {
            let path = group.join(file);
            // Without it they end all the same, only later; never make a file.
            if let Ok(mut file) = fs::File::options().write(true).open(path) {
                let _ = file.write_all(value.as_bytes());
            }
        }
    }

    /// The host's number of process 1 of the sandbox, if it is alive.
    pub(crate) fn process_1(&self, id: SandboxId) -> io::Result<Option<i32>> {
        let pids = kill::pids(&self.group(id, "pids"))?;
        Ok(pids.into_iter().find(|pid| kill::is_process_1(*pid)))
    }

    fn group(&self, id: SandboxId, controller: &str) -> PathBuf {
        self.parent_of(controller).join(id.to_string())
    }

    fn parent_of(&self, controller: &str) -> PathBuf {
        let root = match &self.tree {
            Tree::V1(mounts) => mounts.of(controller).unwrap_or(Path::new("/nonexistent")),
            Tree::V2(root) => root,
        };
        root.join(&self.parent)
    }

    fn roots(&self) -> Vec<PathBuf> {
        match &self.tree {
            Tree::V1(mounts) => mounts.all().map(Path::to_path_buf).collect(),
            Tree::V2(root) => vec![root.clone()],
        }
    }
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The number behind a name, in a file of lines `name number`.
fn entry(file: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .and_then(|value| value.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process in a group of its own, which goes with it.
    struct Sleeper {
        cgroups: Cgroups,
        id: SandboxId,
        process: std::process::Child,
    }

    impl Sleeper {
        fn start(number: u128) -> Self {
            let parent = format!("palisade-test-{number}-{}", std::process::id());
            let cgroups = Cgroups::detect(parent).unwrap();
            cgroups.prepare(Resources::default(), 1_000).unwrap();
            let id = SandboxId::new(uuid::Uuid::from_u128(number));
            let process = std::process::Command::new("sleep").arg("600").spawn();
            let process = process.unwrap();
            for root in cgroups.roots() {
                let group = root.join(&cgroups.parent).join(id.to_string());
                fs::create_dir_all(&group).unwrap();
                // The trees of version 1 that need settings first are left out.
                let _ = fs::write(group.join("cgroup.procs"), process.id().to_string());
            }
            Self {
                cgroups,
                id,
                process,
            }
        }

        fn end(mut self) {
            // Whoever killed it has taken note of its end already.
            let _ = self.process.wait();
            self.cgroups.remove(self.id).unwrap();
            self.cgroups.retire().unwrap();
        }
    }

    #[test]
    fn what_is_frozen_is_seen_so_and_goes_on_when_it_is_let() {
        let sleeper = Sleeper::start(8);
        let (cgroups, id) = (&sleeper.cgroups, sleeper.id);
        assert!(cgroups.can_freeze());
        assert!(!cgroups.is_frozen(id));
        cgroups.freeze(id).unwrap();
        cgroups.freeze(id).unwrap();
        assert!(cgroups.is_frozen(id));
        cgroups.thaw(id).unwrap();
        assert!(!cgroups.is_frozen(id));
        cgroups.kill(id).unwrap();
        sleeper.end();
    }

    #[test]
    fn what_is_frozen_can_be_killed() {
        let sleeper = Sleeper::start(9);
        sleeper.cgroups.freeze(sleeper.id).unwrap();
        sleeper.cgroups.kill(sleeper.id).unwrap();
        sleeper.end();
    }

    #[test]
    fn what_is_not_there_cannot_be_frozen_and_needs_no_thawing() {
        let parent = format!("palisade-test-nothing-{}", std::process::id());
        let cgroups = Cgroups::detect(parent).unwrap();
        let id = SandboxId::new(uuid::Uuid::from_u128(10));
        cgroups.freeze(id).unwrap_err();
        cgroups.thaw(id).unwrap();
        assert!(!cgroups.is_frozen(id));
    }

    #[test]
    fn what_is_killed_is_not_held_back_while_it_ends() {
        let parent = format!("palisade-test-{}", std::process::id());
        let cgroups = Cgroups::detect(parent).unwrap();
        cgroups.prepare(Resources::default(), 1_000).unwrap();
        let id = SandboxId::new(uuid::Uuid::from_u128(7));
        let group = cgroups.group(id, "cpu");
        fs::create_dir_all(&group).unwrap();
        let (file, slow) = match &cgroups.tree {
            Tree::V1(_) => ("cpu.cfs_quota_us", "1000"),
            Tree::V2(_) => ("cpu.max", "1000 100000"),
        };
        fs::write(group.join(file), slow).unwrap();
        cgroups.kill(id).unwrap();
        let now = fs::read_to_string(group.join(file)).unwrap();
        cgroups.remove(id).unwrap();
        cgroups.retire().unwrap();
        assert!(now.starts_with("-1") || now.starts_with("max"), "{now}");
    }
}
