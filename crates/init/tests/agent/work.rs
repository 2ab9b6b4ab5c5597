//! What an agent does for somebody who knows the key.

use bytes::Bytes;
use palisade_backend::{TunnelEvent, Upload};
use palisade_init_client::{ClientError, CommandEvent, connect};
use palisade_init_protocol::answer::{Ended, FileFailure};
use palisade_init_protocol::request::{Input, Stop};
use palisade_init_protocol::text::{SignalNumber, TerminalSize, Variable};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::world::*;

#[tokio::test]
async fn a_command_is_what_the_agent_is() {
    let world = World::start().await;
    let mut exec = sh("pwd -P; echo $FROM_OUTSIDE $FROM_REQUEST; echo err >&2; umask; exit 7");
    exec.environment = vec![Variable::new("FROM_REQUEST".into(), "too".into()).unwrap()];
    let ran = world.run(exec).await;
    let folder = world.folder.path().canonicalize().unwrap();
    let umask = std::process::Command::new("/bin/sh")
        .args(["-c", "umask"])
        .output();
    let umask = String::from_utf8(umask.unwrap().stdout).unwrap();
    let expected = format!("{}\nyes too\n{umask}", folder.display());
    assert_eq!(ran.stdout, expected);
    assert_eq!(ran.stderr, "err\n");
    assert_eq!(ran.ended, Some(Ended::Code(7)));
}

#[tokio::test]
async fn limits_and_signals_of_a_command_are_those_that_the_agent_came_with() {
    let world = World::start().await;
    let script = "ulimit -Sn; ulimit -c; grep -E '^(SigBlk|SigIgn|CapEff)' /proc/self/status";
    let ran = world.run(sh(script)).await;
    let beside = std::process::Command::new("/bin/sh")
        .args(["-c", script])
        .output()
        .unwrap();
    let beside = String::from_utf8(beside.stdout).unwrap();
    // The test program may have a signal ignored or blocked that the standard
    // library gives back to what it starts.
    assert_eq!(ran.stdout, beside);
}

#[tokio::test]
async fn input_goes_in_and_its_end_too() {
    let world = World::start().await;
    let command = world.open().await.exec(sh("cat; echo over")).await.unwrap();
    let (mut input, mut output) = command.split();
    input.write(Bytes::from_static(b"in\n")).await.unwrap();
    input.send(Input::Close).await.unwrap();
    let ran = outcome(&mut output).await;
    assert_eq!(ran.stdout, "in\nover\n");
    assert_eq!(ran.ended, Some(Ended::Code(0)));
}

#[tokio::test]
async fn much_output_arrives_whole() {
    let world = World::start().await;
    let ran = world
        .run(sh("head -c 3000000 /dev/zero | tr '\\0' x"))
        .await;
    assert_eq!(ran.stdout.len(), 3_000_000);
}

#[tokio::test]
async fn a_terminal_has_a_size_and_gets_signals() {
    let world = World::start().await;
    let size = |columns, rows| TerminalSize { columns, rows };
    let mut exec = sh("trap 'stty size; exit 3' USR1; stty size; while :; do sleep 0.05; done");
    exec.terminal = Some(size(81, 25));
    let command = world.open().await.exec(exec).await.unwrap();
    let (mut input, mut output) = command.split();
    let first = output.next().await.unwrap();
    let CommandEvent::Output { data, .. } = first else {
        panic!("{first:?}");
    };
    assert_eq!(data, "25 81\r\n");
    input.send(Input::Resize(size(90, 30))).await.unwrap();
    let signal = SignalNumber::new(10).unwrap();
    input.send(Input::Signal(signal)).await.unwrap();
    let ran = outcome(&mut output).await;
    // The shell may say as well that what it waited for got the signal.
    assert!(ran.stdout.ends_with("30 90\r\n"), "{}", ran.stdout);
    assert_eq!(ran.ended, Some(Ended::Code(3)));
}

