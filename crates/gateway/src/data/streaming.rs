//! The streaming services: a task for each stream.
//!
//! The head of an answer is sent at once, and everything else, refusals
//! included, comes from the task. The task ends with the stream: see
//! [`super::answers`].

use std::pin::Pin;

use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt as _};
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_wire::proto::tunnel_v1 as tunnel_pb;
use palisade_wire::proto::tunnel_v1::tunnel_service_server::TunnelService;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::gateway_streaming_service_server::GatewayStreamingService;
use tokio::time::Instant;
use tonic::{Code, Request, Response, Status, Streaming, async_trait};
use tracing::{Instrument as _, Span, info_span};

use super::DataPlane;
use super::answers::{Answers, Bounds, End, Sink, answers, too_late};
use super::deadline;
use super::departure::{Departure, Left};
use super::exec::{ExecStream, ran_too_long};
use super::logs::LogStream;
use super::tunnel::TunnelStream;
use crate::context::Context;

/// Answers, as the transport takes them.
type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Who a stream is for, and until when.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) context: Context,
    pub(super) deadline: Option<Instant>,
    pub(super) departure: Departure,
}

impl Caller {
    fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        Ok(Self {
            context: Context::of(request)?,
            deadline: deadline::deadline(request.metadata()),
            departure: request
                .extensions()
                .get::<Departure>()
                .cloned()
                .unwrap_or_default(),
        })
    }
}

/// The frames of a client, with a reason where one cannot be read.
fn readable<T: 'static>(
    request: Request<Streaming<T>>,
    context: &Context,
) -> impl Stream<Item = Result<T, Status>> + Send + 'static
where
    Streaming<T>: Send,
{
    let context = context.clone();
    let frames = request.into_inner();
    frames.map(move |frame| frame.map_err(|status| unreadable(status, &context)))
}

/// The layer that reads messages has no reasons, and calls a frame that is none a
/// fault of the server.
fn unreadable(status: Status, context: &Context) -> Status {
    let refusal = if status.code() == Code::OutOfRange {
        let text = "a frame is larger than this server reads; send smaller ones";
        Refusal::new(Reason::RequestTooLarge, text)
    } else if status.code() == Code::Internal {
        let text = "a frame is not a message that this stream reads";
        Refusal::new(Reason::InvalidRequest, text)
    } else {
        return status;
    };
    context.status(&refusal.into())
}

impl DataPlane {
    /// Begins to serve a command, which may outlive its stream.
    pub(super) fn exec_stream(
        &self,
        caller: Caller,
        frames: impl Stream<Item = Result<pb::ExecStreamRequest, Status>> + Send + 'static,
    ) -> Result<Answers<pb::ExecStreamResponse>, Status> {
        let span = info_span!("exec", request.id = caller.context.request_id);
        let Caller {
            context,
            deadline,
            departure,
        } = caller;
        let seat = self.seat(&context)?;
        let visit = self.means.visits.begin(context.caller.token);
        let (sink, answers) = answers(&context);
        let plane = self.clone();
        let task = async move {
            let _seat = seat;
            let mut slot = None;
            let stream = ExecStream {
                means: &plane.means,
                ways: &*plane.ways,
                sessions: &plane.exec_sessions,
                context: &context,
                sink: &sink,
            };
            let work = Box::pin(stream.serve(frames, &mut slot));
            let bounds = Bounds {
                call: &context,
                visit: &visit,
                deadline,
                late: ran_too_long,
                stop: &plane.means.stop,
            };
            let end = sink.carry_out(&bounds, work).await;
            match (end, slot) {
                (None, Some(kept)) if departure.how() == Left::Cut => {
                    plane
                        .exec_sessions
                        .park(kept, visit, deadline, &plane.means);
                }
                (None, _) => {}
                (Some(end), kept) => {
                    // Killed before its client is told, who may not even read.
                    drop(kept);
                    sink.tell(end, &plane.means.stop).await;
                }
            }
        };
        self.means.tasks.spawn(task.instrument(span));
        Ok(answers)
    }

