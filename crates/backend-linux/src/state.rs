//! Where everything of the sandboxes is kept, so that it outlives the runner.
//!
//! ```text
//! <state>/lock                     held while a runner has the state open
//! <state>/bin/init-<digest>        process 1 of the sandboxes
//! <state>/sandboxes/<id>/
//!     launch                       the wish; its presence makes the sandbox exist
//!     starting                     locked by whoever may still be starting it
//!     stop                         by when it must have ended, once that was asked for
//!     end                          how it ended; written before anything is freed
//!     log, log.index, status       written by process 1
//!     bundle/config.json           what the OCI runtime was told
//!     runtime.log                  what it says when it fails
//!     file-system                  the file system that it has to itself
//!     capture                      there while that is archived and nobody wished it frozen
//!     disk/upper, disk/work        what it has written; owned by its user ids
//! <run>/<instance>/                gone after a reboot
//!     mount/                       where each start mounts things that only it sees
//!     sockets/<id>                 where process 1 listens
//!     runtime/<handler>/<id>       what an OCI runtime remembers
//! ```
//!
//! Whatever is written here is whole or not there. Nothing here decides what it
//! means; that is what `recovery` does.

pub(crate) mod end;
mod erase;
mod lock;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use palisade_model::clock::Timestamp;
use palisade_model::id::SandboxId;
use palisade_model::sandbox::{Launch, form};

use crate::init_client::Paths;

pub(crate) use self::end::End;
pub(crate) use self::lock::{Held, hold, hold_within};

/// Others on the host may pass through, but not look around.
const PASS_THROUGH: u32 = 0o711;
const OWN: u32 = 0o700;

/// What a sandbox has written, below its disk.
pub(crate) const UPPER: &str = "upper";
/// What an overlay needs besides, below a disk.
pub(crate) const WORK: &str = "work";

const LOG: &str = "log";
const LOG_INDEX: &str = "log.index";
const STATUS: &str = "status";
const LAUNCH: &str = "launch";
const STOP: &str = "stop";
const END: &str = "end";
const FILE_SYSTEM: &str = "file-system";
const CAPTURE: &str = "capture";

/// How long to wait for an OCI runtime that was left running; longer than one
/// that is waited for may take.
const STARTS_WAIT_MAX: Duration = Duration::from_secs(70);

/// The largest document that is read back: a launch with its mounted files.
const DOCUMENT_BYTES_MAX: u64 = 512 << 20;

/// All directories of one runner.
#[derive(Clone, Debug)]
pub(crate) struct State {
    root: PathBuf,
    run: PathBuf,
}

/// What is kept of one sandbox.
#[derive(Clone, Debug)]
pub(crate) struct SandboxState {
    id: SandboxId,
    directory: PathBuf,
    run: PathBuf,
}

/// A sandbox as its directory tells of it.
#[derive(Debug)]
pub(crate) enum Remembered {
    /// It exists.
    Sandbox(Box<Launch>, SandboxState),
    /// Its making or its removal was cut short, or its launch cannot be read.
    Remains(SandboxState),
}

impl State {
    /// Makes what is missing.
    pub(crate) fn create(root: PathBuf, run: PathBuf) -> io::Result<Self> {
        make_directory(&root, PASS_THROUGH)?;
        make_directory(&root.join("bin"), PASS_THROUGH)?;
        make_directory(&root.join("sandboxes"), OWN)?;
        make_directory(&run, PASS_THROUGH)?;
        make_directory(&run.join("mount"), PASS_THROUGH)?;
        make_directory(&run.join("sockets"), OWN)?;
        make_directory(&run.join("runtime"), OWN)?;
        Ok(Self { root, run })
    }

