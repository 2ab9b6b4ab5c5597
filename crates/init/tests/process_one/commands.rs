//! Commands with pipes.

use std::time::Duration;

use palisade_backend_linux::init_binary;
use palisade_backend_linux::init_client::{ClientError, CommandEvent};
use palisade_init_protocol::answer::Ended;
use palisade_init_protocol::request::Input;
use palisade_init_protocol::text::{SignalNumber, Stream, UserName};

use crate::world::*;

#[tokio::test]
async fn output_and_exit_are_told() {
    let world = World::start(idle()).await;
    let outcome = world.run(sh("echo out; echo err >&2; exit 5")).await;
    let expected = Outcome {
        stdout: b"out\n".to_vec(),
        stderr: b"err\n".to_vec(),
        ended: Some(Ended::Code(5)),
    };
    assert_eq!(outcome, expected);
}

#[tokio::test]
async fn no_shell_is_added_and_any_byte_comes_back() {
    let world = World::start(idle()).await;
    let printed = world.run(exec(&["printf", "%s", "$HOME; *"])).await;
    assert_eq!(printed.stdout, b"$HOME; *");
    let binary = world.run(exec(&["printf", r"\000\377\n\001"])).await;
    assert_eq!(binary.stdout, b"\0\xff\n\x01");
}

#[tokio::test]
async fn a_command_that_is_not_there_exits_as_in_a_shell() {
    let world = World::start(idle()).await;
    let missing = world.run(exec(&["no-such-program"])).await;
    assert_eq!(missing.ended, Some(Ended::Code(127)));
    let said = String::from_utf8(missing.stderr).unwrap();
    assert!(said.contains("no-such-program"), "{said}");
    let directory = world.run(exec(&["/etc"])).await;
    assert_eq!(directory.ended, Some(Ended::Code(126)));
}