    /// Begins to serve logs.
    pub(super) fn log_stream(
        &self,
        caller: Caller,
        frames: impl Stream<Item = Result<pb::LogStreamRequest, Status>> + Send + 'static,
    ) -> Result<Answers<pb::LogStreamResponse>, Status> {
        let span = info_span!("logs", request.id = caller.context.request_id);
        self.begin(caller, span, |plane, context, sink| {
            Box::pin(async move {
                let stream = LogStream {
                    means: &plane.means,
                    ways: &*plane.ways,
                    sessions: &plane.sessions,
                    context,
                    sink,
                };
                stream.serve(frames).await
            })
        })
    }

    /// Begins to serve a connection to a port.
    pub(super) fn tunnel_stream(
        &self,
        caller: Caller,
        frames: impl Stream<Item = Result<tunnel_pb::ConnectRequest, Status>> + Send + 'static,
    ) -> Result<Answers<tunnel_pb::ConnectResponse>, Status> {
        let span = info_span!("tunnel", request.id = caller.context.request_id);
        self.begin(caller, span, |plane, context, sink| {
            Box::pin(async move {
                let stream = TunnelStream {
                    ways: &*plane.ways,
                    context,
                    sink,
                };
                stream.serve(frames).await
            })
        })
    }

    /// Gives a stream its seat and its task.
    fn begin<T: Send + 'static>(
        &self,
        caller: Caller,
        span: Span,
        serve: impl for<'a> FnOnce(&'a Self, &'a Context, &'a Sink<T>) -> BoxFuture<'a, End<T>>
        + Send
        + 'static,
    ) -> Result<Answers<T>, Status> {
        let Caller {
            context, deadline, ..
        } = caller;
        let seat = self.seat(&context)?;
        let visit = self.means.visits.begin(context.caller.token);
        let (sink, answers) = answers(&context);
        let plane = self.clone();
        let task = async move {
            let _seat = seat;
            let work = serve(&plane, &context, &sink);
            let bounds = Bounds {
                call: &context,
                visit: &visit,
                deadline,
                late: too_late,
                stop: &plane.means.stop,
            };
            if let Some(end) = sink.carry_out(&bounds, work).await {
                sink.tell(end, &plane.means.stop).await;
            }
        };
        self.means.tasks.spawn(task.instrument(span));
        Ok(answers)
    }

    fn seat(&self, context: &Context) -> Result<super::room::Seat, Status> {
        let seat = self.room.take(&context.caller.organization);
        seat.map_err(|refusal| context.status(&refusal.into()))
    }
}

#[async_trait]
impl GatewayStreamingService for DataPlane {
    type StreamExecStream = Boxed<pb::ExecStreamResponse>;
    type StreamLogsStream = Boxed<pb::LogStreamResponse>;

    async fn stream_exec(
        &self,
        request: Request<Streaming<pb::ExecStreamRequest>>,
    ) -> Result<Response<Self::StreamExecStream>, Status> {
        let caller = Caller::of(&request)?;
        let frames = readable(request, &caller.context);
        let answers = self.exec_stream(caller, frames)?;
        Ok(Response::new(Box::pin(answers)))
    }

    async fn stream_logs(
        &self,
        request: Request<Streaming<pb::LogStreamRequest>>,
    ) -> Result<Response<Self::StreamLogsStream>, Status> {
        let caller = Caller::of(&request)?;
        let frames = readable(request, &caller.context);
        let answers = self.log_stream(caller, frames)?;
        Ok(Response::new(Box::pin(answers)))
    }
}

#[async_trait]
impl TunnelService for DataPlane {
    type ConnectStream = Boxed<tunnel_pb::ConnectResponse>;

    async fn connect(
        &self,
        request: Request<Streaming<tunnel_pb::ConnectRequest>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let caller = Caller::of(&request)?;
        let frames = readable(request, &caller.context);
        let answers = self.tunnel_stream(caller, frames)?;
        Ok(Response::new(Box::pin(answers)))
    }
}
