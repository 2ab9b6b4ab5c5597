//! A backend of its own for each test: its own instance, directories and image.
//!
//! What a test leaves on the host would be found by `leftovers`; the backend is
//! closed and its network removed when the test is over.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use palisade_backend::conformance::{self, Job};
use palisade_backend::{Attach, Backend};
use palisade_backend_linux::network::{self, Instance, Pool4, PoolChoice};
use palisade_backend_linux::{LinuxBackend, LinuxConfig};
use palisade_image::{Images, Progress, PullPolicy, Registries, Settings, Source, Store};
use palisade_model::clock::{Clock, Timestamp};
use palisade_model::id::SandboxId;

/// A backend under test.
#[derive(Debug)]
pub(crate) struct Harness {
    backend: Option<Arc<LinuxBackend>>,
    pub(crate) place: Place,
}

impl Harness {
    /// A backend in a place of its own.
    pub(crate) async fn new() -> Self {
        Self::at(Place::new()).await
    }

    /// A backend with other settings, in a place of its own.
    pub(crate) async fn with(change: impl FnOnce(&mut LinuxConfig)) -> Self {
        let place = Place::new();
        let mut config = place.config().await;
        change(&mut config);
        Self::configured(place, config).await
    }

    /// A backend where another one was.
    pub(crate) async fn at(place: Place) -> Self {
        let config = place.config().await;
        Self::configured(place, config).await
    }

    async fn configured(place: Place, config: LinuxConfig) -> Self {
        let backend = LinuxBackend::open(config).await.expect("the backend opens");
        let backend = Some(backend);
        Self { backend, place }
    }

    pub(crate) fn open(&self) -> Arc<LinuxBackend> {
        let backend = self.backend.as_ref();
        Arc::clone(backend.expect("it is open between the steps of a test"))
    }

    /// Forgets the backend as a crash does, and gives back its place.
    pub(crate) async fn close(mut self) -> Place {
        self.drop_backend().await;
        self.place
    }

    /// Removes every sandbox, closes the backend, and sees that nothing is left.
    pub(crate) async fn finish(self) {
        let backend = self.open();
        let listed = backend.list().await.expect("it can be looked at");
        for sighting in listed {
            let id = sighting.launch.id;
            backend.remove(id).await.expect("it can be removed");
            assert_eq!(self.place.leftovers(id), Vec::<String>::new());
        }
        drop(backend);
        self.close().await;
    }

    async fn drop_backend(&mut self) {
        if let Some(backend) = self.backend.take() {
            backend.close().await;
            let last = Arc::try_unwrap(backend);
            assert!(
                last.is_ok(),
                "somebody still holds the backend that crashes"
            );
        }
    }
}

/// A script as a command line.
pub(crate) fn shell(script: &str) -> Vec<String> {
    ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
}

#[async_trait]
impl conformance::Harness for Harness {
    fn backend(&self) -> Arc<dyn Backend> {
        self.open()
    }

    fn attach(&self) -> Arc<dyn Attach> {
        self.open()
    }

    fn command(&self, job: &Job) -> Vec<String> {
        let lines = |count: &u32| {
            format!("i=0; while [ $i -lt {count} ]; do echo line $i; i=$((i+1)); done")
        };
        match job {
            Job::RunUntilStopped => shell("exec sleep 1000"),
            Job::IgnoreStop => shell("trap '' TERM; while true; do sleep 1; done"),
            Job::ExitWith(code) => shell(&format!("exit {code}")),
            Job::PrintLines(count) => shell(&format!("{}; exec sleep 1000", lines(count))),
            Job::PrintLinesAndExit(count) => shell(&lines(count)),
            Job::Cat => vec!["/bin/cat".to_owned()],
            Job::PrintBoth(code) => shell(&format!("echo out; echo err >&2; exit {code}")),
            Job::PrintBytes(count) => shell(&format!("head -c {count} /dev/zero | tr '\\0' x")),
            Job::NoSuchProgram => vec!["/no/such/program".to_owned()],
            Job::KillSelf => shell("kill -9 $$"),
            // `nc -e` hands the connection to `cat`, which ends with it.
            Job::Echo(port) => shell(&format!("exec nc -ll -p {port} -e /bin/cat")),
        }
    }

    fn image(&self) -> String {
        IMAGE.to_owned()
    }

    async fn crash_and_reopen(&mut self) {
        self.drop_backend().await;
        let config = self.place.config().await;
        let backend = LinuxBackend::open(config).await;
        self.backend = Some(backend.expect("the backend opens"));
    }

    async fn leftovers(&self, id: SandboxId) -> Vec<String> {
        self.place.leftovers(id)
    }
}

/// The image that every backend of the tests has.
pub(crate) const IMAGE: &str = "test/busybox:1";