    /// Removes what is to be gone after a reboot, once no sandbox runs.
    pub(crate) fn retire(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.run)
    }

    /// The file that keeps other runners from this state.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Where the programs of the runner are.
    pub(crate) fn programs(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// Where a start mounts what only it sees.
    pub(crate) fn mount_point(&self) -> PathBuf {
        self.run.join("mount")
    }

    /// Where the OCI runtime of this class keeps what it remembers.
    pub(crate) fn runtime(&self, class: &str) -> PathBuf {
        self.run.join("runtime").join(class)
    }

    /// Where the disks of the sandboxes will be.
    pub(crate) fn sandboxes(&self) -> PathBuf {
        self.root.join("sandboxes")
    }

    /// Where a file system is made that nobody needs; no sandbox is called so.
    pub(crate) fn trial_file(&self) -> PathBuf {
        self.sandboxes().join("trial-file-system")
    }

    /// The place of one sandbox.
    pub(crate) fn sandbox(&self, id: SandboxId) -> SandboxState {
        SandboxState {
            id,
            directory: self.sandboxes().join(id.to_string()),
            run: self.run.clone(),
        }
    }

    /// Everything that an earlier run left.
    pub(crate) fn remembered(&self) -> io::Result<Vec<Remembered>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.sandboxes())? {
            let name = entry?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let sandbox = self.sandbox(id);
            found.push(match sandbox.launch()? {
                Some(launch) => Remembered::Sandbox(Box::new(launch), sandbox),
                None => Remembered::Remains(sandbox),
            });
        }
        Ok(found)
    }
}

impl SandboxState {
    /// Writes down the wish. From here on the sandbox exists, unless the host
    /// itself fails before what is returned has been synced.
    pub(crate) fn record(&self, launch: &Launch) -> io::Result<File> {
        make_directory(&self.directory, OWN)?;
        let document = form::encode_launch(launch).to_string();
        self.write(LAUNCH, document.as_bytes())
    }

    /// The wish; `None` if there is none that can be read.
    fn launch(&self) -> io::Result<Option<Launch>> {
        let Some(bytes) = read(&self.directory.join(LAUNCH))? else {
            return Ok(None);
        };
        let Ok(document) = serde_json::from_slice(&bytes) else {
            return Ok(None);
        };
        // One that is of another sandbox is as good as none.
        let launch = form::decode_launch(&document).ok();
        Ok(launch.filter(|launch| launch.id == self.id))
    }

    /// The sandbox.
    pub(crate) fn id(&self) -> SandboxId {
        self.id
    }

