//! Neither side trusts the other, and neither can the sandbox do harm.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use palisade_init_protocol::answer::{Answer, Ended};
use palisade_init_protocol::frame::{Assembler, whole};
use palisade_init_protocol::request::{Input, Request, WriteFile};

use crate::world::*;

/// Says something raw, and returns what is answered before the end.
fn say(world: &World, parts: &[&[u8]]) -> Vec<Answer> {
    let mut socket = UnixStream::connect(&world.paths.socket).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    for part in parts {
        // It may hang up before it has heard all of it.
        let _ = socket.write_all(part);
    }
    let mut said = Vec::new();
    let _ = socket.read_to_end(&mut said);
    let (mut said, mut frames, mut answers) = (said.as_slice(), Assembler::default(), Vec::new());
    while let Some(body) = frames.push(&mut said).unwrap() {
        answers.extend(Answer::decode(body).unwrap());
    }
    answers
}

#[tokio::test]
async fn nonsense_is_refused_and_harms_nobody() {
    let world = World::start(idle()).await;
    let request = Request::Exec(exec(&["sleep", "4740"])).encode().unwrap();
    let nonsense: [&[&[u8]]; 5] = [
        &[b"\xff\xff\xff\xff"],
        &[b"GET / HTTP/1.1\r\n\r\n"],
        &[b"\0\0\0\x02\xff\xff"],
        &[b"\0\0\0\0"],
        &[&whole(Input::Close.encode())],
    ];
    for parts in nonsense {
        let answers = say(&world, parts);
        assert!(
            matches!(answers.as_slice(), [Answer::Refused(_)]),
            "{answers:?}"
        );
    }
    let answers = say(&world, &[&request, b"\0\0\0\x02\xff\xff"]);
    assert!(
        matches!(answers.last(), Some(Answer::Refused(_))),
        "{answers:?}"
    );
    let gone = tokio::time::timeout(PATIENCE, async {
        while world.count("sleep 4740").await > 0 {}
    });
    gone.await.expect("a command of nonsense is killed");
    world.client.ping().await.unwrap();
}

#[tokio::test]
async fn a_file_that_was_cut_off_or_is_too_long_leaves_nothing() {
    let world = World::start(idle()).await;
    let request = |size_bytes| {
        let path = world.inside("cut");
        let mode = None;
        let write = WriteFile {
            path,
            size_bytes,
            mode,
        };
        Request::WriteFile(write).encode().unwrap()
    };
    let mut content = bytes("12345");
    let data = palisade_init_protocol::text::Data::split_from(&mut content).unwrap();
    let data = whole(Input::Data(data).encode());
    let answers = say(&world, &[&request(4), &data]);
    assert!(
        matches!(answers.as_slice(), [Answer::Refused(_)]),
        "{answers:?}"
    );
    let mut socket = UnixStream::connect(&world.paths.socket).unwrap();
    socket.write_all(&request(6)).unwrap();
    socket.write_all(&data).unwrap();
    drop(socket);
    let mut world = world;
    world
        .until("nothing is left", |world| {
            let left = std::fs::read_dir(world.folder.path()).unwrap();
            let names = left.map(|entry| entry.unwrap().file_name());
            let names: Vec<_> = names.filter(|name| name != "cut").collect();
            (names.len() == 4).then_some(())
        })
        .await;
    assert!(!world.path("cut").exists());
}

#[tokio::test]
async fn connections_that_say_nothing_do_not_keep_others_out() {
    let mut config = idle();
    config.limits.connections = 20;
    let world = World::start(config).await;
    let connect = || UnixStream::connect(&world.paths.socket).unwrap();
    let mut silent: Vec<UnixStream> = (0..20).map(|_| connect()).collect();
    assert_eq!(say(&world, &[]), [Answer::Busy { limit: 20 }]);
    silent.truncate(10);
    let answered = tokio::time::timeout(PATIENCE, async {
        while world.client.ping().await.is_err() {}
    });
    answered.await.expect("there is room again");
}

#[tokio::test]
async fn what_runs_inside_cannot_look_at_process_one() {
    let world = World::start(idle()).await;
    let script = "cat /proc/1/environ; ls /proc/1/fd; readlink /proc/1/exe; kill -TERM 1; \
        kill -INT 1; kill -KILL 1; kill -STOP 1; exit 0";
    let mut prying = sh(script);
    prying.user = Some(palisade_init_protocol::text::UserName::new("nobody".into()).unwrap());
    let outcome = world.run(prying).await;
    assert_eq!(outcome.stdout, b"", "something was seen");
    // Root cannot kill it either: it is the first of its namespace.
    let killed = world
        .run(sh("kill -TERM 1; kill -KILL 1; kill -STOP 1; exit 0"))
        .await;
    assert_eq!(killed.ended, Some(Ended::Code(0)));
    world.client.ping().await.unwrap();
}