#[tokio::test]
async fn a_user_or_directory_that_is_not_there_is_a_failure() {
    let world = World::start(idle()).await;
    let mut stranger = exec(&["true"]);
    stranger.user = Some(UserName::new("no-such-user".into()).unwrap());
    let mut nowhere = exec(&["true"]);
    nowhere.directory = Some(world.inside("nowhere"));
    for (exec, named) in [(stranger, "no-such-user"), (nowhere, "nowhere")] {
        match world.client.exec(exec).await {
            Err(ClientError::Failed(reason)) => {
                assert!(reason.as_str().contains(named), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn variables_and_directory_are_those_of_the_sandbox_and_the_command() {
    let mut config = idle();
    config.environment.push(variable("BOTH", "image"));
    let world = World::start(config).await;
    let mut exec = exec(&["env"]);
    exec.environment = vec![variable("BOTH", "exec"), variable("OWN", "x=y")];
    exec.directory = Some(absolute(world.folder.path()));
    let text = String::from_utf8(world.run(exec).await.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for wanted in ["FROM_IMAGE=yes", "BOTH=exec", "OWN=x=y", "HOME=/root"] {
        assert!(lines.contains(&wanted), "{wanted} in {text}");
    }
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("PATH=/usr/local/sbin:"))
    );
    assert_eq!(lines.len(), 5, "{text}");
}

#[tokio::test]
async fn a_command_runs_as_the_user_that_is_named() {
    let world = World::start(idle()).await;
    let mut exec =
        sh("id -u; id -g; id -G; echo again >/dev/stderr; grep CapEff /proc/self/status");
    exec.user = Some(UserName::new("nobody".into()).unwrap());
    exec.directory = Some(absolute(std::path::Path::new("/")));
    let outcome = world.run(exec).await;
    let text = String::from_utf8(outcome.stdout).unwrap();
    assert_eq!(text, "65534\n65534\n65534\nCapEff:\t0000000000000000\n");
    assert_eq!(outcome.stderr, b"again\n");
}

#[tokio::test]
async fn a_command_inherits_nothing_of_process_one() {
    let world = World::start(idle()).await;
    let script = "ls /proc/self/fd | wc -l; grep -E 'SigBlk|SigIgn' /proc/self/status";
    let text = String::from_utf8(world.run(sh(script)).await.stdout).unwrap();
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let ["4", "SigBlk:", blocked, "SigIgn:", ignored] = fields.as_slice() else {
        // Three, and the one that `ls` reads the directory with.
        panic!("{text}");
    };
    assert_eq!(u64::from_str_radix(blocked, 16), Ok(0));
    // The first 31: the two behind them are the C library's own.
    let ignored = u64::from_str_radix(ignored, 16).unwrap() & 0x7fff_ffff;
    assert_eq!(ignored, 0);
}

#[tokio::test]
async fn input_and_its_end_reach_the_command() {
    let world = World::start(idle()).await;
    let (mut input, mut output) = world.begin(exec(&["cat"])).await;
    input.write(bytes("one ")).await.unwrap();
    assert_eq!(until_written(&mut output, "one ").await, "one ");
    input.write(bytes("two")).await.unwrap();
    input.send(Input::Close).await.unwrap();
    let outcome = outcome(&mut output).await;
    assert_eq!(outcome.stdout, b"two");
    assert_eq!(outcome.ended, Some(Ended::Code(0)));
}

#[tokio::test]
async fn input_for_a_command_that_has_ended_harms_nobody() {
    let world = World::start(idle()).await;
    let (mut input, mut output) = world
        .begin(sh("exec <&-; echo closed; read x <&2; exit 3"))
        .await;
    until_written(&mut output, "closed").await;
    let _ = input.write(vec![7; 1024 * 1024].into()).await;
    assert_eq!(
        outcome(&mut output).await.ended.map(Ended::shell_code),
        Some(3)
    );
    let _ = input.write(bytes("late")).await;
    assert_eq!(world.run(exec(&["true"])).await.ended, Some(Ended::Code(0)));
}

#[tokio::test]
async fn the_exit_is_told_while_a_grandchild_holds_the_pipes() {
    let world = World::start(idle()).await;
    let outcome = world.run(sh("sleep 4711 & echo written; exit 6")).await;
    assert_eq!(outcome.stdout, b"written\n");
    assert_eq!(outcome.ended, Some(Ended::Code(6)));
    assert_eq!(world.count("sleep 4711").await, 1, "it was to go on");
}

#[tokio::test]
async fn what_was_left_running_can_go_on_to_write() {
    let world = World::start(idle()).await;
    let script = "while [ ! -e GO ]; do sleep 0.01; done; \
        for i in $(seq 5000); do echo $i 00000000000000000000000 || exit; done; touch DONE";
    let mut server = sh(&format!("sh -c '{script}' & echo up"));
    server.directory = Some(absolute(world.folder.path()));
    assert_eq!(world.run(server).await.stdout, b"up\n");
    std::fs::write(world.path("GO"), "").unwrap();
    let mut world = world;
    world
        .until("it wrote all of it", |world| {
            world.path("DONE").exists().then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_grandchild_that_writes_for_ever_does_not_put_off_the_exit() {
    let world = World::start(idle()).await;
    let outcome = world.run(sh("yes & sleep 0.1; exit 6")).await;
    assert_eq!(outcome.ended, Some(Ended::Code(6)));
}

#[tokio::test]
async fn much_output_passes_a_slow_reader_without_loss() {
    const SIZE: usize = 100 * 1024 * 1024;
    let world = World::start(idle()).await;
    let command = format!("head -c {SIZE} /dev/zero | tr '\\0' x; echo end >&2");
    let (_input, mut output) = world.begin(sh(&command)).await;
    let (mut seen, mut reads) = (0, 0_u32);
    let ended = loop {
        match next(&mut output).await.unwrap() {
            CommandEvent::Output {
                stream: Stream::Stdout,
                data,
            } => {
                assert!(data.iter().all(|byte| *byte == b'x'));
                seen += data.len();
                reads += 1;
                let pause = u64::from(reads.is_multiple_of(100)) * 5;
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            CommandEvent::Output { data, .. } => assert_eq!(data, "end\n"),
            CommandEvent::Exit(ended) => break ended,
        }
    };
    assert_eq!((seen, ended), (SIZE, Ended::Code(0)));
}

#[tokio::test]
async fn a_signal_ends_the_command_and_is_told() {
    let world = World::start(idle()).await;
    let (mut input, mut output) = world.begin(sh("echo up; sleep 4712 & wait")).await;
    until_written(&mut output, "up").await;
    input.send(Input::Signal(SignalNumber::TERM)).await.unwrap();
    assert_eq!(outcome(&mut output).await.ended, Some(Ended::Signal(15)));
    let mut world = world;
    nobody_is_left(&mut world, "sleep 4712").await;
}

#[tokio::test]
async fn dropping_the_connection_kills_even_who_left_the_session() {
    let mut world = World::start(idle()).await;
    let script = "setsid sh -c 'trap \"\" HUP TERM; sleep 4713 & sleep 4713' & \
        (setsid setsid sleep 4713 &) ; sleep 4713";
    let command = world.begin(sh(script)).await;
    let all = async { while world.count("sleep 4713").await < 4 {} };
    let all = tokio::time::timeout(PATIENCE, all).await;
    all.expect("all of them run");
    drop(command);
    nobody_is_left(&mut world, "sleep 4713").await;
    assert_eq!(world.run(exec(&["true"])).await.ended, Some(Ended::Code(0)));
}

#[tokio::test]
async fn more_commands_than_allowed_are_refused() {
    let mut config = idle();
    config.limits.execs = 2;
    let world = World::start(config).await;
    let first = world.begin(exec(&["cat"])).await;
    let _second = world.begin(exec(&["cat"])).await;
    match world.client.exec(exec(&["cat"])).await {
        Err(ClientError::Busy { limit: 2 }) => {}
        other => panic!("{other:?}"),
    }
    drop(first);
    let mut world = world;
    let mut started = world.client.exec(exec(&["true"])).await;
    while started.is_err() {
        world.until("a moment", |_| Some(())).await;
        started = world.client.exec(exec(&["true"])).await;
    }
}

async fn nobody_is_left(world: &mut World, argument: &str) {
    let gone = tokio::time::timeout(PATIENCE, async { while world.count(argument).await > 0 {} });
    gone.await.expect("all of it is killed");
}

#[tokio::test]
async fn commands_are_quick() {
    const ROUNDS: usize = 300;
    let shipped = tempfile::tempdir().unwrap();
    let shipped = shipped.path().join("init");
    init_binary::write_to(&shipped).unwrap();
    let world = World::launch_program(&shipped, idle());
    world.client.ping().await.unwrap();
    let (mut took, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = tokio::time::Instant::now();
        let outcome = world.run(exec(&["/bin/true"])).await;
        took.push(begun.elapsed());
        assert_eq!(outcome.ended, Some(Ended::Code(0)));
        let begun = tokio::time::Instant::now();
        std::process::Command::new("/bin/true").status().unwrap();
        plain.push(begun.elapsed());
    }
    took.sort();
    plain.sort();
    println!("plain fork and exec of true: p50 {:?}", plain[ROUNDS / 2]);
    let at = |share: usize| took[ROUNDS * share / 100];
    println!(
        "exec of true: p50 {:?}, p90 {:?}, p99 {:?}",
        at(50),
        at(90),
        at(99)
    );
    assert!(
        at(50) < Duration::from_secs(1),
        "commands are slow: {:?}",
        at(50)
    );
}