    /// Waits until nothing that may still be starting the sandbox runs, and
    /// keeps it so. `None` if there is nothing to wait for.
    pub(crate) fn wait_for_starts(&self) -> io::Result<Option<Held>> {
        let path = self.starting_file();
        if !path.exists() {
            return Ok(None);
        }
        let held = hold_within(&path, STARTS_WAIT_MAX)?;
        held.map(Some).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::TimedOut,
                "an OCI runtime that is starting the sandbox does not end",
            )
        })
    }

    /// Removes what an OCI runtime remembers of the sandbox.
    pub(crate) fn forget_runtime(&self, root: &Path) -> io::Result<()> {
        erase::tree(&root.join(self.id.to_string()))
    }

    /// Locked while anybody may be starting the sandbox.
    pub(crate) fn starting_file(&self) -> PathBuf {
        self.directory.join("starting")
    }

    /// Remembers by when it must have ended; of several the soonest counts.
    pub(crate) fn record_stop(&self, by: Timestamp) -> io::Result<()> {
        if self.stop_by()?.is_some_and(|known| known <= by) {
            return Ok(());
        }
        self.write(STOP, by.as_micros().to_string().as_bytes())?;
        Ok(())
    }

    /// By when it must have ended, if somebody asked for it to end.
    pub(crate) fn stop_by(&self) -> io::Result<Option<Timestamp>> {
        let Some(bytes) = read(&self.directory.join(STOP))? else {
            return Ok(None);
        };
        let micros = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| text.parse().ok());
        // One that cannot be read was asked for all the same.
        Ok(Some(
            micros.map_or(Timestamp::EPOCH, Timestamp::from_micros),
        ))
    }

    /// Whether somebody asked for it to end.
    pub(crate) fn is_stop_recorded(&self) -> bool {
        self.directory.join(STOP).exists()
    }

    /// Writes down how it ended.
    pub(crate) fn record_end(&self, end: &End) -> io::Result<()> {
        // Should the host fail, it is found out anew from the status.
        self.write(END, end.encode().to_string().as_bytes())?;
        Ok(())
    }

    /// How it ended, if that was written down.
    pub(crate) fn end(&self) -> io::Result<Option<End>> {
        let bytes = read(&self.directory.join(END))?;
        Ok(bytes.and_then(|bytes| End::decode(&serde_json::from_slice(&bytes).ok()?)))
    }

    /// Whether the image of the sandbox has to stay: not once it has ended.
    pub(crate) fn needs_image(&self) -> bool {
        self.directory.join(LAUNCH).exists() && !self.directory.join(END).exists()
    }

    /// Where process 1 listens, and what it writes.
    pub(crate) fn paths(&self) -> Paths {
        Paths {
            socket: self.run.join("sockets").join(self.id.to_string()),
            log_data: self.directory.join(LOG),
            log_index: self.directory.join(LOG_INDEX),
            status: self.directory.join(STATUS),
        }
    }

    /// Writes what an OCI runtime is told, for it and for people who want to
    /// know; returns the directory.
    pub(crate) fn write_bundle(&self, document: &str) -> io::Result<PathBuf> {
        let bundle = self.bundle();
        make_directory(&bundle, OWN)?;
        fs::write(bundle.join("config.json"), document)?;
        Ok(bundle)
    }

    fn bundle(&self) -> PathBuf {
        self.directory.join("bundle")
    }

    /// Where the OCI runtime tells what went wrong.
    pub(crate) fn runtime_log(&self) -> PathBuf {
        self.directory.join("runtime.log")
    }

    /// Directories of the runner that nobody has to know of who sees the sandbox.
    pub(crate) fn host_places(&self) -> [&Path; 2] {
        // The sandbox is in a directory of all of them, which is in that of the state.
        let state = self.directory.ancestors().nth(2);
        [state.unwrap_or(&self.directory), &self.run]
    }

    /// The file system that the sandbox has to itself.
    pub(crate) fn file_system(&self) -> PathBuf {
        self.directory.join(FILE_SYSTEM)
    }

    /// Remembers that the sandbox is frozen for no longer than an archiving takes.
    pub(crate) fn mark_capture(&self) -> io::Result<()> {
        self.write(CAPTURE, b"")?;
        Ok(())
    }

    /// Forgets that.
    pub(crate) fn unmark_capture(&self) -> io::Result<()> {
        erase::file(&self.directory.join(CAPTURE))
    }

    /// Whether the sandbox was left frozen by an archiving.
    pub(crate) fn is_capture_marked(&self) -> bool {
        self.directory.join(CAPTURE).exists()
    }

    /// What the sandbox has written.
    pub(crate) fn disk(&self) -> PathBuf {
        self.directory.join("disk")
    }

    /// Makes an empty disk that belongs to this user id of the host.
    pub(crate) fn make_disk(&self, owner: u32) -> io::Result<()> {
        erase::tree(&self.disk())?;
        make_disk(&self.disk(), owner)
    }

    /// The first user id of a disk that is there.
    pub(crate) fn disk_owner(&self) -> Option<u32> {
        let upper = fs::symlink_metadata(self.disk().join(UPPER));
        upper.ok().map(|meta| meta.uid())
    }

    /// Removes everything but what a sandbox that has ended keeps.
    pub(crate) fn free(&self) -> io::Result<()> {
        erase::tree(&self.disk())?;
        erase::file(&self.file_system())?;
        self.unmark_capture()?;
        erase::tree(&self.bundle())?;
        erase::file(&self.runtime_log())?;
        erase::file(&self.starting_file())?;
        erase::file(&self.paths().socket)
    }

    /// Removes everything, the wish at last.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.free()?;
        for name in [LOG, LOG_INDEX, STATUS, STOP, END, LAUNCH] {
            erase::file(&self.directory.join(name))?;
        }
        erase::tree(&self.directory)
    }

    /// Replaces a file as a whole, and returns it.
    fn write(&self, name: &str, content: &[u8]) -> io::Result<File> {
        use std::io::Write as _;
        let temporary = self.directory.join(format!("{name}.new"));
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&temporary)?;
        file.write_all(content)?;
        fs::rename(&temporary, self.directory.join(name))?;
        Ok(file)
    }
}

/// Makes an empty disk for an overlay that belongs to this user id of the host.
pub(crate) fn make_disk(disk: &Path, owner: u32) -> io::Result<()> {
    make_directory(disk, OWN)?;
    make_directory(&disk.join(WORK), OWN)?;
    let upper = disk.join(UPPER);
    make_directory(&upper, 0o755)?;
    std::os::unix::fs::chown(upper, Some(owner), Some(owner))
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    use std::io::Read as _;
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(DOCUMENT_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Makes a directory and those above it; its own mode is as given, whatever the
/// umask says.
fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
