//! What a sandbox cannot do, tried from inside of it and looked at from outside.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use palisade_backend::conformance::{launch_command, wait_for, wait_until_over};
use palisade_backend::{Attach, Backend, ExecEvent, ExecSpec, LogQuery, View};
use palisade_model::id::SandboxId;
use palisade_model::profile::EgressMode;
use palisade_model::sandbox::{Exit, Launch, MountedFile};

use crate::support::{Harness, Place, shell};

const FIRST_UID: u32 = 1 << 30;

/// A sandbox that runs until it is removed.
async fn running(harness: &Harness) -> SandboxId {
    start(harness, &launch(harness, "exec sleep 1000")).await
}

fn launch(harness: &Harness, script: &str) -> Launch {
    launch_command(harness, shell(script))
}

async fn start(harness: &Harness, launch: &Launch) -> SandboxId {
    harness.open().ensure(launch).await.expect("it is taken on");
    let is_under_way = |view: &View| !matches!(view, View::Starting(_));
    wait_for(harness, launch.id, is_under_way).await;
    launch.id
}

/// What a script in a sandbox prints, and how it exits.
async fn run(harness: &Harness, id: SandboxId, script: &str) -> (String, Option<Exit>) {
    let spec = ExecSpec {
        command: shell(script),
        environment: crate::support::none(),
        terminal: None,
    };
    let mut exec = harness
        .open()
        .exec(id, spec)
        .await
        .expect("the command starts");
    let (mut output, mut exit) = (Vec::new(), None);
    while let Some(event) = exec.events.recv().await {
        match event {
            ExecEvent::Stdout(data) | ExecEvent::Stderr(data) => output.extend_from_slice(&data),
            ExecEvent::Exit(code) => exit = Some(code),
            ExecEvent::Started | ExecEvent::Failed(_) => {}
        }
    }
    (String::from_utf8_lossy(&output).into_owned(), exit)
}

/// A value of `/proc/self/status` inside.
async fn status(harness: &Harness, id: SandboxId, name: &str) -> String {
    let (output, _) = run(harness, id, &format!("grep '^{name}:' /proc/self/status")).await;
    let value = output.split_once(':').map(|(_, value)| value.trim());
    value.unwrap_or_default().to_owned()
}

