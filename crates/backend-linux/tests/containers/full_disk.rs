//! Sandboxes that fill the disk, on an ext4 of its own: what is kept for root stays,
//! and the runner goes on, starts again, stops and removes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use palisade_backend::conformance::{launch_command, wait_for, wait_until_over};
use palisade_backend::{Backend, EnsureError, View};
use palisade_model::sandbox::Launch;
use rustix::fs::statvfs;

use crate::support::{Harness, Place, shell};

const DISK_BYTES: u64 = 96 << 20;

/// Writes until nothing more fits, in large pieces and in small ones.
const FILL: &str = "cat /dev/zero > /tmp/fill; while echo x >> /tmp/f2; do :; done";

/// Makes files until there can be no more.
const FILL_WITH_NAMES: &str = "i=0; while touch /tmp/$i 2>/dev/null; do i=$((i+1)); done";

/// A file system that is mounted as long as this is there.
struct Disk {
    place: PathBuf,
    _backing: tempfile::TempDir,
}

impl Disk {
    /// An ext4 of which so many hundredths are kept for root.
    fn new(reserved: &str) -> Self {
        let backing = tempfile::tempdir().expect("there is room");
        let (file, place) = (backing.path().join("ext4"), backing.path().join("disk"));
        std::fs::create_dir(&place).expect("it can be made");
        let empty = std::fs::File::create_new(&file).expect("it can be made");
        empty.set_len(DISK_BYTES).expect("holes take no room");
        run(Command::new("mkfs.ext4")
            .args(["-q", "-N", "2048", "-m", reserved])
            .arg(&file));
        run(Command::new("mount")
            .args(["-o", "loop"])
            .args([&file, &place]));
        Self {
            place,
            _backing: backing,
        }
    }

    /// Bytes that nobody has, and those of them that are not kept for root.
    fn room(&self) -> (u64, u64) {
        let disk = statvfs(&self.place).expect("it is mounted");
        let bytes = |blocks| blocks * disk.f_frsize;
        (bytes(disk.f_bfree), bytes(disk.f_bavail))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.place).status();
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("it is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

async fn start(harness: &Harness, script: &str) -> Launch {
    let launch = launch_command(harness, shell(script));
    harness
        .open()
        .ensure(&launch)
        .await
        .expect("it is taken on");
    wait_for(harness, launch.id, is_running).await;
    launch
}

fn is_running(view: &View) -> bool {
    matches!(view, View::Running { .. })
}

/// A sandbox that has filled the disk, and goes on.
async fn filler(harness: &Harness, fill: &str) -> Launch {
    let launch = start(
        harness,
        &format!("{fill}; : > /dev/shm/full; exec sleep 1000"),
    )
    .await;
    let process = crate::support::process_1(launch.id).expect("it runs");
    let told = PathBuf::from(format!("/proc/{process}/root/dev/shm/full"));
    let filled = tokio::time::timeout(Duration::from_mins(2), async {
        while !told.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    filled.await.expect("it fills the disk");
    launch
}

/// Why a new sandbox is refused.
async fn refusal(harness: &Harness) -> String {
    let launch = launch_command(harness, shell("exit 0"));
    match harness.open().ensure(&launch).await {
        Err(EnsureError::Unsupported { what }) => what,
        other => unreachable!("it should be refused, and was not: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_cannot_use_up_what_is_kept_for_root() {
    let disk = Disk::new("5");
    let harness = Harness::at(Place::on(&disk.place)).await;
    let (free, available) = disk.room();
    let kept = free - available;
    assert!(kept > 4 << 20, "{kept} bytes are kept for root");
    filler(&harness, FILL).await;
    let (free, available) = disk.room();
    assert!(available < 1 << 16, "{available} bytes are left to others");
    // The log and the records of the runner are in what was kept, too.
    assert!(free > kept / 10 * 9, "of {kept} bytes {free} are left");
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_with_a_full_disk_starts_stops_and_removes() {
    goes_on(FILL, "MiB 0 are free, and 16 have to be").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_whose_disk_takes_no_more_files_starts_stops_and_removes() {
    goes_on(FILL_WITH_NAMES, "it takes 0 more, and 128 have to be").await;
}

/// All that a runner has to do once a sandbox has filled its disk so.
async fn goes_on(fill: &str, expected: &str) {
    // Nothing is kept for root: the worst case.
    let disk = Disk::new("0");
    let mut harness = Harness::at(Place::on(&disk.place)).await;
    let other = start(&harness, "exec sleep 1000").await;
    let patient = start(&harness, "trap 'exit 3' TERM; while :; do sleep 1; done").await;
    let filler = filler(&harness, fill).await;
    fill_the_rest(&disk.place);

    palisade_backend::conformance::Harness::crash_and_reopen(&mut harness).await;
    for launch in [&other, &patient, &filler] {
        wait_for(&harness, launch.id, is_running).await;
    }
    let why = refusal(&harness).await;
    assert!(why.contains(expected), "{why}");

    let backend = harness.open();
    let grace = Duration::from_secs(20);
    backend
        .stop(patient.id, grace)
        .await
        .expect("it is stopped");
    let view = wait_until_over(&harness, patient.id).await;
    let View::Ended { exit, stopped, .. } = view else {
        unreachable!("it was stopped, and is {view:?}")
    };
    assert_eq!((exit.map(|exit| exit.0), stopped), (Some(3), true));
    backend.remove(filler.id).await.expect("it is removed");
    assert_eq!(harness.place.leftovers(filler.id), Vec::<String>::new());
    drop(backend);
    start(&harness, "exec sleep 1000").await;
    harness.finish().await;
}

/// What the last small pieces of others left free.
fn fill_the_rest(place: &Path) {
    use std::io::Write as _;
    if let Ok(mut file) = std::fs::File::create(place.join("rest")) {
        while file.write_all(&[1; 512]).is_ok() {}
    }
    assert!(std::fs::write(place.join("more"), [1; 4_096]).is_err());
}
