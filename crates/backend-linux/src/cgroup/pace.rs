//! Having the kernel's pause before a process changes its group pass early.
//!
//! The first process that changes its group after a while waits until all
//! processors have passed a quiet point, some milliseconds in which nothing
//! else happens; those that follow closely do not. Whoever is about to start a
//! sandbox can have this pass while he lays its network. Moves nothing: the
//! runner is put into the group that it is in.

use std::fs;
use std::path::{Path, PathBuf};

use super::Tree;

/// The file that lists the processes of the group that this process is in.
pub(super) fn own_group(tree: &Tree) -> Option<PathBuf> {
    let table = fs::read_to_string("/proc/self/cgroup").ok()?;
    let (root, controller) = match tree {
        Tree::V1(mounts) => (mounts.of("pids")?, "pids"),
        Tree::V2(root) => (root.as_path(), ""),
    };
    let file = root
        .join(group_in(&table, controller)?)
        .join("cgroup.procs");
    file.exists().then_some(file)
}

/// The group in a table of lines `number:controllers:/group`, as a relative path.
fn group_in<'a>(table: &'a str, controller: &str) -> Option<&'a Path> {
    table.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, group) = rest.split_once(':')?;
        let is_it = controllers.split(',').any(|name| name == controller);
        is_it.then(|| Path::new(group.trim_start_matches('/')))
    })
}

/// Puts this process into its own group again. Blocks for the kernel's pause.
pub(super) fn pass(own_group: &Path) {
    // Only speed depends on it.
    let _ = fs::write(own_group, "0");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::mounts::{Detected, Mounts};

    #[test]
    fn a_group_is_found_by_its_controller() {
        let table = "12:cpu,cpuacct:/a\n7:pids:/user.slice/b\n0::/c\n";
        assert_eq!(group_in(table, "cpuacct"), Some(Path::new("a")));
        assert_eq!(group_in(table, "pids"), Some(Path::new("user.slice/b")));
        assert_eq!(group_in(table, ""), Some(Path::new("c")));
        assert_eq!(group_in(table, "memory"), None);
    }

    #[test]
    fn this_process_stays_in_its_group() {
        let tree = match Mounts::of_host().unwrap() {
            Detected::V1(mounts) => Tree::V1(mounts),
            Detected::V2(root) => Tree::V2(root),
        };
        let before = fs::read_to_string("/proc/self/cgroup").unwrap();
        let group = own_group(&tree).unwrap();
        pass(&group);
        let pids = fs::read_to_string(&group).unwrap();
        let own = std::process::id().to_string();
        assert!(pids.lines().any(|pid| pid == own));
        assert_eq!(fs::read_to_string("/proc/self/cgroup").unwrap(), before);
    }
}