/// A file of the control group of a sandbox.
fn cgroup(place: &Place, id: SandboxId, controller: &str, file: &str) -> String {
    let group = format!("palisade-{}/{id}/{file}", place.instance);
    let v1 = PathBuf::from("/sys/fs/cgroup")
        .join(controller)
        .join(&group);
    let v2 = PathBuf::from("/sys/fs/cgroup").join(&group);
    let text = fs::read_to_string(v1).or_else(|_| fs::read_to_string(v2));
    text.expect("the group has the file").trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn root_inside_is_nobody_outside_and_each_sandbox_is_somebody_else() {
    let harness = Harness::new().await;
    let mut owners = Vec::new();
    for id in [running(&harness).await, running(&harness).await] {
        let (map, _) = run(&harness, id, "cat /proc/self/uid_map /proc/self/gid_map").await;
        for line in map.lines() {
            let numbers: Vec<u32> = line
                .split_whitespace()
                .map(|n| n.parse().unwrap())
                .collect();
            assert_eq!((numbers[0], numbers[2]), (0, 65_536), "{map}");
            owners.push(numbers[1]);
        }
        let pid = cgroup(&harness.place, id, "pids", "cgroup.procs");
        let pid = pid.lines().next().expect("something runs");
        let outside = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let uids = outside
            .lines()
            .find(|line| line.starts_with("Uid:"))
            .unwrap();
        let uid: u32 = uids.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(uid >= FIRST_UID, "{uids}");
    }
    assert_eq!(owners[0], owners[1]);
    assert_ne!(owners[0], owners[2]);
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileges_are_few_and_cannot_grow() {
    let harness = Harness::new().await;
    let id = running(&harness).await;
    assert_eq!(status(&harness, id, "NoNewPrivs").await, "1");
    assert_eq!(status(&harness, id, "Seccomp").await, "2");
    // chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap,
    // sys_chroot, setfcap.
    for set in ["CapEff", "CapPrm", "CapBnd"] {
        assert_eq!(status(&harness, id, set).await, "00000000800401fb", "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(status(&harness, id, set).await, "0000000000000000", "{set}");
    }
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn system_calls_that_open_the_kernel_are_refused() {
    let harness = Harness::new().await;
    let id = running(&harness).await;
    for script in [
        "mount -t tmpfs none /tmp",
        "mount -o remount,rw /proc/sys",
        "mount -o remount,rw /sys",
        "umount /proc/kcore",
        "unshare -U true",
        "unshare -m true",
        "chroot /proc/1/root true && unshare -n true",
        "hostname other",
        "mknod /tmp/disk b 8 0",
        "ip link set eth0 mtu 1000",
        "dmesg",
    ] {
        let (output, exit) = run(&harness, id, script).await;
        assert_ne!(exit, Some(Exit(0)), "{script}: {output}");
    }
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kernel_s_files_are_hidden_or_cannot_be_written() {
    let harness = Harness::new().await;
    let id = running(&harness).await;
    for script in [
        "cat /proc/kcore | head -c 1 | grep -q .",
        "cat /proc/keys /proc/timer_list /proc/interrupts | grep -q .",
        "ls -A /proc/acpi /sys/firmware | grep -v : | grep -q .",
        "echo 1 > /proc/sys/kernel/printk",
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
        "echo b > /proc/sysrq-trigger",
        "echo 1 > /sys/kernel/mm/ksm/run",
        "touch /sys/x",
        "echo x > /dev/palisade/init",
        "rm /dev/palisade/init",
    ] {
        let (output, exit) = run(&harness, id, script).await;
        assert_ne!(exit, Some(Exit(0)), "{script}: {output}");
    }
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_the_host_can_be_seen() {
    let harness = Harness::new().await;
    let id = running(&harness).await;
    let other = running(&harness).await;
    let (output, _) = run(&harness, id, "ls /").await;
    let mut names: Vec<&str> = output.split_whitespace().collect();
    names.sort_unstable();
    assert_eq!(names, ["bin", "dev", "etc", "proc", "sys", "tmp"]);
    let (output, _) = run(&harness, id, "ls /sys/class/net").await;
    assert_eq!(
        output.split_whitespace().collect::<Vec<_>>(),
        ["eth0", "lo"]
    );
    // Process 1, the main process, and what looks.
    let (output, _) = run(&harness, id, "ls -d /proc/[0-9]* | wc -l").await;
    assert!(output.trim().parse::<u32>().unwrap() <= 6, "{output}");
    let (mounts, _) = run(&harness, id, "cat /proc/self/mountinfo").await;
    assert!(!mounts.contains(&other.to_string()), "{mounts}");
    let (environment, _) = run(&harness, id, "cat /proc/1/environ").await;
    assert_eq!(
        environment
            .replace("cat: can't open '/proc/1/environ': Permission denied", "")
            .trim(),
        ""
    );
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_socket_of_the_runner_and_no_other_network_is_in_reach() {
    let harness = Harness::new().await;
    let id = running(&harness).await;
    let _other = running(&harness).await;
    // The file systems of the kernel hold no sockets, and some cannot be read.
    let find = "find / -path /proc -prune -o -path /sys -prune -o -type s -print";
    let (sockets, _) = run(&harness, id, &format!("{find} 2>/dev/null")).await;
    assert_eq!(sockets.trim(), "");
    // Every process that can be seen is in the sandbox's own network.
    let own = "readlink /proc/self/ns/net";
    let all = "for p in /proc/[0-9]*; do readlink $p/ns/net 2>/dev/null; done | sort -u";
    let (own, _) = run(&harness, id, own).await;
    let (all, _) = run(&harness, id, all).await;
    assert_eq!(all, own);
    let (_, exit) = run(&harness, id, "ls /run/palisade /var/run/palisade").await;
    assert_ne!(exit, Some(Exit(0)));
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_that_uses_too_much_memory_is_ended_and_says_why() {
    let harness = Harness::new().await;
    let mut launch = launch(
        &harness,
        "exec dd if=/dev/zero of=/dev/null bs=400M count=1",
    );
    launch.resources.memory_limit = Some("48Mi".parse().unwrap());
    harness.open().ensure(&launch).await.unwrap();
    let view = wait_until_over(&harness, launch.id).await;
    let View::Ended { exit, reason, .. } = view else {
        panic!("{view:?}");
    };
    assert_eq!(exit, Some(Exit(137)));
    assert!(reason.contains("out of memory"), "{reason}");
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_least_memory_that_is_told_is_enough_to_start_with() {
    let harness = Harness::new().await;
    let least = harness.open().capabilities().memory_bytes_min;
    let mut launch = launch(&harness, "exec sleep 1000");
    launch.resources.memory_limit = Some(least.to_string().parse().unwrap());
    let id = start(&harness, &launch).await;
    let view = wait_for(&harness, id, |_| true).await;
    assert!(matches!(view, View::Running { .. }), "{view:?}");
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_those_that_were_granted() {
    let harness = Harness::new().await;
    let mut launch = launch(&harness, "exec sleep 1000");
    launch.resources.memory_limit = Some("64Mi".parse().unwrap());
    launch.resources.cpu_limit = Some("500m".parse().unwrap());
    launch.resources.cpu_request = Some("250m".parse().unwrap());
    let id = start(&harness, &launch).await;
    let is_v2 = PathBuf::from("/sys/fs/cgroup/cgroup.controllers").exists();
    if is_v2 {
        assert_eq!(cgroup(&harness.place, id, "", "cpu.max"), "50000 100000");
        assert_eq!(cgroup(&harness.place, id, "", "memory.max"), "67108864");
        assert_eq!(cgroup(&harness.place, id, "", "memory.swap.max"), "0");
    } else {
        let of = |controller, file| cgroup(&harness.place, id, controller, file);
        assert_eq!(of("cpu", "cpu.cfs_quota_us"), "50000");
        assert_eq!(of("cpu", "cpu.cfs_period_us"), "100000");
        assert_eq!(of("cpu", "cpu.shares"), "256");
        assert_eq!(of("memory", "memory.limit_in_bytes"), "67108864");
    }
    assert_eq!(cgroup(&harness.place, id, "pids", "pids.max"), "2048");
    let usage = harness.open().usage(id).await.expect("it runs");
    assert!(usage.pids >= Some(2) && usage.memory_bytes > 0, "{usage:?}");
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_are_limited_and_the_sandbox_can_still_be_removed() {
    let harness = Harness::with(|config| config.pids_max = 24).await;
    let launch = launch(
        &harness,
        "(while true; do sleep 1000 & done); exec sleep 1000",
    );
    let id = start(&harness, &launch).await;
    let backend = harness.open();
    let full = tokio::time::timeout(Duration::from_secs(30), async {
        let mut most = 0;
        while most < 20 {
            most = backend
                .usage(id)
                .await
                .expect("it runs")
                .pids
                .expect("counted");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        most
    });
    assert!(full.await.expect("it makes processes") <= 24);
    drop(backend);
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_sandboxes_together_leave_the_host_some_processes() {
    let harness = Harness::new().await;
    let group = format!("palisade-{}/pids.max", harness.place.instance);
    let root = PathBuf::from("/sys/fs/cgroup");
    let text = fs::read_to_string(root.join("pids").join(&group));
    let text = text.or_else(|_| fs::read_to_string(root.join(&group)));
    let limit: u64 = text.unwrap().trim().parse().expect("there is a limit");
    let all = fs::read_to_string("/proc/sys/kernel/pid_max").unwrap();
    assert!(limit < all.trim().parse().unwrap(), "{limit} of {all}");
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_files_are_in_place_before_the_main_process_starts() {
    let harness = Harness::new().await;
    let mut launch = launch(&harness, "cat /opt/data/note /etc/hostname && hostname");
    launch.egress.mode = EgressMode::Internet;
    launch.mounted_files = vec![MountedFile {
        path: "/opt/data/note".to_owned(),
        content: b"from outside\n".to_vec(),
    }];
    harness.open().ensure(&launch).await.unwrap();
    let view = wait_until_over(&harness, launch.id).await;
    assert!(
        matches!(
            view,
            View::Ended {
                exit: Some(Exit(0)),
                ..
            }
        ),
        "{view:?}"
    );
    let backend = harness.open();
    let mut logs = backend.logs(launch.id, LogQuery::default()).await.unwrap();
    let mut text = Vec::new();
    while let Some(chunk) = logs.chunks.recv().await {
        text.extend_from_slice(&chunk.unwrap().data);
    }
    let expected = format!("from outside\n{id}\n{id}\n", id = launch.id);
    assert_eq!(String::from_utf8_lossy(&text), expected);
    drop(backend);
    harness.finish().await;
}

fn mounted(path: &str) -> MountedFile {
    MountedFile {
        path: path.to_owned(),
        content: b"from outside\n".to_vec(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_request_cannot_be_changed_by_root_inside() {
    let harness = Harness::new().await;
    let mut launch = launch(&harness, "exec sleep 1000");
    let paths = ["/opt/data/note", "/etc/passwd", "/tmp/a b/'c"];
    launch.mounted_files = paths.into_iter().map(mounted).collect();
    let id = start(&harness, &launch).await;
    let changes = "exec 2>/dev/null; for file in /opt/data/note /etc/passwd \"/tmp/a b/'c\"; do
        (echo x >\"$file\") || echo closed
        chmod 666 \"$file\" || echo closed
        mv /etc/group \"$file\" || echo closed
        rm -f \"$file\" || echo closed
        umount \"$file\" || echo closed
        stat -c '%u %a' \"$file\"; cat \"$file\"
    done";
    let (text, _) = run(&harness, id, changes).await;
    let each = format!("{}0 444\nfrom outside\n", "closed\n".repeat(5));
    assert_eq!(text, each.repeat(3));
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_put_in_place_is_named() {
    let harness = Harness::new().await;
    let mut launch = launch(&harness, "true");
    launch.mounted_files = vec![mounted("/etc/passwd/note")];
    harness.open().ensure(&launch).await.unwrap();
    let view = wait_until_over(&harness, launch.id).await;
    assert!(format!("{view:?}").contains("/etc/passwd/note"), "{view:?}");
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_runtime_refuses_is_told_without_paths_of_the_host() {
    let harness = Harness::new().await;
    let mut launch = launch(&harness, "true");
    // The gateway refuses that; a runtime only finds it when it mounts.
    launch.mounted_files = vec![mounted("/x/a"), mounted("/x/a/b")];
    harness.open().ensure(&launch).await.unwrap();
    let View::Failed { reason, .. } = wait_until_over(&harness, launch.id).await else {
        panic!("it cannot be started");
    };
    assert!(reason.contains("x/a/b"), "{reason}");
    for of_the_host in ["mount/root", "/run/palisade", "disk/files"] {
        assert!(!reason.contains(of_the_host), "{reason}");
    }
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_looked_up_at_the_runner_or_nowhere() {
    let harness = Harness::new().await;
    let backend = harness.open();
    let closed = running(&harness).await;
    let (text, _) = run(&harness, closed, "cat /etc/resolv.conf").await;
    assert!(!text.contains("nameserver"), "{text}");
    let mut launch = launch(&harness, "exec sleep 1000");
    launch.egress.mode = EgressMode::Internet;
    let open = start(&harness, &launch).await;
    let (text, _) = run(&harness, open, "cat /etc/resolv.conf").await;
    let resolver = backend.network().resolver().v4;
    assert!(text.contains(&format!("nameserver {resolver}")), "{text}");
    drop(backend);
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_runtime_that_is_known_holds_a_sandbox_alike() {
    let harness = Harness::new().await;
    let classes = harness.open().capabilities().runtime_classes;
    assert!(
        classes.len() >= 2,
        "crun and runc are installed: {classes:?}"
    );
    for class in classes {
        let mut launch = launch(&harness, "exec sleep 1000");
        launch.runtime_class = Some(class.clone());
        launch.resources.memory_limit = Some("64Mi".parse().unwrap());
        let id = start(&harness, &launch).await;
        assert_eq!(
            status(&harness, id, "CapBnd").await,
            "00000000800401fb",
            "{class:?}"
        );
        assert_eq!(status(&harness, id, "Seccomp").await, "2", "{class:?}");
        assert_eq!(status(&harness, id, "NoNewPrivs").await, "1", "{class:?}");
        let (map, _) = run(&harness, id, "cat /proc/self/uid_map").await;
        assert!(map.trim_start().starts_with("0 1"), "{class:?}: {map}");
        let (output, exit) = run(&harness, id, "echo 1 > /proc/sys/kernel/printk").await;
        assert_ne!(exit, Some(Exit(0)), "{class:?}: {output}");
    }
    harness.finish().await;
}
