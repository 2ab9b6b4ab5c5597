//! Messages between a runner and a gateway, and of tunnels.
//!
//! The first byte says which message the others are. What is understood must
//! read the same again after it was written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_wire::proto::runner_v1 as pb;
use palisade_wire::proto::runner_v1::open::Work;
use palisade_wire::proto::tunnel_v1;
use palisade_wire::{runner, tunnel};
use prost::Message;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    match kind % 12 {
        0 => with(bytes, launch),
        1 => with(bytes, observation),
        2 => with(bytes, |message: pb::Capabilities| {
            let read = runner::capabilities(message);
            let again = runner::capabilities(runner::capabilities_message(&read));
            assert_eq!(again, read);
        }),
        3 => with(bytes, |message: pb::Capacity| {
            let read = runner::capacity(message);
            assert_eq!(runner::capacity(runner::capacity_message(&read)), read);
        }),
        4 => with(bytes, |message: pb::Exec| {
            let _ = runner::exec_spec(message);
        }),
        5 => with(bytes, |message: pb::ReadLogs| {
            let _ = runner::log_query(message);
        }),
        6 => with(bytes, |message: pb::Failure| {
            let read = runner::attach_error(message);
            let again = runner::attach_error(runner::failure(&read));
            assert_eq!(again.to_string(), read.to_string());
        }),
        7 => with(bytes, |_: pb::RunnerMessage| {}),
        8 => with(bytes, |_: pb::GatewayMessage| {}),
        9 => with(bytes, |message: pb::Connect| {
            if let Ok(port) = runner::connect_port(message) {
                let Work::Connect(message) = runner::open_connect(port) else {
                    panic!("a port opens a connection");
                };
                assert_eq!(runner::connect_port(message), Ok(port));
            }
        }),
        10 => with(bytes, |message: tunnel_v1::ConnectRequest| {
            let _ = tunnel::tunnel_start(message);
        }),
        _ => with(bytes, |message: tunnel_v1::ConnectRequest| {
            let _ = tunnel::tunnel_input(message);
        }),
    }
});

fn with<M: Message + Default>(bytes: &[u8], read: impl FnOnce(M)) {
    if let Ok(message) = M::decode(bytes) {
        read(message);
    }
}

/// The document is what others write; the message around it is not of interest.
fn launch(message: pb::Launch) {
    if let Ok((read, secrets)) = runner::launch(message) {
        let again = runner::launch(runner::launch_message(&read, &secrets));
        assert_eq!(again.ok(), Some((read, secrets)));
    }
}

fn observation(message: pb::Observation) {
    if let Ok((id, read)) = runner::observation(message) {
        let again = runner::observation(runner::observation_message(id, &read));
        assert_eq!(again.ok(), Some((id, read)));
    }
}