#[derive(Debug)]
pub(crate) struct RealClock;

impl Clock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let micros = since.expect("the clock is right").as_micros();
        Timestamp::from_micros(i64::try_from(micros).expect("the clock is right"))
    }
}

/// Where what is gone after a reboot is kept.
fn run_directory() -> PathBuf {
    PathBuf::from("/run/palisade-tests")
}

/// A place for one backend after another. All of it goes with the value.
#[derive(Debug)]
pub(crate) struct Place {
    directory: PathBuf,
    pub(crate) instance: Instance,
    is_own: bool,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("there is room").keep();
        let mut place = Self::at(&directory);
        place.is_own = true;
        place
    }

    /// A directory that is there already, such as the top of a file system.
    pub(crate) fn on(directory: &Path) -> Self {
        let mut place = Self::at(directory);
        place.is_own = true;
        place
    }

    /// The place of somebody else, who will clean it up.
    pub(crate) fn at(directory: &Path) -> Self {
        let instance = Instance::derive(&directory.display().to_string());
        Self {
            directory: directory.to_path_buf(),
            instance,
            is_own: false,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// The settings of a backend in this place.
    pub(crate) async fn config(&self) -> LinuxConfig {
        let settings = Settings::new(self.directory.join("images"));
        let store = Store::open(settings, Arc::new(RealClock)).await;
        let store = store.expect("the store opens");
        let reference = IMAGE.parse().expect("the name is one");
        if store.resolve(&reference).is_none() {
            let archive = Source::Reader(Box::new(std::io::Cursor::new(busybox())));
            let imported = store
                .import(archive, Some(&reference), &Progress::none())
                .await;
            imported.expect("the image is one");
        }
        let registries = Registries {
            policy: PullPolicy::Never,
            ..Registries::default()
        };
        let mut network = network::Config::new(self.instance.clone(), run_directory());
        network.pool4 = PoolChoice::Fixed(self.pool());
        let images = Images::new(store, registries);
        LinuxConfig::new(self.state(), network, images, Arc::new(RealClock))
    }

    /// Addresses that no other test is likely to have at the same time.
    fn pool(&self) -> Pool4 {
        let digest = self.instance.as_str().bytes();
        let digest = digest.fold(7_u32, |sum, byte| sum.wrapping_mul(31) ^ u32::from(byte));
        let [_, second, third, _] = digest.to_be_bytes();
        let range = format!("10.{}.{third}.0/24", 64 + second % 64);
        Pool4::new(range.parse().expect("it is a range")).expect("it is a private one")
    }

    /// What is left of a sandbox anywhere on the host, in words.
    pub(crate) fn leftovers(&self, id: SandboxId) -> Vec<String> {
        let id = id.to_string();
        let mut left = Vec::new();
        left.extend(paths_that_name(&id, Path::new("/sys/fs/cgroup"), 4));
        left.extend(paths_that_name(&id, &self.directory, 6));
        left.extend(paths_that_name(&id, &run_directory(), 6));
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mounts = mounts.lines().filter(|line| line.contains(&id));
        left.extend(mounts.map(|line| format!("mount {line}")));
        left.extend(processes_of(&id));
        left.extend(self.links_of(&id));
        left
    }

    fn links_of(&self, id: &str) -> Vec<String> {
        let uuid: uuid::Uuid = id.parse().expect("an id is one");
        let tail = &uuid.as_bytes()[9..];
        let name: String = tail.iter().map(|byte| format!("{byte:02x}")).collect();
        let router = run_directory().join(format!("{}.netns", self.instance));
        let show = |command: &[&str]| {
            let mut nsenter = Command::new("nsenter");
            nsenter
                .arg(format!("--net={}", router.display()))
                .args(command);
            let output = nsenter.output().expect("nsenter runs");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let cables = show(&["ip", "-o", "link"]);
        let rules = show(&["nft", "list", "ruleset"]);
        let lines = cables.lines().chain(rules.lines());
        let left = lines.filter(|line| line.contains(&name));
        left.map(|line| format!("in the router: {line}")).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_own {
            return;
        }
        // Best effort: the network of this instance, for the sake of the next test.
        let uplink = format!("pal-{}", self.instance);
        let table = format!("palisade_{}", self.instance).replace('-', "_");
        for command in [
            vec!["ip", "link", "delete", &uplink],
            vec!["nft", "delete", "table", "inet", &table],
        ] {
            let _ = Command::new(command[0]).args(&command[1..]).output();
        }
        let netns = run_directory().join(format!("{}.netns", self.instance));
        let _ = Command::new("umount").arg(&netns).output();
        let _ = std::fs::remove_file(netns);
        let _ = std::fs::remove_dir_all(run_directory().join(self.instance.as_str()));
        let _ = std::fs::remove_dir_all(&self.directory);
        remove_groups(&format!("palisade-{}", self.instance));
    }
}

/// Ends what a test that failed has left running, and removes its groups.
fn remove_groups(parent: &str) {
    let root = PathBuf::from("/sys/fs/cgroup");
    let trees = std::fs::read_dir(&root).into_iter().flatten();
    let trees = trees.flatten().map(|tree| tree.path());
    // Version 1 has a tree below the root for each controller, version 2 is one.
    let groups = trees
        .chain([root])
        .map(|tree| tree.join(parent))
        .filter(|group| group.exists());
    for group in groups {
        for sandbox in std::fs::read_dir(&group).into_iter().flatten().flatten() {
            if !sandbox.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let processes = std::fs::read_to_string(sandbox.path().join("cgroup.procs"));
            for process in processes.unwrap_or_default().lines() {
                let _ = Command::new("kill").args(["-9", process]).output();
            }
            remove_soon(&sandbox.path());
        }
        let _ = std::fs::remove_dir(group);
    }
}

/// Removes a group once the kernel has seen the end of what was in it.
fn remove_soon(group: &Path) {
    for _ in 0..100 {
        if std::fs::remove_dir(group).is_ok() {
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "nobody can wait in a drop")]
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

fn paths_that_name(id: &str, root: &Path, depth: u32) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(root) else {
        return found;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().contains(id) {
            found.push(path.display().to_string());
        } else if depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(paths_that_name(id, &path, depth - 1));
        }
    }
    found
}

/// The host's number of process 1 of a sandbox, as text.
pub(crate) fn process_1(id: SandboxId) -> Option<String> {
    let id = id.to_string();
    let entries = std::fs::read_dir("/proc").expect("/proc is there");
    entries.flatten().find_map(|entry| {
        let read = |name: &str| std::fs::read_to_string(entry.path().join(name));
        let is_first = read("status").ok()?.lines().any(|line| {
            let numbers = line.strip_prefix("NSpid:").map(str::split_whitespace);
            numbers.is_some_and(|numbers| numbers.skip(1).eq(["1"]))
        });
        let is_it = is_first && read("cgroup").ok()?.contains(&id);
        is_it.then(|| entry.file_name().to_string_lossy().into_owned())
    })
}

/// Processes in the control group of a sandbox, or with it in their arguments.
fn processes_of(id: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")
        .expect("/proc is there")
        .flatten()
    {
        let path = entry.path();
        let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap_or_default();
        if is_left_to_the_host(&read("status")) {
            continue;
        }
        if read("cgroup").contains(id) || read("cmdline").contains(id) {
            found.push(format!("process {}", path.display()));
        }
    }
    found
}

/// Whether a process has ended and only its parent, process 1 of the host, has
/// not taken note yet. In version 2 it stays in its group, though that is gone.
fn is_left_to_the_host(status: &str) -> bool {
    let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let has_ended = value("State:").is_some_and(|state| state.trim().starts_with('Z'));
    has_ended && value("PPid:").is_some_and(|parent| parent.trim() == "1")
}

/// An archive of a root file system that holds busybox and nothing else.
fn busybox() -> Vec<u8> {
    let program = std::fs::read("/usr/bin/busybox").expect("busybox-static is installed");
    let mut archive = tar::Builder::new(Vec::new());
    let mut put = |path: &str, mode: u32, content: &[u8]| {
        let mut header = header(tar::EntryType::Regular, mode);
        header.set_size(content.len() as u64);
        header.set_cksum();
        archive
            .append_data(&mut header, path, content)
            .expect("memory takes it");
    };
    put("bin/busybox", 0o755, &program);
    put(
        "etc/passwd",
        0o644,
        b"root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/:/bin/sh\n",
    );
    put("etc/group", 0o644, b"root:x:0:\napp:x:1000:\n");
    for applet in [
        "sh", "cat", "sleep", "env", "echo", "id", "ls", "true", "kill", "head", "tr", "mount",
        "dd", "nc", "grep", "wc", "rm", "umount", "unshare", "chroot", "mknod", "date", "dmesg",
        "touch", "mkdir", "ping", "ip", "hostname", "yes", "seq",
    ] {
        let mut header = header(tar::EntryType::Symlink, 0o777);
        let path = format!("bin/{applet}");
        archive
            .append_link(&mut header, path, "busybox")
            .expect("memory takes it");
    }
    let mut header = header(tar::EntryType::Directory, 0o1777);
    archive
        .append_data(&mut header, "tmp", std::io::empty())
        .expect("memory takes it");
    let mut bytes = archive.into_inner().expect("memory takes it");
    bytes.flush().expect("memory takes it");
    bytes
}

fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header
}

/// No variables.
pub(crate) fn none() -> BTreeMap<String, String> {
    BTreeMap::new()
}
