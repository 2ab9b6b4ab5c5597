//! Commands on a terminal.

use palisade_init_protocol::answer::Ended;
use palisade_init_protocol::request::Input;
use palisade_init_protocol::text::TerminalSize;

use crate::world::*;

#[tokio::test]
async fn a_command_has_a_terminal_of_the_size_that_was_asked_for() {
    let world = World::start(idle()).await;
    let outcome = world
        .run(on_terminal(sh("tty; stty size; echo err >&2; exit 4")))
        .await;
    let text = String::from_utf8(outcome.stdout).unwrap();
    assert!(text.starts_with("/dev/pts/"), "{text}");
    assert!(text.ends_with("\r\n24 80\r\nerr\r\n"), "{text}");
    assert_eq!(
        (outcome.stderr, outcome.ended),
        (Vec::new(), Some(Ended::Code(4)))
    );
}

#[tokio::test]
async fn a_new_size_is_noticed() {
    let world = World::start(idle()).await;
    let script = "trap 'stty size; exit 0' WINCH; echo up; while :; do sleep 0.05; done";
    let (mut input, mut output) = world.begin(on_terminal(sh(script))).await;
    until_written(&mut output, "up").await;
    let size = TerminalSize {
        columns: 132,
        rows: 50,
    };
    input.send(Input::Resize(size)).await.unwrap();
    until_written(&mut output, "50 132").await;
    assert_eq!(outcome(&mut output).await.ended, Some(Ended::Code(0)));
}

#[tokio::test]
async fn control_c_interrupts() {
    let world = World::start(idle()).await;
    let (mut input, mut output) = world
        .begin(on_terminal(sh("echo up; exec sleep 4730")))
        .await;
    until_written(&mut output, "up").await;
    input.write(bytes("\u{3}")).await.unwrap();
    assert_eq!(outcome(&mut output).await.ended, Some(Ended::Signal(2)));
}

#[tokio::test]
async fn a_shell_can_be_talked_to_and_left() {
    let world = World::start(idle()).await;
    let (mut input, mut output) = world.begin(on_terminal(exec(&["/bin/sh"]))).await;
    input
        .write(bytes("echo $((6 * 7)); (exit 9)\n"))
        .await
        .unwrap();
    until_written(&mut output, "42").await;
    input.send(Input::Close).await.unwrap();
    assert_eq!(outcome(&mut output).await.ended, Some(Ended::Code(9)));
}

#[tokio::test]
async fn the_end_of_input_is_seen_in_the_middle_of_a_line() {
    let world = World::start(idle()).await;
    let (mut input, mut output) = world.begin(on_terminal(sh("cat; echo over"))).await;
    input.write(bytes("half")).await.unwrap();
    input.send(Input::Close).await.unwrap();
    until_written(&mut output, "over").await;
    assert_eq!(outcome(&mut output).await.ended, Some(Ended::Code(0)));
}

#[tokio::test]
async fn all_that_was_written_is_read_though_somebody_holds_the_terminal() {
    let world = World::start(idle()).await;
    let script = "(trap '' HUP; exec sleep 4731) & seq 20000; exit 8";
    let outcome = world.run(on_terminal(sh(script))).await;
    let text = String::from_utf8(outcome.stdout).unwrap();
    assert!(text.ends_with("\r\n19999\r\n20000\r\n"));
    assert_eq!(text.lines().count(), 20000);
    assert_eq!(outcome.ended, Some(Ended::Code(8)));
}
