//! How an agent ends, and what it leaves.

use palisade_init_client::{ClientError, CommandEvent};
use palisade_init_protocol::agent::{BEAT_BYTE, Report};
use palisade_init_protocol::config::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time;

use crate::world::*;

#[tokio::test]
async fn once_its_input_ends_it_kills_what_it_runs_and_ends() {
    let mut world = World::start().await;
    let script = "setsid sleep 1000 & echo $!; echo $$; wait";
    let command = world.open().await.exec(sh(script)).await.unwrap();
    let (_input, mut output) = command.split();
    let mut said = String::new();
    while said.lines().count() < 2 {
        if let CommandEvent::Output { data, .. } = output.next().await.unwrap() {
            said.push_str(&String::from_utf8_lossy(&data));
        }
    }
    let pids: Vec<u32> = said.lines().map(|line| line.parse().unwrap()).collect();
    let children = world.children();
    drop(world.input.take());
    let ended = time::timeout(PATIENCE, world.child.wait()).await;
    assert!(ended.expect("it ends").unwrap().success());
    let gone = pids.iter().chain(&children).all(|pid| !is_alive(*pid));
    assert!(gone, "{pids:?} {children:?}");
    let told = output.next().await;
    assert!(matches!(told, Err(ClientError::Lost(_))), "{told:?}");
}

#[tokio::test]
async fn what_a_command_that_ended_left_running_goes_on() {
    let mut world = World::start().await;
    let ran = world
        .run(sh("sleep 1000 </dev/null >/dev/null 2>&1 & echo $!"))
        .await;
    let pid: u32 = ran.stdout.trim().parse().unwrap();
    drop(world.input.take());
    let ended = time::timeout(PATIENCE, world.child.wait()).await;
    assert!(ended.expect("it ends").unwrap().success());
    let is_left = is_alive(pid);
    let _ = std::process::Command::new("kill")
        .arg(pid.to_string())
        .status();
    assert!(is_left, "as it would be had a shell run it");
}

#[tokio::test]
async fn it_answers_whoever_asks_whether_it_is_there() {
    let mut world = World::start().await;
    for _ in 0..3 {
        let input = world.input.as_mut().unwrap();
        input.write_all(&[BEAT_BYTE]).await.unwrap();
        let mut answer = [0; 1];
        let read = time::timeout(PATIENCE, world.output.read_exact(&mut answer)).await;
        read.expect("it answers").unwrap();
        assert_eq!(answer, [BEAT_BYTE]);
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_told() {
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().try_into().unwrap();
    let (mut world, report) = World::tell(port, Limits::DEFAULT, |_| {}).await;
    let Some(Report::Failed(reason)) = report else {
        panic!("{report:?}");
    };
    let said = reason.as_str();
    assert!(
        said.contains(&format!("port {port} cannot be listened at")),
        "{said}"
    );
    let ended = time::timeout(PATIENCE, world.child.wait()).await;
    assert!(!ended.expect("it ends").unwrap().success());
}

#[tokio::test]
async fn without_a_configuration_that_makes_sense_there_is_no_agent() {
    for nonsense in [&b""[..], b"\0\0\0\0", &[0xff; 2000], b"\0\0\0\x02\x08\0"] {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_palisade-init"));
        command
            .arg("agent")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        // It may have ended before it has all of that.
        let _ = input.write_all(nonsense).await;
        drop(input);
        let ended = time::timeout(PATIENCE, child.wait_with_output()).await;
        let ended = ended.expect("it ends").unwrap();
        let said = String::from_utf8(ended.stdout).unwrap();
        let report = Report::parse(said.trim_end());
        assert!(matches!(report, Some(Report::Failed(_))), "{said}");
        assert!(!ended.status.success());
    }
}

#[tokio::test]
async fn limits_are_those_that_it_was_told() {
    let limits = Limits {
        execs: 1,
        ..Limits::DEFAULT
    };
    let (world, report) = World::tell(free_port(), limits, |_| {}).await;
    assert_eq!(report, Some(Report::Listening));
    let first = world
        .open()
        .await
        .exec(sh("exec sleep 1000"))
        .await
        .unwrap();
    let second = world.open().await.exec(sh("true")).await;
    assert!(
        matches!(second, Err(ClientError::Busy { limit: 1 })),
        "{second:?}"
    );
    drop(first);
}