#[tokio::test]
async fn files_are_written_and_read() {
    let world = World::start().await;
    let content = Bytes::from(vec![b'a'; 1_000_000]);
    let path = absolute(&world.path("below/file"));
    let written = world.open().await;
    let upload = Upload::from(content.clone());
    written
        .write_file(path.clone(), None, upload)
        .await
        .unwrap();
    let read = world.open().await.read_file(path.clone(), 1 << 20).await;
    assert!(read.unwrap() == content);
    let refused = world.open().await.read_file(path, 10).await;
    assert!(
        matches!(
            refused,
            Err(ClientError::File(FileFailure::TooLarge {
                size_bytes: 1_000_000
            }))
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_port_is_connected_to_and_each_direction_has_its_end() {
    let world = World::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().try_into().unwrap();
    let tasks = TaskTracker::new();
    let mut tunnel = connect(world.open().await, port, &tasks).await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    tunnel.input.send(Bytes::from_static(b"in")).await.unwrap();
    drop(tunnel.input);
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"in");
    stream.write_all(b"later").await.unwrap();
    drop(stream);
    let mut events = Vec::new();
    while let Some(event) = tunnel.events.recv().await {
        events.push(event);
    }
    let later = TunnelEvent::Data(Bytes::from_static(b"later"));
    assert_eq!(events, [later, TunnelEvent::End]);
}

#[tokio::test]
async fn what_only_process_one_can_do_is_refused() {
    let world = World::start().await;
    let stop = Stop {
        grace_ms: 0,
        signal: None,
    };
    let stopped = world.open().await.stop(stop).await;
    assert!(
        matches!(stopped, Err(ClientError::Refused(_))),
        "{stopped:?}"
    );
    let mut watch = world.open().await.watch().await.unwrap();
    let watched = watch.next().await;
    assert!(
        matches!(watched, Err(ClientError::Refused(_))),
        "{watched:?}"
    );
    world.open().await.ping().await.unwrap();
}

#[tokio::test]
async fn dropping_a_command_kills_it_and_all_that_it_started() {
    let world = World::start().await;
    let script = "(setsid sleep 1000 & echo $!; echo $$; wait) ";
    let command = world.open().await.exec(sh(script)).await.unwrap();
    let (input, mut output) = command.split();
    let mut said = String::new();
    while said.lines().count() < 2 {
        if let CommandEvent::Output { data, .. } = output.next().await.unwrap() {
            said.push_str(&String::from_utf8_lossy(&data));
        }
    }
    let pids: Vec<u32> = said.lines().map(|line| line.parse().unwrap()).collect();
    assert!(pids.iter().all(|pid| is_alive(*pid)), "{pids:?}");
    drop((input, output));
    until("all are killed", || !pids.iter().any(|pid| is_alive(*pid))).await;
    world.open().await.ping().await.unwrap();
}

#[tokio::test]
async fn somebody_without_any_right_is_as_good_an_agent() {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let program = folder.path().join("init");
    std::fs::copy(env!("CARGO_BIN_EXE_palisade-init"), &program).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let mut command = tokio::process::Command::new("setpriv");
    command
        .args(["--reuid=4321", "--regid=1234", "--groups=1234,77"])
        .args([
            "--bounding-set=-all",
            "--inh-caps=-all",
            "--no-new-privs",
            "--",
        ])
        .arg(&program)
        .arg("agent")
        .current_dir(folder.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true);
    let world = World::with(|own| *own = command).await;
    let ran = world.run(sh("id -u; id -g; id -G; pwd -P")).await;
    let expected = format!("4321\n1234\n1234 77\n{}\n", folder.path().display());
    assert_eq!(ran.stdout, expected);
    let path = absolute(&folder.path().join("file"));
    let upload = Upload::from(Bytes::from_static(b"x"));
    let written = world.open().await.write_file(path.clone(), None, upload);
    written.await.unwrap();
    let metadata = std::fs::metadata(path.as_str()).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&metadata), 4321);
    let shadow = absolute(std::path::Path::new("/etc/shadow"));
    let refused = world.open().await.read_file(shadow, 1 << 20).await;
    assert!(
        matches!(
            refused,
            Err(ClientError::File(FileFailure::PermissionDenied))
        ),
        "{refused:?}"
    );
    // A command that goes is killed without any right as well.
    let command = world
        .open()
        .await
        .exec(sh("echo $$; exec sleep 1000"))
        .await;
    let (input, mut output) = command.unwrap().split();
    let CommandEvent::Output { data, .. } = output.next().await.unwrap() else {
        panic!("it says its number");
    };
    let pid: u32 = std::str::from_utf8(&data).unwrap().trim().parse().unwrap();
    drop((input, output));
    until("it is killed", || !is_alive(pid)).await;
}
