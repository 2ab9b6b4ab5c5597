//! Where the trees of control groups are mounted.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/cgroup";
const CGROUP2_MAGIC: i64 = 0x6367_7270;

/// What a host has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Detected {
    V1(Mounts),
    V2(PathBuf),
}

/// The trees of version 1, and one of version 2 that may stand beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mounts {
    by_controller: BTreeMap<String, PathBuf>,
    unified: Option<PathBuf>,
}

impl Mounts {
    /// Looks at this host.
    pub(super) fn of_host() -> io::Result<Detected> {
        if rustix::fs::statfs(ROOT)?.f_type == CGROUP2_MAGIC {
            return Ok(Detected::V2(PathBuf::from(ROOT)));
        }
        let table = fs::read_to_string("/proc/thread-self/mountinfo")?;
        Ok(Detected::V1(Self::parse(&table)))
    }

    /// Reads a table of mounts. Of one tree that is mounted twice, the first
    /// place counts.
    fn parse(table: &str) -> Self {
        let mut mounts = Self::default();
        for line in table.lines() {
            let Some((place, kind, options)) = fields(line) else {
                continue;
            };
            let is_usual = place.starts_with(ROOT);
            match kind {
                "cgroup" if is_usual => mounts.add(place, options),
                "cgroup2" if is_usual => mounts.unified = Some(PathBuf::from(place)),
                _ => {}
            }
        }
        mounts
    }

    fn add(&mut self, place: &str, options: &str) {
        for option in options
            .split(',')
            .filter(|option| !matches!(*option, "rw" | "ro"))
        {
            let place = || PathBuf::from(place);
            self.by_controller
                .entry(option.to_owned())
                .or_insert_with(place);
        }
    }

    /// The tree of a controller.
    pub(super) fn of(&self, controller: &str) -> Option<&Path> {
        self.by_controller.get(controller).map(PathBuf::as_path)
    }

    /// Every tree of version 1, once.
    pub(super) fn all(&self) -> impl Iterator<Item = &Path> {
        let mut places: Vec<&Path> = self.by_controller.values().map(PathBuf::as_path).collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter()
    }

    /// The tree of version 2.
    pub(super) fn unified(&self) -> Option<&Path> {
        self.unified.as_deref()
    }
}

/// The place, the kind and the file system's options of a line.
fn fields(line: &str) -> Option<(&str, &str, &str)> {
    let (mount, system) = line.split_once(" - ")?;
    let mut system = system.split(' ');
    let (kind, _, options) = (system.next()?, system.next()?, system.next()?);
    Some((mount.split(' ').nth(4)?, kind, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
26 20 0:23 / /sys/fs/cgroup rw,relatime shared:4 - tmpfs tmpfs rw,mode=755
27 26 0:24 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:5 - cgroup cgroup rw,cpu,cpuacct
28 26 0:25 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
29 26 0:26 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
30 26 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
31 26 0:25 / /elsewhere/memory rw - cgroup cgroup rw,memory
";

    #[test]
    fn controllers_that_share_a_tree_have_one_place() {
        let mounts = Mounts::parse(HYBRID);
        let shared = Path::new("/sys/fs/cgroup/cpu,cpuacct");
        assert_eq!(mounts.of("cpu"), Some(shared));
        assert_eq!(mounts.of("cpuacct"), Some(shared));
        assert_eq!(
            mounts.of("memory"),
            Some(Path::new("/sys/fs/cgroup/memory"))
        );
        assert_eq!(mounts.of("pids"), None);
        assert_eq!(mounts.all().count(), 3);
        assert_eq!(mounts.unified(), Some(Path::new("/sys/fs/cgroup/unified")));
    }

    #[test]
    fn lines_that_make_no_sense_are_passed_over() {
        assert_eq!(Mounts::parse("garbage\n\n - - -\n"), Mounts::default());
    }
}
