//! Calls to servers that are not what they should be.

use std::net::Ipv4Addr;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::{CallError, Client, Command, SandboxFilter, Sandboxes};

fn sandboxes(port: u16) -> Sandboxes {
    let server = format!("http://127.0.0.1:{port}").parse().unwrap();
    let client = Client::new(server, "pat_x").unwrap();
    client.sandboxes().unwrap()
}

async fn free_port() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Something that speaks HTTP and nothing of ours.
async fn stranger() -> (u16, TaskTracker, DropGuard) {
    let (listener, port) = free_port().await;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let server = axum::serve(listener, Router::new());
    let serving = stop
        .clone()
        .run_until_cancelled_owned(async { server.await.unwrap() });
    tasks.spawn(serving);
    (port, tasks, stop.drop_guard())
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let (listener, port) = free_port().await;
    drop(listener);
    let failed = sandboxes(port).get("x").await.unwrap_err();
    assert!(
        matches!(failed, CallError::Unreachable { .. }),
        "{failed:?}"
    );
    let failed = sandboxes(port)
        .exec("x", Command::default())
        .await
        .unwrap_err();
    assert!(
        matches!(failed, CallError::Unreachable { .. }),
        "{failed:?}"
    );
}

#[tokio::test]
async fn a_server_of_another_kind_is_not_understood() {
    let (port, _tasks, _stop) = stranger().await;
    let failed = sandboxes(port)
        .list(&SandboxFilter::default())
        .await
        .unwrap_err();
    assert!(
        matches!(failed, CallError::NotUnderstood { .. }),
        "{failed:?}"
    );
}

#[tokio::test]
async fn a_server_that_hangs_up_is_lost_and_not_refusing() {
    let (listener, port) = free_port().await;
    let hang_up = async {
        loop {
            drop(listener.accept().await.unwrap());
        }
    };
    let calls = sandboxes(port);
    let failed = tokio::select! {
        failed = calls.get("x") => failed.unwrap_err(),
        () = hang_up => unreachable!("it goes on"),
    };
    let is_lost = matches!(
        failed,
        // The client connects anew as long as its time lasts.
        CallError::Lost { .. } | CallError::Unreachable { .. } | CallError::TimedOut { .. }
    );
    assert!(is_lost, "{failed:?}");
}

#[test]
fn nothing_of_the_token_is_shown() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let shown = runtime.block_on(async { format!("{:?}", sandboxes(1)) });
    assert!(!shown.contains("pat_x"), "{shown}");
}
