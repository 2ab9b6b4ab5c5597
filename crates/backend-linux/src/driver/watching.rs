//! From a process 1 that runs to the end of everything in the sandbox.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use palisade_backend::View;
use palisade_init_protocol::answer::Started;
use palisade_init_protocol::request::Stop;
use palisade_init_protocol::status::Status;
use palisade_model::clock::Timestamp;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::time::{self, Instant};
use tracing::warn;

use super::ending::{self, Remains, instant};
use super::{Driver, chain};
use crate::cgroup::reap;
use crate::init_client::{Client, WatchEvent};
use crate::sandbox::{Freeze, Sandbox, Wish};
use crate::shared::Shared;
use crate::state::End;

/// How long process 1 may take longer than the grace before it is killed.
const STOP_MARGIN: Duration = Duration::from_secs(5);
/// How often it is looked whether the main process runs if process 1 does not
/// tell.
const LOOK: Duration = Duration::from_millis(20);

const NO_ANSWER: &str = "it was killed, as it did not end when it was asked to";
const NO_ENTRY: &str = "it could not be found under its host name, and was ended";
const NO_NETWORK: &str = "it lost its network while the runner was away, and was ended";

impl Driver {
    /// Watches until nothing of the sandbox runs any more.
    pub(super) async fn watch(&self) -> End {
        if let Err(error) = self.shared.open_entry(&self.sandbox.launch) {
            let id = self.sandbox.id();
            warn!(sandbox.id = %id, error = %chain(&error), "a sandbox cannot be found by its host name; ending it");
            return self.conclude(Some(NO_ENTRY)).await;
        }
        let (shared, sandbox) = (Arc::clone(&self.shared), Arc::clone(&self.sandbox));
        let told = self.blocking(move || {
            shared.tell_name(&sandbox.launch);
            Ok(())
        });
        if let Err(error) = told.await {
            warn!(error = %error, "could not tell the name of a sandbox");
        }
        match self.process_1().await {
            Ok(Some(process)) => self.watch_process(process).await,
            Ok(None) => self.conclude(None).await,
            Err(error) => {
                let id = self.sandbox.id();
                warn!(sandbox.id = %id, error = %error, "cannot watch a sandbox; ending it");
                self.conclude(Some("it could not be watched, and was ended"))
                    .await
            }
        }
    }

    /// Ends a sandbox whose policy is not in force.
    pub(super) async fn give_up(&self) -> End {
        self.conclude(Some(NO_NETWORK)).await
    }

    async fn watch_process(&self, process: AsyncFd<OwnedFd>) -> End {
        let ended = process.ready(Interest::READABLE);
        let forced = tokio::select! {
            biased;
            // Only says that it has ended; holds nothing that could be lost.
            _ = ended => None,
            forced = self.attend() => Some(forced),
        };
        reap(process.get_ref());
        self.conclude(forced).await
    }

