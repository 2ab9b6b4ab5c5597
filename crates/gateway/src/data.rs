//! Commands, logs, files and tunnels of clients.
//!
//! Everything is passed on as it comes, frame by frame, bounded in both
//! directions: a slow end slows the other one down, and nothing is lost or
//! gathered up on the way. What is said here about a sandbox is what its
//! runner says. Only sessions outlive their streams, for a short while, so that
//! a client that lost its connection can go on.

use std::sync::Arc;
use std::time::Duration;

use palisade_model::clock::{Clock, Ids};
use palisade_model::tenant::Principal;
use palisade_wire::proto::tunnel_v1::tunnel_service_server::TunnelServiceServer;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::gateway_streaming_service_server::GatewayStreamingServiceServer;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Access;
use crate::config::SessionLimits;
use crate::error::ApiResult;
use crate::gateway::MESSAGE_BYTES_MAX;
use crate::tools::Tools;
use crate::visits::{Visits, shown_out};

mod answers;
mod deadline;
mod departure;
mod exec;
mod failure;
mod files;
mod lines;
mod logs;
mod room;
mod run;
mod sessions;
mod streaming;
#[cfg(test)]
mod tests;
mod tunnel;
mod ways;

use departure::Watch;
use exec::ExecSessions;
use files::Files;
use room::Room;
use sessions::Sessions;
use ways::Ways;

/// The largest message of a tunnel: what peers of gRPC take by default.
const TUNNEL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Serves commands, logs, files and tunnels. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct DataPlane {
    means: Means,
    ways: Arc<dyn Ways>,
    room: Room,
    sessions: Sessions,
    exec_sessions: ExecSessions,
    files: Files,
}

/// What streams and calls are made with; all that this part needs of the
/// gateway's tools, which hold the store too.
#[derive(Clone, Debug)]
struct Means {
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    visits: Visits,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// How long a call may take that does not say itself.
    call_time: Duration,
    /// How many streams may be open at once.
    streams_max: usize,
    /// How long a command waits for a client that does not read its output.
    unread_max: Duration,
    /// What is kept of commands whose clients were cut off.
    session_limits: SessionLimits,
}

impl DataPlane {
    pub(crate) fn new(tools: &Tools, access: Access, visits: Visits) -> Self {
        let means = Means {
            clock: tools.clock.clone(),
            ids: tools.ids.clone(),
            visits,
            tasks: tools.tasks.clone(),
            stop: tools.stop.clone(),
            call_time: tools.config.call_time,
            streams_max: tools.config.calls_max,
            unread_max: tools.config.unread_max,
            session_limits: tools.config.exec_sessions.clone(),
        };
        Self::over(means, Arc::new(access))
    }

    fn over(means: Means, ways: Arc<dyn Ways>) -> Self {
        Self {
            room: Room::new(means.streams_max),
            sessions: Sessions::default(),
            exec_sessions: ExecSessions::new(means.session_limits.clone()),
            files: Files::default(),
            means,
            ways,
        }
    }

    /// The streaming service, with its limits.
    pub(crate) fn streaming(&self) -> Watch<GatewayStreamingServiceServer<Self>> {
        Watch(
            GatewayStreamingServiceServer::new(self.clone())
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(usize::MAX),
        )
    }

    /// The service for tunnels, with its limits.
    pub(crate) fn tunnels(&self) -> TunnelServiceServer<Self> {
        TunnelServiceServer::new(self.clone())
            .max_decoding_message_size(TUNNEL_BYTES_MAX)
            .max_encoding_message_size(usize::MAX)
    }

    /// Runs a command to its end; `deadline` is how long the client waits, if it
    /// says.
    pub(crate) async fn exec(
        &self,
        caller: &Principal,
        request: pb::ExecSandboxRequest,
        deadline: Option<Duration>,
    ) -> ApiResult<pb::ExecSandboxResponse> {
        let _seat = self.room.take(&caller.organization)?;
        let visit = self.means.visits.begin(caller.token);
        tokio::select! {
            done = run::run(&self.means, &*self.ways, caller, (request, deadline)) => done,
            () = visit.over() => Err(shown_out().into()),
        }
    }

    /// Writes a file.
    pub(crate) async fn add_file(
        &self,
        caller: &Principal,
        request: pb::AddFileSandboxRequest,
    ) -> ApiResult<pb::AddFileSandboxResponse> {
        let limit = self.means.call_time;
        self.files.write(&*self.ways, caller, request, limit).await
    }

    /// Reads a file.
    pub(crate) async fn retrieve_file(
        &self,
        caller: &Principal,
        request: pb::RetrieveFileSandboxRequest,
    ) -> ApiResult<pb::RetrieveFileSandboxResponse> {
        let limit = self.means.call_time;
        self.files.read(&*self.ways, caller, request, limit).await
    }
}
