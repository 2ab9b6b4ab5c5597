//! The main process: how it starts, how it is stopped, what is recorded.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use palisade_backend_linux::init_client::{ClientError, WatchEvent};
use palisade_init_protocol::answer::{Ended, Outcome as MainOutcome};
use palisade_init_protocol::request::Stop;
use palisade_init_protocol::text::{SignalNumber, UserName};

use crate::world::*;

const LONG: Duration = Duration::from_mins(10);

#[tokio::test]
async fn its_code_is_recorded_and_passed_on() {
    let mut world = World::launch(shell("exit 7"));
    let (code, record) = world.gone().await;
    assert_eq!(code, Some(7));
    assert_eq!(record.outcome, MainOutcome::Ran(Ended::Code(7)));
    assert!(!record.asked);
    let status = world.paths.read_status().unwrap();
    assert!(
        status
            .started
            .is_some_and(|started| started.pid > 1 && started.at <= record.at)
    );
}

#[tokio::test]
async fn the_signal_that_ended_it_is_recorded() {
    let mut world = World::launch(shell("kill -9 $$"));
    let (code, record) = world.gone().await;
    assert_eq!(code, Some(137));
    assert_eq!(record.outcome, MainOutcome::Ran(Ended::Signal(9)));
}

#[tokio::test]
async fn what_is_not_there_is_recorded_as_not_started() {
    let mut world = World::launch(config(&["no-such-program"]));
    let (code, record) = world.gone().await;
    assert_eq!((code, record.shell_code()), (Some(127), 127));
    assert!(matches!(
        record.outcome,
        MainOutcome::NotStarted { code: 127, .. }
    ));
    assert_eq!(world.paths.read_status().unwrap().started, None);
}

#[tokio::test]
async fn a_main_process_without_handlers_ends_at_once_when_it_is_stopped() {
    let mut world = World::start(config(&["sleep", "infinity"])).await;
    world.stop(LONG).await;
    let (code, record) = world.gone().await;
    assert_eq!(code, Some(143));
    assert_eq!(record.outcome, MainOutcome::Ran(Ended::Signal(15)));
    assert!(record.asked);
}

#[tokio::test]
async fn a_main_process_may_end_in_its_own_way() {
    let mut world = World::start(idle()).await;
    world.run(exec(&["true"])).await;
    // The shell sets its trap at about this time; the grace covers both.
    world.stop(LONG).await;
    let (_, record) = world.gone().await;
    assert!(record.asked);
    let ended = [Ended::Code(0), Ended::Signal(15)].map(MainOutcome::Ran);
    assert!(ended.contains(&record.outcome), "{record:?}");
}

#[tokio::test]
async fn a_main_process_that_will_not_end_is_killed_after_the_grace() {
    let script = "trap '' TERM; (trap '' TERM; sleep 4720) & echo up; while :; do sleep 0.1; done";
    let mut world = World::start(shell(script)).await;
    world
        .until("it is up", |world| {
            (!world.log().0.is_empty()).then_some(())
        })
        .await;
    world.stop(LONG).await;
    assert_eq!(world.run(exec(&["true"])).await.ended, Some(Ended::Code(0)));
    world.stop(Duration::from_millis(50)).await;
    let (code, record) = world.gone().await;
    assert_eq!(code, Some(137));
    assert_eq!(record.outcome, MainOutcome::Ran(Ended::KILLED));
    assert!(record.asked);
}

#[tokio::test]
async fn the_signal_of_the_image_and_that_of_the_request_are_sent() {
    let script = "trap 'exit 21' USR1; trap 'exit 22' USR2; echo up; while :; do sleep 0.05; done";
    for (signal, code) in [(None, 21), (SignalNumber::new(12).ok(), 22)] {
        let mut config = shell(script);
        config.stop_signal = SignalNumber::new(10).unwrap();
        let mut world = World::start(config).await;
        world
            .until("it is up", |world| {
                (!world.log().0.is_empty()).then_some(())
            })
            .await;
        let grace_ms = 600_000;
        world.client.stop(Stop { grace_ms, signal }).await.unwrap();
        assert_eq!(world.gone().await.0, Some(code));
    }
}

#[tokio::test]
async fn everything_ends_with_it_and_commands_are_told() {
    let mut world = World::start(idle()).await;
    let (_input, mut output) = world.begin(sh("trap '' TERM; echo up; sleep 4721")).await;
    until_written(&mut output, "up").await;
    let mut watch = world.client.watch().await.unwrap();
    world.stop(LONG).await;
    assert_eq!(outcome(&mut output).await.ended, Some(Ended::KILLED));
    let exited = loop {
        match watch.next().await.unwrap() {
            WatchEvent::Exited(record) => break record,
            WatchEvent::Started(_) | WatchEvent::LogAdvanced { .. } => {}
        }
    };
    let (_, record) = world.gone().await;
    assert_eq!(exited, record);
    assert!(matches!(
        world.client.ping().await,
        Err(ClientError::NotRunning)
    ));
}

#[tokio::test]
async fn orphans_are_reaped() {
    let mut world = World::start(idle()).await;
    let script = "for i in $(seq 50); do (setsid sh -c 'exit 3' &) ; done";
    world.run(sh(script)).await;
    let look = "cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z '";
    let reaped = tokio::time::timeout(PATIENCE, async {
        while world.run(sh(look)).await.stdout != b"0\n" {}
    });
    reaped.await.expect("nobody stays dead");
    world.stop(LONG).await;
    world.gone().await;
}

#[tokio::test]
async fn its_user_directory_and_input_are_as_configured() {
    let mut config = shell("id -un; pwd; stat -c %U .; echo $HOME; cat; echo end");
    let folder = tempfile::tempdir().unwrap();
    let permissions = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), permissions).unwrap();
    let directory = folder.path().join("made/for/it");
    config.directory = absolute(&directory);
    config.user = UserName::new("daemon".into()).unwrap();
    let mut world = World::launch(config);
    assert_eq!(world.gone().await.0, Some(0));
    let text = String::from_utf8(world.log().0).unwrap();
    let expected = format!("daemon\n{}\ndaemon\n/usr/sbin\nend\n", directory.display());
    assert_eq!(text, expected);
}