    /// Shows that it runs, freezes it when that is wished, and passes on the wish
    /// that it ends. Ends only if that last wish is not followed.
    async fn attend(&self) -> &'static str {
        let started = self.wait_until_started();
        let mut wishes = self.sandbox.wishes();
        tokio::pin!(started);
        tokio::select! {
            biased;
            () = &mut started => {}
            _ = wishes.wait_for(|wish| wish.stop_by.is_some()) => {}
        }
        let mut followed = 0;
        loop {
            let wish = *wishes.borrow_and_update();
            let is_new = wish.freeze.attempt > followed;
            followed = wish.freeze.attempt;
            let Some(by) = wish.stop_by else {
                self.follow_or_wait(wish.freeze, is_new, &mut wishes).await;
                continue;
            };
            self.thaw_to_end().await;
            self.pass_on_stop(by).await;
            // Another wish may be a sooner one.
            let another = time::timeout_at(by + STOP_MARGIN, wishes.changed());
            if another.await.is_err() {
                return NO_ANSWER;
            }
        }
    }

    /// Follows a new wish to freeze it or to let it go on, or waits for any.
    async fn follow_or_wait(
        &self,
        freeze: Freeze,
        is_new: bool,
        wishes: &mut watch::Receiver<Wish>,
    ) {
        if is_new {
            self.follow(freeze).await;
        } else {
            // The sender lives as long as the sandbox.
            let _ = wishes.changed().await;
        }
    }

    /// What process 1 says of the main process, if it says anything.
    async fn told_started(&self) -> Option<WatchEvent> {
        let mut watch = self.client().watch().await.ok()?;
        watch.next().await.ok()
    }

    async fn wait_until_started(&self) {
        let is_frozen = self.is_frozen().await;
        // A process 1 that is frozen does not answer; it wrote down that it runs.
        let told = if is_frozen {
            None
        } else {
            self.told_started().await
        };
        let started = match told {
            Some(WatchEvent::Started(started)) => started,
            // It may have ended before it could be asked.
            Some(WatchEvent::LogAdvanced { .. } | WatchEvent::Exited(_)) | None => {
                self.look_until_started().await
            }
        };
        let since = instant(started.at.0);
        let view = running(&self.shared, &self.sandbox, since, is_frozen);
        self.shared.show(&self.sandbox, view);
    }

    async fn look_until_started(&self) -> Started {
        loop {
            if let Some(started) = self.status().await.started {
                return started;
            }
            time::sleep(LOOK).await;
        }
    }

    fn client(&self) -> Client {
        Client::new(self.sandbox.state.paths().socket)
    }

    async fn pass_on_stop(&self, by: Instant) {
        let since = self
            .status()
            .await
            .started
            .map(|started| instant(started.at.0));
        self.shared.show(&self.sandbox, View::Stopping { since });
        let grace = by.saturating_duration_since(Instant::now());
        let stop = Stop {
            grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
            signal: None,
        };
        // It is killed after the grace all the same, whatever it answers.
        let told = time::timeout_at(by + STOP_MARGIN, self.client().stop(stop)).await;
        let id = self.sandbox.id();
        match told {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                warn!(sandbox.id = %id, error = %error, "process 1 could not be told to stop");
            }
            Err(_) => warn!(sandbox.id = %id, "process 1 did not answer when told to stop"),
        }
    }

    async fn status(&self) -> Status {
        let sandbox = Arc::clone(&self.sandbox);
        let read = self.blocking(move || Ok(ending::status(&sandbox.state)));
        read.await.unwrap_or_default()
    }

    /// A descriptor that tells when process 1 has ended; `None` if it has.
    async fn process_1(&self) -> io::Result<Option<AsyncFd<OwnedFd>>> {
        let (shared, id) = (Arc::clone(&self.shared), self.sandbox.id());
        let found = self.blocking(move || {
            let Some(pid) = shared.cgroups.process_1(id)?.and_then(Pid::from_raw) else {
                return Ok(None);
            };
            let descriptor = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
                Ok(descriptor) => descriptor,
                Err(rustix::io::Errno::SRCH) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            // Another process may have got the number before it was held.
            let still = shared.cgroups.process_1(id)?.and_then(Pid::from_raw);
            Ok((still == Some(pid)).then_some(descriptor))
        });
        let Some(descriptor) = found.await? else {
            return Ok(None);
        };
        watched(descriptor).map(Some)
    }

    /// Makes sure that nothing runs, and finds out how it ended.
    async fn conclude(&self, forced: Option<&'static str>) -> End {
        let (shared, sandbox) = (Arc::clone(&self.shared), Arc::clone(&self.sandbox));
        let remains = self.blocking(move || {
            let id = sandbox.id();
            // The count goes with the group, so it is read before anything.
            shared.cgroups.kill(id)?;
            Ok(Remains {
                status: ending::status(&sandbox.state),
                oom_kills: shared.cgroups.oom_kills(id),
                is_stopped: sandbox.is_stop_asked(),
                forced,
                now: shared.config.clock.now(),
            })
        });
        match remains.await {
            Ok(remains) => ending::end(&remains),
            Err(error) => End::Failed {
                at: self.shared.config.clock.now(),
                reason: chain(&error),
            },
        }
    }
}

/// What is shown of a sandbox whose main process runs.
pub(crate) fn running(
    shared: &Shared,
    sandbox: &Sandbox,
    since: Timestamp,
    is_frozen: bool,
) -> View {
    if sandbox.is_stop_asked() {
        return View::Stopping { since: Some(since) };
    }
    let address = shared.service_address(&sandbox.launch);
    if is_frozen {
        View::Paused { since, address }
    } else {
        View::Running { since, address }
    }
}

#[expect(unsafe_code, reason = "only an unchanging descriptor may be watched")]
fn watched(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor is the same one, and open, until it is
    // dropped, and the watch owns it from here on.
    let watched = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
    Ok(watched?)
}
