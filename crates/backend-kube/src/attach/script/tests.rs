//! The scripts in real shells: the one of Debian, and busybox's.

use std::io::{Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use super::*;

/// Each shell that is here, with what goes before its `-c`.
fn shells() -> Vec<Vec<&'static str>> {
    let all = [
        vec![SHELL],
        vec!["/bin/bash"],
        vec!["/usr/bin/busybox", "sh"],
    ];
    let found: Vec<_> = all
        .into_iter()
        .filter(|words| Path::new(words[0]).exists())
        .collect();
    assert!(!found.is_empty(), "there is no shell");
    found
}

/// A script as a runtime starts it: in a group of its own.
fn start(shell: &[&str], script: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new(shell[0]);
    command
        .args(&shell[1..])
        .args(["-c", script, "palisade"])
        .args(arguments)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("the shell starts")
}

/// Writes all input at once, keeps it open, and waits for the end.
fn run(shell: &[&str], script: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = start(shell, script, arguments);
    let mut stdin = child.stdin.take().expect("it is piped");
    // A script that refuses at once does not read it.
    let _ = stdin.write_all(input);
    let output = child.wait_with_output().expect("it ends");
    drop(stdin);
    output
}

fn command(shell: &[&str], words: &[&str], input: &[u8]) -> Output {
    let words = [&["env"], words].concat();
    run(shell, COMMAND, &words, input)
}

#[test]
fn output_and_exit_are_those_of_the_command_although_input_is_open() {
    for shell in shells() {
        let output = command(&shell, &["sh", "-c", "echo out; echo err >&2; exit 5"], b"");
        assert_eq!(output.status.code(), Some(5), "{shell:?}");
        let texts = (output.stdout.as_slice(), output.stderr.as_slice());
        assert_eq!(
            texts,
            (b"out\n".as_slice(), b"err\n".as_slice()),
            "{shell:?}"
        );
        assert_eq!(command(&shell, &["/no/such"], b"").status.code(), Some(127));
        let variable = command(&shell, &["A=b c", "sh", "-c", "printf %s \"$A\""], b"");
        assert_eq!(variable.stdout, b"b c", "{shell:?}");
    }
}

#[test]
fn frames_are_input_and_its_end() {
    for shell in shells() {
        let output = command(&shell, &["cat"], b"4\none 5\n\n0\ntw0\n");
        assert_eq!(output.stdout, b"one \n0\ntw", "{shell:?}");
        assert_eq!(output.status.code(), Some(0));
        // What a command does not read is passed over, and its end is told.
        let input = [b"1000\n".as_slice(), &[b'x'; 1000], b"0\n"].concat();
        let some = command(&shell, &["head", "-c", "3"], &input);
        assert_eq!(
            (some.stdout.as_slice(), some.status.code()),
            (b"xxx".as_slice(), Some(0))
        );
    }
}

/// Waits until the command has said that it runs.
fn await_ready(child: &mut Child) {
    let mut ready = [0; 3];
    let stdout = child.stdout.as_mut().expect("it is piped");
    stdout.read_exact(&mut ready).expect("the command runs");
    assert_eq!(&ready, b"go\n");
}

#[test]
fn a_signal_reaches_the_command_and_leaves_the_script() {
    for shell in shells() {
        let job = "trap 'exit 3' TERM; echo go; while :; do sleep 0.05; done";
        let mut child = start(&shell, COMMAND, &["env", "sh", "-c", job]);
        await_ready(&mut child);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"s15\n").unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(3), "{shell:?}");
        let mut child = start(
            &shell,
            COMMAND,
            &["env", "sh", "-c", "echo go; exec sleep 100"],
        );
        await_ready(&mut child);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"s2\n").unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{shell:?}");
    }
}

#[test]
fn the_end_of_frames_without_the_end_of_input_kills_everything() {
    for shell in shells() {
        let job = "trap '' TERM HUP; echo go; while :; do sleep 0.05; done";
        let mut child = start(&shell, COMMAND, &["env", "sh", "-c", job]);
        await_ready(&mut child);
        drop(child.stdin.take());
        assert_eq!(child.wait().unwrap().signal(), Some(9), "{shell:?}");
        // Nobody of the group is left to hold the output open.
        let mut rest = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut rest).unwrap();
    }
}

fn write(shell: &[&str], path: &Path, content: &[u8], size: usize, digest: &str) -> Option<i32> {
    let path = path.to_str().unwrap();
    let output = run(shell, WRITE, &[path, &size.to_string(), digest], content);
    output.status.code()
}

const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn a_file_is_written_whole_or_not_at_all() {
    for shell in shells() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/file");
        assert_eq!(write(&shell, &path, b"abc", 3, ABC), Some(0), "{shell:?}");
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
        // Something else arrived than what was sent.
        assert_eq!(write(&shell, &path, b"abd", 3, ABC), Some(46), "{shell:?}");
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
        assert_eq!(write(&shell, folder.path(), b"abc", 3, ABC), Some(42));
        // It would be replaced by a file.
        let pipe = folder.path().join("pipe");
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        assert_eq!(write(&shell, &pipe, b"abc", 3, ABC), Some(47), "{shell:?}");
        let names = std::fs::read_dir(path.parent().unwrap()).unwrap();
        assert_eq!(names.count(), 1, "nothing else is left behind");
    }
}

#[test]
fn a_link_to_a_file_stays_one_and_the_mode_of_a_file_too() {
    use std::os::unix::fs::PermissionsExt as _;
    for shell in shells() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, "old").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o750)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(write(&shell, &link, b"abc", 3, ABC), Some(0), "{shell:?}");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read(&file).unwrap(), b"abc");
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o750, "{shell:?}");
    }
}

#[test]
fn each_way_in_which_a_file_cannot_be_read_has_its_code() {
    for shell in shells() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("five");
        std::fs::write(&path, "12345").unwrap();
        let read = |path: &Path, most: &str| {
            let output = run(&shell, READ, &[path.to_str().unwrap(), most], b"");
            (output.status.code().unwrap(), output.stdout)
        };
        assert_eq!(read(&path, "5"), (0, b"5\n12345".to_vec()), "{shell:?}");
        assert_eq!(read(&path, "4"), (44, b"5\n".to_vec()), "{shell:?}");
        assert_eq!(read(folder.path(), "4").0, 42);
        assert_eq!(read(&folder.path().join("absent"), "4").0, 41);
        assert_eq!(read(Path::new("/dev/null"), "4").0, 47);
    }
}
